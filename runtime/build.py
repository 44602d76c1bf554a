"""Builds what runs in the guest: start-up files, libmini, the compiler's helper routines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import system_calls

from linker.formats.ar import Archive, NewMember, write_archive
from linker.formats.elf import SHT_SYMTAB, File
from linker.image import Machine
from runtime.compiler import Compiler, Job, compile_all

ROOT = Path(__file__).resolve().parent
SCHEMES = ("static", "uselib", "mmap")  # the index is crt1.c's USELIB_SCHEME
STARTUP = tuple(f"crt1-{scheme}.o" for scheme in SCHEMES)

_STB_LOCAL = 0


def defined_symbols(content: bytes, where: str) -> tuple[str, ...]:
    """The global and weak symbols that an object defines: what an archive's index lists. Raises FormatError."""
    file = File(memoryview(content), where)
    names: list[str] = []
    for index, section in enumerate(file.sections):
        if section[1] != SHT_SYMTAB:
            continue
        strings = file.strings(section[6])
        for name, info, _, shndx, _, _ in file.symbols(index):
            if info >> 4 != _STB_LOCAL and shndx != 0:
                names.append(strings[name])
    return tuple(names)


def write_objects(objects: Iterable[Path], output: Path) -> None:
    """Writes an archive of objects, in the order given."""
    members = []
    for path in objects:
        content = path.read_bytes()
        members.append(NewMember(path.name, content, defined_symbols(content, str(path))))
    output.write_bytes(write_archive(members))


def write_syscall_header(machine: Machine, output: Path) -> None:
    """sys/syscall.h: SYS_NAME for every system call of the machine."""
    table = system_calls.syscalls()
    lines = ["/* System-call numbers, generated from the package system-calls. */", "#ifndef _SYS_SYSCALL_H"]
    lines.append("#define _SYS_SYSCALL_H")
    numbers = {"uselib": 86 if machine is Machine.I386 else 134}  # not in every table: few kernels have it
    for name in table.names():
        try:
            numbers[name] = table.get(name, machine.label)
        except (system_calls.NoSuchSystemCall, system_calls.NotSupportedSystemCall):
            continue
    lines += [f"#define SYS_{name} {number}" for name, number in sorted(numbers.items(), key=lambda item: item[1])]
    lines.append("#endif\n")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines))


def build_startup(compiler: Compiler, machine: Machine, output: Path) -> None:
    """crt1-SCHEME.o, crti.o and crtn.o in directory `output`."""
    crt = ROOT / "crt"
    jobs = [
        Job(crt / "crt1.c", output / f"crt1-{scheme}.o", (f"-DUSELIB_SCHEME={number}",))
        for number, scheme in enumerate(SCHEMES)
    ]
    jobs += [Job(crt / f"{name}.S", output / f"{name}.o") for name in ("crti", "crtn")]
    compile_all(compiler, machine, jobs)


def build_builtins(compiler: Compiler, machine: Machine, work: Path, output: Path) -> list[Path]:
    """Archive `output` of the routines that compilers leave to a library. Returns its objects."""
    work.mkdir(parents=True, exist_ok=True)
    jobs = [Job(source, work / f"{source.stem}.o") for source in sorted((ROOT / "builtins").glob("*.c"))]
    compile_all(compiler, machine, jobs)
    write_objects((job.output for job in jobs), output)
    return [job.output for job in jobs]


def build_libmini(compiler: Compiler, machine: Machine, work: Path, include: Path, output: Path) -> list[Path]:
    """Archive `output` of libmini, compiled with the headers in `include`. Returns its objects."""
    work.mkdir(parents=True, exist_ok=True)
    sources = sorted(path for path in (ROOT / "libmini" / "src").iterdir() if path.suffix in (".c", ".S"))
    options = ("-std=gnu11", "-fno-common", "-isystem", str(include))
    jobs = [Job(source, work / f"{source.stem}.o", options) for source in sources]
    compile_all(compiler, machine, jobs)
    write_objects((job.output for job in jobs), output)
    return [job.output for job in jobs]


def merge_archives(archives: Iterable[Path]) -> bytes:
    """One archive with the members of several; a single one stays as it is. Raises FormatError."""
    paths = tuple(archives)
    if len(paths) == 1:
        return paths[0].read_bytes()
    members = []
    for path in paths:
        archive = Archive(path.read_bytes(), str(path))
        for member in archive.members():
            content = archive.data[member.start : member.start + member.size]
            if archive.thin:
                content = Path(member.path).read_bytes()
            members.append(NewMember(member.name, content, defined_symbols(content, f"{path}({member.name})")))
    return write_archive(members)
