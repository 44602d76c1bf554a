"""Builds what runs in the guest: start-up files, libmini, the compiler's helper routines."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import system_calls

from uselib.linker.formats.ar import Archive, NewMember, write_archive
from uselib.linker.formats.elf import SHF_TLS, SHT_SYMTAB, STB_LOCAL, STB_WEAK, ElfFile
from uselib.linker.image import Machine
from uselib.runtime.compiler import Compiler, Job, compile_all

ROOT = Path(__file__).resolve().parent
SCHEMES = ("static", "uselib", "mmap", "kernel", "bsdos", "interp")  # the index is crt1.c's USELIB_SCHEME


def defined_symbols(content: bytes, where: str, *, strong: bool = False) -> tuple[str, ...]:
    """The global and (unless `strong`) weak symbols that an object defines: an archive's index. Raises FormatError."""
    file = ElfFile(memoryview(content), where)
    without = (STB_LOCAL, STB_WEAK) if strong else (STB_LOCAL,)
    names: list[str] = []
    for index, section in enumerate(file.sections):
        if section.type != SHT_SYMTAB:
            continue
        strings = file.strings(section.link)
        for name, info, _, shndx, _, _ in file.symbols(index):
            if info >> 4 not in without and shndx != 0:
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


def build_boot(compiler: Compiler, machine: Machine, output: Path) -> None:
    """Object `output` with a C library's own start-up code for the schemes bsdos and interp."""
    compile_all(compiler, machine, [Job(ROOT / "crt" / "boot.c", output)])


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


def exposed(content: bytes, where: str) -> bytes:
    """An object whose hidden symbols without a leading underscore have become default ones.

    zig keeps what it wrote itself of the C library (strlen, memcpy, fabs) hidden; a shared library has to export it.
    """
    file = ElfFile(memoryview(content), where)
    result = bytearray(content)
    other = 5 if file.machine is Machine.X86_64 else 13  # st_other within Elf64_Sym, Elf32_Sym
    for index, section in enumerate(file.sections):
        if section.type != SHT_SYMTAB:
            continue
        strings = file.strings(section.link)
        for number, (name, info, visibility, shndx, _, _) in enumerate(file.symbols(index)):
            if info >> 4 != STB_LOCAL and shndx != 0 and visibility & 3 and not strings[name].startswith("_"):
                result[section.offset + number * section.entry_size + other] &= 0xFC
    return bytes(result)


def merge_archives(archives: Iterable[Path]) -> bytes:
    """One archive of several, less members that define again what an earlier one has: no link would ever take those.

    zig's libc.a has both of musl's allocators, other archives have the rest of the library. Raises FormatError.
    """
    members, seen = [], set[str]()
    for path in archives:
        read = Archive(path.read_bytes(), str(path))
        for member in read.members():
            content = (
                Path(member.path).read_bytes() if read.thin else read.data[member.start : member.start + member.size]
            )
            where = f"{path}({member.name})"
            content = exposed(content, where)
            strong = defined_symbols(content, where, strong=True)
            if seen.isdisjoint(strong):
                seen.update(strong)
                members.append(NewMember(os.path.basename(member.name), content, defined_symbols(content, where)))
    return write_archive(members)


def has_thread_local_data(archive: Path) -> bool:
    """Whether a member has thread-local sections. Raises FormatError."""
    read = Archive(archive.read_bytes(), str(archive))
    for member in read.members():
        content = Path(member.path).read_bytes() if read.thin else read.data[member.start : member.start + member.size]
        file = ElfFile(memoryview(content), f"{archive}({member.name})")
        if any(section.flags & SHF_TLS for section in file.sections):
            return True
    return False
