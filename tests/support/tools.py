"""What tests need of the machine they run on, and what they run for: architectures, schemes, ways."""

import platform
import shutil
import sys

import pytest

from uselib.linker.image import Machine

ARCHES = ("i386", "x86_64")
MACHINES = [Machine.I386, Machine.X86_64]
TRIPLETS = {"i386": "i386-linux-musl", "x86_64": "x86_64-linux-musl"}
SCHEMES = ("uselib", "mmap", "static")
SHARED = ("uselib", "mmap")
WAYS = ("native", "emulated")
PLAIN_C = (
    "-O1 -w -ffreestanding -fno-builtin -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none"
    " -fno-asynchronous-unwind-tables"
).split()
"""gcc's options for code without anything that it adds by itself."""
NATIVE = platform.machine() == "x86_64" and sys.platform == "linux"

native = pytest.mark.skipif(not NATIVE, reason="native runs need an x86-64 Linux")
"""Marks a test that runs guest programs on the host."""


def have(*tools: str) -> bool:
    return all(shutil.which(tool) for tool in tools)


def needs(*tools: str) -> pytest.MarkDecorator:
    """Marks a test, or a module, that runs these commands of the host."""
    return pytest.mark.skipif(not have(*tools), reason=f"needs {', '.join(tools)}")


def require(*tools: str) -> None:
    """Skips the running test where a command is missing."""
    if not have(*tools):
        pytest.skip(f"needs {', '.join(tools)}")


def require_native(way: str = "native") -> None:
    """Skips the running test where `way` is native and the host cannot run guest programs."""
    if way == "native" and not NATIVE:
        pytest.skip("native runs need an x86-64 Linux")
