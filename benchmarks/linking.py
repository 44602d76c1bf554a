"""The linker against GNU ld: mkshlib of the whole of musl's libc.a, a large link, and a small program with glibc."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import USELIB, consumed, interleaved, table, workspace

LIBC = {"x86_64": Path("/usr/lib/x86_64-linux-musl/libc.a"), "i386": Path("/usr/lib/i386-linux-musl/libc.a")}
LARGE = {"1 million relocations, 200,000 symbols": 100, "10 million relocations, 2 million symbols": 1000}  # objects
ROUNDS = 5


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        for arch, libc in LIBC.items():
            if libc.exists():
                whole_libc(directory, arch, libc)
            else:
                print(f"{libc} is not installed (musl-dev)")
        hello(directory)
        for title, objects in LARGE.items():
            large(directory, title, objects)


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


def large(directory: Path, title: str, objects: int) -> None:
    """Objects of 10,000 relocations and 2,000 symbols, half of them local: CPU time and memory."""
    folder = directory / f"large{objects}"
    folder.mkdir()
    files: list[str | Path] = [folder / f"{number}.o" for number in range(objects)]
    for number, file in enumerate(files):
        text = large_source(number, objects, 1000, 8)
        subprocess.run(["as", "-o", file], input=text.encode(), check=True)
    commands = {"uselib ld": [*USELIB, "ld"], "GNU ld": ["ld"]}
    found: dict[str, list[tuple[float, int]]] = {label: [] for label in commands}
    for _ in range(1 + ROUNDS):
        for label, command in commands.items():
            found[label].append(consumed([*command, *files, "-o", folder / "out"]))
    print(f"\n### {title}\n\n| what | CPU ms | ours / it | MiB | ours / it |\n|---|---:|---:|---:|---:|")
    cpu = {label: min(seconds for seconds, _ in rows[1:]) for label, rows in found.items()}
    size = {label: min(peak for _, peak in rows[1:]) for label, rows in found.items()}
    for label in commands:
        ratios = [f"{ours / its:.2f}" for ours, its in ((v["uselib ld"], v[label]) for v in (cpu, size))]
        print(f"| {label} | {cpu[label] * 1000:.0f} | {ratios[0]} | {size[label] / 2**20:.0f} | {ratios[1]} |")


def large_source(number: int, objects: int, functions: int, calls: int) -> str:
    """Assembler source number `number` of `objects`: global functions that call those of the next one, and local pointers to them."""
    following = (number + 1) % objects
    out = [".text"]
    for i in range(functions):
        out.append(f".globl f{number}_{i}\n.type f{number}_{i},@function\nf{number}_{i}:")
        for j in range(calls):
            if j % 2:
                out.append(f"\tcall f{following}_{(i * 7 + j) % functions}")
            else:
                out.append(f"\tleaq v{number}_{(i * 5 + j) % functions}(%rip),%rax")
        out.append(f"\tret\n.size f{number}_{i},.-f{number}_{i}")
    out.append(".data")
    for i in range(functions):
        name, other = f"v{number}_{i}", (i + 1) % functions
        out.append(
            f".type {name},@object\n{name}:\n\t.quad f{following}_{i}\n\t.quad f{number}_{other}+8\n.size {name},16"
        )
    if not number:
        out.append(".text\n.globl _start\n_start: call f0_0")
    return "\n".join([*out, '.section .note.GNU-stack,"",@progbits\n'])


if __name__ == "__main__":
    run()
