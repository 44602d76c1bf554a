"""What a small program's run imports: each module takes part of its time, 0.2 ms on average."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.programs import musl_program

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
# Modules of the standard library that take more than 0.5 ms, and packages; who needs one imports it in a function
SLOW = set(
    """argparse asyncio bz2 capstone ctypes.util dataclasses datetime decimal difflib fractions glob greenlet gzip
    hashlib hypothesis inspect json logging lzma multiprocessing numpy pathlib pickle platform pprint pycparser queue random re selectors shutil
    socket sqlite3 ssl statistics string subprocess system_calls tempfile textwrap threading tokenize traceback typing unicorn urllib uuid xml
    zipfile""".split()
)


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Modules that a run of hello has imported, sitecustomize and its like left out."""
    program: Path = musl_program(HELLO, request.param, tmp_path_factory.mktemp("hello"))
    command = [sys.executable, "-S", "-v", "-c", "import sys\nfrom uselib.cli import main\nsys.exit(main())"]
    paths = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run([*command, "run", program], env=environment() | paths, capture_output=True, text=True)
    assert done.stdout == "hello\n"
    return set(re.findall(r"^import '([\w.]+)'", done.stderr, re.MULTILINE))


def test_no_slow_module_of_others(imported: set[str]) -> None:
    assert "ctypes" in imported and not imported & SLOW


def test_no_part_that_hello_does_not_use(imported: set[str]) -> None:
    ours = {name.removeprefix("uselib.") for name in imported if name.startswith("uselib.")}
    assert "emulator.kernel.calls.execve" in ours
    unused = (
        "abi",
        "emulator.trace",
        "emulator.gdb",
        "emulator.api",
        "emulator.kernel.strace",
        "emulator.kernel.ipc",
        "linker.passes",
    )
    unused += (
        "emulator.kernel.sockets",
        "emulator.process.reports",
        "emulator.kernel.threads.scheduler",
        "linker.formats.elf",
    )
    assert not [name for name in ours if name.startswith(unused)]
    families = {name.rpartition(".")[2] for name in ours if name.startswith("emulator.kernel.calls.")}
    assert families <= {"execve", "processes", "tls", "threads", "ioctl", "fcntl", "files", "memory"}
