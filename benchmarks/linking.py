"""mkshlib of the whole of musl's libc.a against `ld --whole-archive` at the same address."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import USELIB, interleaved, table, workspace

LIBC = {"x86_64": Path("/usr/lib/x86_64-linux-musl/libc.a"), "i386": Path("/usr/lib/i386-linux-musl/libc.a")}


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        for arch, libc in LIBC.items():
            if not libc.exists():
                print(f"{libc} is not installed (musl-dev)")
                continue
            # 64-bit and complex helpers that compilers leave to a library: the same archive for both linkers
            subprocess.run([*USELIB, "sysroot", directory / arch, "--arch", arch, "--libc", "mini"], check=True)
            private: list[str | Path] = [directory / arch / "lib" / "libbuiltins.a"]
            emulation = "elf_i386" if arch == "i386" else "elf_x86_64"
            ld: list[str | Path] = ["ld", "-m", emulation, "-Ttext=0x60000000", "-e", "0", "-o", directory / "whole"]
            ld += ["--whole-archive", libc, "--no-whole-archive", *private]
            ours: list[str | Path] = [*USELIB, "mkshlib", "--name", "c", "--version", "1.2.3", "--text", "0x60000000"]
            ours += [word for archive in private for word in ("--private-archive", archive)]
            ours += ["-o", directory / "out", libc]
            labels = ("uselib mkshlib", "GNU ld --whole-archive")
            mkshlib, gnu_ld = interleaved(labels, [ours, ld], 8)
            rows = [replace(mkshlib, note="target and stub library, whole process"), gnu_ld]
            table(f"Linking musl's libc.a whole, {arch}", rows, "uselib mkshlib")


if __name__ == "__main__":
    run()
