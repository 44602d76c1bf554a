"""The linker against GNU ld: mkshlib of the whole of musl's libc.a, large links of every kind, and a small program with glibc."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import USELIB, consumed, interleaved, table, workspace

LIBC = {"x86_64": Path("/usr/lib/x86_64-linux-musl/libc.a"), "i386": Path("/usr/lib/i386-linux-musl/libc.a")}
ROUNDS = 5


class Shape(NamedTuple):
    """What an object of a large link has: global functions that make calls, local variables of two pointers each."""

    functions: int
    calls: int  # of each function
    variables: int


PROGRAM = Shape(1000, 8, 1000)  # 10,000 relocations, 2,000 symbols
LARGE = {  # objects; what an object has where all functions are exported by numbers: a jump table has 65,535 slots at most
    "1 million relocations, 200,000 symbols": (100, Shape(500, 14, 1500)),
    "10 million relocations, 2 million symbols": (1000, Shape(65, 94, 1935)),
}
LIBRARY_BASE = "0x60000000"


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        for arch, libc in LIBC.items():
            if libc.exists():
                whole_libc(directory, arch, libc)
            else:
                print(f"{libc} is not installed (musl-dev)")
        hello(directory)
        for title, (objects, shape) in LARGE.items():
            files = large_objects(directory / f"large{objects}", objects, PROGRAM)
            for kind in ("", "-pie", "-shared"):
                words = [*([kind] if kind else []), "-o", directory / "out", *files]
                large(f"{title} {kind}", "uselib ld", [*USELIB, "ld", *words], ["ld", *words])
            files = large_objects(directory / f"library{objects}", objects, shape)
            ours = [*USELIB, "mkshlib", "--name", "large", "--version", "1.0.0", "--text", LIBRARY_BASE]
            gnu_ld = ["ld", f"-Ttext={LIBRARY_BASE}", "-e", "0"]
            large(
                title,
                "uselib mkshlib",
                [*ours, "-o", directory / "made", *files],
                [*gnu_ld, "-o", directory / "out", *files],
            )


def whole_libc(directory: Path, arch: str, libc: Path) -> None:
    """mkshlib of musl's libc.a against `ld --whole-archive` at the same address."""
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


def hello(directory: Path) -> None:
    """The link step of `gcc -static hello.c`: the command that gcc shows, without its plugin for link-time optimisation."""
    source, program = directory / "hello.c", directory / "hello"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    object_file = directory / "hello.o"
    subprocess.run(["gcc", "-c", source, "-o", object_file], check=True)
    shown = subprocess.run(["gcc", "-static", "-###", object_file, "-o", program], capture_output=True, text=True)
    line = next(line for line in shown.stderr.splitlines() if "collect2" in line)
    words = [word.strip('"') for word in line.split()]
    arguments = [w for at, w in enumerate(words[1:], 1) if not (w.startswith("-plugin") or words[at - 1] == "-plugin")]
    commands = [[*USELIB, "ld", *arguments], ["ld", *arguments]]
    table("Link step of hello, static glibc", interleaved(("uselib ld", "GNU ld"), commands, 12), "uselib ld")


def large_objects(folder: Path, objects: int, shape: Shape) -> list[str | Path]:
    """Makes the objects of a large link."""
    folder.mkdir()
    files: list[str | Path] = [folder / f"{number}.o" for number in range(objects)]
    for number, file in enumerate(files):
        subprocess.run(["as", "-o", file], input=large_source(number, objects, shape).encode(), check=True)
    return files


def large(title: str, label: str, ours: Sequence[str | Path], gnu_ld: Sequence[str | Path]) -> None:
    """CPU time and memory of two links, in turns."""
    found: list[list[tuple[float, int]]] = [[], []]
    for _ in range(1 + ROUNDS):
        for command, measured in zip((ours, gnu_ld), found, strict=True):
            measured.append(consumed(command))
    print(f"\n### {title}\n\n| what | CPU ms | ours / it | MiB | ours / it |\n|---|---:|---:|---:|---:|")
    least = [(min(seconds for seconds, _ in rows[1:]), min(peak for _, peak in rows[1:])) for rows in found]
    for name, (seconds, peak) in zip((label, "GNU ld"), least, strict=True):
        ratios = least[0][0] / seconds, least[0][1] / peak
        print(f"| {name} | {seconds * 1000:.0f} | {ratios[0]:.2f} | {peak / 2**20:.0f} | {ratios[1]:.2f} |", flush=True)


def large_source(number: int, objects: int, shape: Shape) -> str:
    """Assembler source number `number` of `objects`: global functions that call those of the next one, and local pointers to them."""
    following, (functions, calls, variables) = (number + 1) % objects, shape
    out = [".text"]
    for i in range(functions):
        out.append(f".globl f{number}_{i}\n.type f{number}_{i},@function\nf{number}_{i}:")
        for j in range(calls):
            if j % 2:
                out.append(f"\tcall f{following}_{(i * 7 + j) % functions}")
            else:
                out.append(f"\tleaq v{number}_{(i * 5 + j) % variables}(%rip),%rax")
        out.append(f"\tret\n.size f{number}_{i},.-f{number}_{i}")
    out.append(".data")
    for i in range(variables):
        name, pointed, other = f"v{number}_{i}", i % functions, (i + 1) % functions
        out.append(f".type {name},@object\n{name}:\n\t.quad f{following}_{pointed}\n\t.quad f{number}_{other}+8")
        out.append(f".size {name},16")
    if not number:
        out.append(".text\n.globl _start\n_start: call f0_0")
    return "\n".join([*out, '.section .note.GNU-stack,"",@progbits\n'])


if __name__ == "__main__":
    run()
