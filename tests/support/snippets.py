"""C snippets compiled to objects, for tests of the linker."""

from __future__ import annotations

import subprocess
from pathlib import Path


def compile_snippet(path: Path, source: str, *flags: str) -> str:
    """Compiles C source with gcc to an object for fixed addresses, without warnings; its path. flags: more of gcc's options."""
    path.parent.mkdir(parents=True, exist_ok=True)
    always = ["-ffreestanding", "-fno-pie", "-w", "-O1"]
    subprocess.run(
        ["gcc", *always, *flags, "-c", "-xc", "-", "-o", str(path)],
        input=source.encode(),
        check=True,
    )
    return str(path)
