"""The standard C library's prototypes against the headers of musl and of the host: a C compiler is the judge.

Every line of libc.txt becomes C again and is compiled behind all the headers: a declaration that differs from the library's is
an error ("conflicting types"), a wrong value or layout fails a _Static_assert. -Wredundant-decls counts what was really compared.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.paths import ROOT
from uselib.emulator.trace.prototypes import declarations
from uselib.emulator.trace.prototypes.declarations import standard
from uselib.emulator.trace.prototypes.type_views import (
    EnumerationView,
    FieldView,
    IntegerView,
    OpaqueView,
    StructureView,
)
from uselib.linker.c_types import annotated
from uselib.linker.image import Machine

MINI = ROOT / "runtime" / "libmini" / "include"
FILE = Path(declarations.__file__).with_name("libc.txt")
INCLUDE_TEXT = """assert complex ctype dirent dlfcn err errno fcntl fenv fnmatch ftw getopt glob grp iconv inttypes langinfo libgen
    libintl limits locale malloc math mntent nl_types poll pthread pwd regex sched search semaphore setjmp signal spawn stdbool stddef stdint
    stdio stdio_ext stdlib string strings syslog termios time uchar ucontext unistd utime wchar wctype wordexp arpa/inet
    net/if netdb netinet/in sys/auxv sys/epoll sys/eventfd sys/file sys/inotify sys/ioctl sys/mman sys/mount sys/prctl
    sys/random sys/resource sys/select sys/sendfile sys/signalfd sys/socket sys/stat sys/statfs sys/statvfs sys/sysinfo
    sys/time sys/timerfd sys/times sys/types sys/uio sys/utsname sys/wait"""
INCLUDES = INCLUDE_TEXT.split()
OWN_TYPES = ["comparison", "sighandler", "procedure"]  # names of libc.txt that no header has
ENUMS_IN_GLIBC = {
    "getitimer",
    "setitimer",
    "getrlimit",
    "setrlimit",
    "prlimit",
    "getpriority",
    "setpriority",
}  # under _GNU_SOURCE
HOSTS = [(Machine.X86_64, "musl"), (Machine.I386, "musl"), (Machine.X86_64, "glibc")]


@cache
def compile_flags(machine: Machine, library: str) -> list[str]:
    bits = "-m32" if machine is Machine.I386 else "-m64"
    if library == "glibc":
        return [bits]
    built_in = subprocess.run(["gcc", "-print-file-name=include"], capture_output=True, text=True).stdout.strip()
    if library == "mini":
        return [bits, "-nostdinc", f"-I{MINI}", f"-I{built_in}"]
    folder = Path(f"/usr/include/{machine.label}-linux-musl")
    if not folder.is_dir():
        pytest.skip(f"no musl headers for {machine.label}")
    return [bits, "-nostdinc", f"-I{folder}", f"-I{built_in}"]


def compiled(machine: Machine, library: str, body: str, tmp_path: Path, *options: str) -> tuple[int, str]:
    source = tmp_path / "check.c"
    present = "\n".join(f"#if __has_include(<{name}.h>)\n#include <{name}.h>\n#endif" for name in INCLUDES)
    source.write_text(f"#define _GNU_SOURCE\n#define _LARGEFILE64_SOURCE\n{present}\n{body}\n")
    command = [
        "gcc",
        *compile_flags(machine, library),
        "-std=gnu11",
        "-fsyntax-only",
        "-fno-builtin",
        *options,
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stderr


def lines(machine: Machine, library: str) -> Iterator[str]:
    """The lines of libc.txt that hold here; a later one replaces an earlier one of the same name, as `Declarations` has it."""
    chosen: dict[str, str] = {}
    for line in FILE.read_text().splitlines():
        condition, _, rest = line[1:].partition(" ") if line.startswith("@") else ("", "", line)
        if rest and not rest.startswith("//") and set(filter(None, condition.split("-"))) <= {machine.label, library}:
            name = re.match(
                r"(?:(?:flags|enum|chars) (\w+)|typedef .*?(\w+)\)?(?:\(.*\))?;$|struct (\w+) \{|[^(]*?(\w+)\()", rest
            )
            chosen[next(filter(None, name.groups())) if name else rest] = rest
    return iter(chosen.values())


def functions(machine: Machine, library: str) -> dict[str, str]:
    found = {}
    for line in lines(machine, library):
        no_function = re.match(r"(flags|enum|chars|typedef|alias|time64) |struct \w+ \{", line)
        match = None if no_function else re.match(r"[^(]*?(\w+)\(", line)
        if match and (library, match[1] in ENUMS_IN_GLIBC) != ("glibc", True):
            found[match[1]] = annotated.annotated(0, line).text
    return found


def sets() -> dict[str, str]:
    return dict(re.findall(r"(?m)^(?:@\S+ )?(?:flags|enum|chars) (\w+) : ([\w ]+?) ?[{;]", FILE.read_text()))


@pytest.mark.parametrize(("machine", "library"), HOSTS)
def test_every_prototype_is_the_librarys(machine: Machine, library: str, tmp_path: Path) -> None:
    declared = functions(machine, library)
    own = [f"typedef {type_} {name};" for name, type_ in sets().items() if name != "idtype_t"]
    own += [
        line
        for line in lines(machine, library)
        if any(name in line for name in OWN_TYPES) and line.startswith("typedef")
    ]
    own += [f"#undef {name}" for name in declared]
    code, said = compiled(
        machine,
        library,
        "\n".join([*own, *declared.values()]),
        tmp_path,
        "-Wredundant-decls",
        "-Wno-deprecated-declarations",
    )
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert (code, errors) == (0, [])
    compared = set(re.findall(r"redundant redeclaration of .(\w+).", said))
    assert len(compared) > 0.93 * len(declared), sorted(set(declared) - compared)
    assert len(compared) >= 900


def asserts(machine: Machine, library: str) -> Iterator[str]:
    found = standard(machine, library)
    for name in sets():
        type_ = found.typedef(name)
        for value in type_.values if isinstance(type_, EnumerationView) else ():
            if (library, value.name) == ("glibc", "O_LARGEFILE"):
                continue  # 0 there on x86-64: the kernel sets it
            yield f'#ifdef {value.name}\n_Static_assert({value.name} == {value.value}, "{value.name}");\n#endif'
    for name in re.findall(r"(?m)^(?:@\S+ )?struct (\w+) \{", FILE.read_text()):
        type_ = found.structure(name)
        assert isinstance(type_, StructureView)
        yield f'_Static_assert(sizeof(struct {name}) == {type_.size}, "size of {name}: {type_.size}");'
        for field in type_.fields:
            yield from field_asserts(name, field)
    for name in re.findall(r"(?m)^typedef .*?(\w+);$", FILE.read_text()):
        type_ = found.typedef(name)
        skipped = name in ("timer_t", "nl_catd", "jmp_buf", "sigjmp_buf", "va_list", "char16_t", "char32_t", *OWN_TYPES)
        if type_ is not None and type_.size and not isinstance(type_, OpaqueView) and not skipped:
            yield f'_Static_assert(sizeof({name}) == {type_.size}, "size of {name}: {type_.size}");'
            if isinstance(type_, IntegerView):
                yield f'_Static_assert((({name})-1 < 1) == {int(type_.signed and type_.style != "boolean")}, "sign of {name}");'


def field_asserts(structure: str, field: FieldView) -> Iterator[str]:
    aliases = {"sa_flags", "sa_restorer", "sa_mask"}
    if field.name and not field.name.startswith("__") and field.bits is None:
        yield f'_Static_assert(__builtin_offsetof(struct {structure}, {field.name}) == {field.offset}, "{structure}.{field.name}");'
        if field.name not in aliases:
            size = f"sizeof(((struct {structure} *)0)->{field.name})"
            yield f'_Static_assert({size} == {field.type.size}, "size of {structure}.{field.name}");'


@pytest.mark.parametrize(("machine", "library"), HOSTS)
def test_every_type_and_value_is_the_librarys(machine: Machine, library: str, tmp_path: Path) -> None:
    code, said = compiled(machine, library, "\n".join(asserts(machine, library)), tmp_path)
    assert (code, [line for line in said.splitlines() if ": error:" in line]) == (0, [])


@pytest.mark.parametrize("machine", list(Machine))
@pytest.mark.parametrize("library", ["musl", "glibc", "mini"])
def test_every_prototype_is_read(machine: Machine, library: str) -> None:
    found = standard(machine, library)
    names = list(found.names())
    assert len(names) > 1100
    for name in names:
        prototype = found.find(name)
        assert prototype is not None and prototype.name == name
        if name not in found.aliases:
            assert prototype == found.parsed(name)  # the fast reader against pycparser
        for type_ in (prototype.result, *(p.type for p in prototype.parameters)):
            assert not isinstance(type_, OpaqueView) or name in ("__libc_start_main",), (name, type_)


@pytest.mark.parametrize("machine", list(Machine))
def test_the_small_library_of_ours(machine: Machine, tmp_path: Path) -> None:
    """libmini has few of the types and functions: what it has must agree."""
    declared = functions(machine, "mini")
    own = [f"typedef {type_} {name};" for name, type_ in sets().items()] + [f"#undef {name}" for name in declared]
    own += [
        line
        for line in lines(machine, "mini")
        if any(name in line for name in OWN_TYPES) and line.startswith("typedef")
    ]
    for body in ("\n".join([*own, *declared.values()]), "\n".join(asserts(machine, "mini"))):
        said = compiled(machine, "mini", body, tmp_path, "-Wredundant-decls")[1]
        assert [line for line in said.splitlines() if "conflicting types" in line or "assertion failed" in line] == []
        assert "static_assert" in body.lower() or said.count("redundant redeclaration") > 150
