"""`uselib ld`: options, libraries, messages and outputs."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.snippets import compile_snippet
from support.tools import needs, require
from uselib.cli import main
from uselib.linker.command_line import parse
from uselib.linker.errors import UsageError
from uselib.linker.image import Machine
from uselib.linker.options import InputArgument, InputGroup

needs_gcc = needs("gcc", "ar")
EXIT = 'void quit(int n) { __asm__ volatile("syscall" : : "a"(231), "D"(n)); for (;;); }\n'


class Build:
    """Compiles snippets and links them, in one directory."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.capsys = capsys

    def object(self, name: str, source: str, *flags: str) -> str:
        return compile_snippet(self.directory / f"{name}.o", source, "-fno-stack-protector", *flags)

    def archive(self, name: str, *members: str, flags: str = "rcsD") -> str:
        path = self.directory / name
        subprocess.run(["ar", flags, str(path), *members], check=True)
        return str(path)

    def ld(self, *words: str, status: int = 0) -> str:
        """Links to self.output; gives stderr."""
        got = main(["ld", "-o", str(self.output), *words])
        said = self.capsys.readouterr()
        self.said = said.out
        assert got == status, said.err
        return said.err

    @property
    def output(self) -> Path:
        return self.directory / "out"

    def run(self) -> int:
        return subprocess.run([self.output], timeout=20).returncode

    def sections(self) -> dict[str, tuple[int, int]]:
        with self.output.open("rb") as stream:
            return {s.name: (s.header.sh_addr, s.header.sh_size) for s in ELFFile(stream).iter_sections()}

    def symbols(self) -> dict[str, int]:
        with self.output.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            return {s.name: s.entry.st_value for s in table.iter_symbols()} if table else {}


@pytest.fixture
def build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Build:
    return Build(tmp_path, capsys)


START = EXIT + "int value(void); void _start(void) { quit(value()); }"


# -- options -----------------------------------------------------------------------------------------------------------


def test_option_spellings() -> None:
    line = (
        "-o out -L dir -Lother --library-path=third -lc -l :x.a -melf_i386 -e main --defsym a=1 --defsym=b=a+1 -z now -znoexecstack"
        " -Ttext=0x1000 -Tdata 2000 --image-base=0x400000 --section-start=.x=3000 -u f --build-id=0xabcd -Map=m @nofile"
        " --whole-archive w.a --no-whole-archive --start-group -la b.a --end-group --push-state --whole-archive x.a --pop-state y.a"
        " -plugin p -plugin-opt=x -dynamic-linker /lib/ld.so --hash-style=gnu --as-needed -O1 -static -s"
    )
    options = parse(line.split())
    assert options.output == "out"
    assert options.library_paths == ("dir", "other", "third")
    assert options.machine is not None and options.machine.label == "i386"
    assert options.entry == "main"
    assert options.defsym == (("a", "1"), ("b", "a+1"))
    assert options.section_starts == ((".text", 0x1000), (".data", 0x2000), (".x", 0x3000))
    assert options.base == 0x400000
    assert options.build_id == "abcd"
    assert options.executable_stack is False
    assert options.strip_all
    assert options.inputs == (
        InputArgument("c", library=True),
        InputArgument(":x.a", library=True),
        InputArgument("@nofile"),
        InputArgument("w.a", whole=True),
        InputGroup((InputArgument("a", library=True), InputArgument("b.a"))),
        InputArgument("x.a", whole=True),
        InputArgument("y.a"),
    )


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("-enable-new-dtags", {}),
        ("-error-limit=0", {"error_limit": 0}),
        ("-unique", {"unique": ("",)}),
        ("--uniq=a --unique=b", {"unique": ("a", "b")}),
        ("--gc-sec", {"gc_sections": True}),
        ("-strip-a", {"strip_all": True}),
        ("-entry=main", {"entry": "main"}),
        ("-emain -umain", {"entry": "main", "undefined": ("main",)}),
        ("-oformat", {"output": "format"}),
        ("-output", {"output": "utput"}),
        ("-melf_i386", {"machine": Machine.I386}),
        ("-Lrary", {"library_paths": ("rary",)}),
        ("-zmuldefs", {"allow_multiple_definition": True}),
        ("-Ttext-seg=0x1000", {"base": 0x1000}),
    ],
)
def test_long_options_with_one_dash_and_abbreviations(words: str, changed: dict[str, object]) -> None:
    assert parse(words.split()) == replace(parse([]), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--no-such-option x.o", "--no-such-option: unknown option"),
        ("-Q", "-Q: unknown option"),
        ("--gc-section=x x.o", "--gc-section=x: takes no value"),
        ("--whole-archives x.o", "--whole-archives: unknown option; did you mean --whole-archive?"),
        ("-enable-new-tags x.o", "-enable-new-tags: unknown option; did you mean --enable-new-dtags?"),
        ("-undefined-foo x.o", "-undefined-foo: unknown option"),
        ("--stat x.o", "--stat: an ambiguous option; write --static, --static-pie, --stats"),
        ("-shared -m i386coff x.o", "-shared: not supported for this format"),
        ("-pie --scheme mmap x.o", "-pie: not supported with a scheme of fixed-address libraries"),
        ("-T script x.o", "linker scripts with SECTIONS are not supported"),
        ("-m elf64ppc x.o", "no such emulation; there are elf_i386, elf_x86_64, i386linux, i386coff, textbook"),
        ("-z nonsense", "-z nonsense: unknown keyword"),
        ("--image-base=pear", "`pear` is not a number"),
        ("-o", "-o: needs a value"),
        ("--defsym x", "should be SYMBOL=EXPRESSION"),
        ("--start-group x.a", "has no --end-group"),
        ("--end-group", "there is no group to end"),
        ("--scheme other", "is not a scheme"),
        ("--static=1", "takes no value"),
    ],
)
def test_bad_options_are_named(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse(words.split())
    assert main(["ld", *words.split()]) == 2
    assert capsys.readouterr().err.startswith("uselib: ld: ")


def test_response_files(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.write_text("-e 'a b' c\\ d")
    outer = tmp_path / "outer"
    outer.write_text(f"-s\n@{inner} x.o")
    options = parse([f"@{outer}"])
    assert options.entry == "a b"
    assert options.inputs == (InputArgument("c d"), InputArgument("x.o"))
    outer.write_text(f"@{outer}")
    with pytest.raises(UsageError, match="without end"):
        parse([f"@{outer}"])


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ld", "--help"]) == 0
    assert "--gc-sections" in capsys.readouterr().out
    assert main(["ld", "-v"]) == 0
    assert "GNU ld" in capsys.readouterr().out


# -- libraries ---------------------------------------------------------------------------------------------------------


@needs_gcc
def test_search_order_and_exact_names(build: Build) -> None:
    start = build.object("start", START)
    for directory, number in (("one", 1), ("two", 2)):
        member = build.object(f"{directory}/m", f"int value(void) {{ return {number}; }}")
        build.archive(f"{directory}/libv.a", member)
    one, two = str(build.directory / "one"), str(build.directory / "two")
    build.ld(start, "-L", two, "-L", one, "-lv")
    assert build.run() == 2
    build.ld(start, "-L", one, "-l:libv.a")
    assert build.run() == 1
    said = build.ld(start, "-L", one, "-lmissing", status=1)
    assert "-lmissing: no libmissing.so or libmissing.a in the library directories; give its place with -L" in said


@needs_gcc
def test_order_of_archives_matters_but_not_in_groups(build: Build) -> None:
    start = build.object("start", START)
    a = build.archive("a.a", build.object("a", "int second(void); int value(void) { return second(); }"))
    b = build.archive("b.a", build.object("b", "int second(void) { return 9; }"))
    assert "undefined symbol: second" in build.ld(start, b, a, status=1)
    build.ld(start, "--start-group", b, a, "--end-group")
    assert build.run() == 9
    build.ld(start, b, a, b)
    assert build.run() == 9


@needs_gcc
def test_archives_without_index_and_thin_ones(build: Build) -> None:
    start = build.object("start", START)
    member = build.object("m", "int value(void) { return 3; }")
    for flags in ("rcSD", "rcsTD"):
        build.ld(start, build.archive(f"{flags}.a", member, flags=flags))
        assert build.run() == 3
    os.unlink(member)
    assert "m.o: cannot be read: No such file" in build.ld(start, str(build.directory / "rcsTD.a"), status=1)


@needs_gcc
def test_linker_scripts_that_name_libraries(build: Build) -> None:
    start = build.object("start", START)
    build.archive("libreal.a", build.object("m", "int value(void) { return 4; }"))
    script = build.directory / "libv.a"
    script.write_text("/* GNU ld script */ OUTPUT_FORMAT(elf64-x86-64) GROUP ( libreal.a AS_NEEDED ( ) )")
    build.ld(start, "-L", str(build.directory), "-lv")
    assert build.run() == 4
    script.write_text("INPUT(libv.a)")
    assert "this linker script names itself" in build.ld(start, str(script), status=1)
    script.write_text("SECTIONS { }")
    assert "neither an object file, an archive nor" in build.ld(start, str(script), status=1)


@needs_gcc
def test_undefined_keeps_members_and_weak_references_do_not(build: Build) -> None:
    start = build.object("start", EXIT + "int f(void) __attribute__((weak)); void _start(void) { quit(f ? f() : 6); }")
    library = build.archive("l.a", build.object("f", "int f(void) { return 7; }"))
    build.ld(start, library)
    assert build.run() == 6
    build.ld(start, "-u", "f", library)
    assert build.run() == 7


# -- messages ----------------------------------------------------------------------------------------------------------


@needs_gcc
def test_wrong_machine_and_missing_files_are_all_reported(build: Build) -> None:
    start = build.object("start", START)
    other = build.object("other", "int value(void) { return 1; }", "-m32")
    said = build.ld(start, other, "nowhere.o", status=1)
    assert f"{other}: an object for i386 in a link for x86_64; compile it for the same machine" in said
    assert "nowhere.o: cannot be read: No such file or directory" in said
    assert not build.output.exists()


@needs_gcc
def test_unsuitable_inputs(build: Build) -> None:
    text = build.directory / "notes.txt"
    text.write_text("hello")
    assert "neither an object file, an archive nor" in build.ld(str(text), status=1)
    assert "a position-independent program, not a shared object" in build.ld("/bin/true", status=1)
    assert "no input files" in build.ld(status=1)
    lto = build.object("lto", START, "-flto")
    assert "link-time-optimisation data only; link by the compiler that made it" in build.ld(lto, status=1)


@needs_gcc
def test_truncated_member_is_named(build: Build) -> None:
    start = build.object("start", START)
    member = build.object("m", "int value(void) { return 3; }")
    archive = build.archive("l.a", member)
    data = Path(archive).read_bytes()
    Path(archive).write_bytes(data[:-200])
    assert re.search(r"l\.a: truncated: member 'm\.o' runs over the end", build.ld(start, archive, status=1))
    Path(member).write_bytes(Path(member).read_bytes()[:300])
    assert re.search(r"m\.o: truncated: the section headers lie beyond", build.ld(start, member, status=1))


@needs_gcc
def test_missing_entry_is_a_warning(build: Build) -> None:
    code = build.object("code", "int f(void) { return 1; }")
    assert "uselib: warning: ld: no entry point _start; using 0x401000" in build.ld(code)
    build.ld(code, "-w")
    build.ld(code, "--fatal-warnings", status=1)


@needs_gcc
def test_conflicting_addresses(build: Build) -> None:
    start = build.object("start", START + " int value(void) { return 1; } int d = 3;")
    assert re.search(r"overlap at 0x401000.*; move one with", build.ld(start, "-Tdata=401000", status=1))
    assert "not a multiple of the page size" in build.ld(start, "--image-base=0x400100", status=1)


# -- output ------------------------------------------------------------------------------------------------------------


@needs_gcc
def test_addresses_can_be_chosen(build: Build) -> None:
    start = build.object("start", START + " int d = 3; int z; int value(void) { return d + z; }")
    build.ld(start, "--image-base=0x10000000")
    assert build.run() == 3
    assert build.symbols()["_start"] & 0xFFFF0000 == 0x10000000
    build.ld(start, "-Ttext=0x2000000", "-Tdata=0x1000000", "-Tbss=0x3000000")
    assert build.run() == 3
    sections = build.sections()
    assert (sections[".text"][0], sections[".data"][0], sections[".bss"][0]) == (0x2000000, 0x1000000, 0x3000000)
    build.ld(start, "--section-start=.data=0x5000010", "-e", "_start")
    assert build.run() == 3
    assert build.sections()[".data"][0] == 0x5000010


@needs_gcc
def test_absurd_sizes(build: Build) -> None:
    start = build.object("start", START + " int value(void) { return 1; }")
    huge = build.directory / "huge.o"
    text = '.section .data.x,"aw",@nobits\n.zero 0x100000000\n.data\n.byte 1\n'
    subprocess.run(["as", "--64", "-o", str(huge)], input=text.encode(), check=True)
    assert re.search(r"the output would have 0x\w+ bytes, \.data alone", build.ld(start, str(huge), status=1))
    text = ".comm x,0x7fffffffffff,8\n"
    subprocess.run(["as", "--64", "-o", str(huge)], input=text.encode(), check=True)
    assert "beyond the address space of x86_64" in build.ld(start, str(huge), status=1)


@needs_gcc
def test_output_is_reproducible_and_atomic(build: Build) -> None:
    start = build.object("start", START + " int value(void) { return 1; }")
    build.ld(start, "--build-id")
    first = build.output.read_bytes()
    assert stat.S_IMODE(build.output.stat().st_mode) & 0o111
    build.ld(start, "--build-id")
    assert build.output.read_bytes() == first
    assert len(build.sections()[".note.gnu.build-id"]) == 2
    build.ld(start, "missing.o", status=1)
    assert build.output.read_bytes() == first  # untouched by the failed link
    assert sorted(p.name for p in build.directory.iterdir()) == ["out", "start.o"]


@needs_gcc
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_directory(build: Build) -> None:
    start = build.object("start", START + " int value(void) { return 1; }")
    os.chmod(build.directory, 0o500)
    try:
        assert "Permission denied" in build.ld(start, status=1)
    finally:
        os.chmod(build.directory, 0o700)


@needs_gcc
def test_missing_output_directory(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    start = build.object("start", START + " int value(void) { return 1; }")
    missing = build.directory / "no" / "where"
    assert main(["ld", start, "-o", str(missing)]) == 1
    assert capsys.readouterr().err == f"uselib: {missing}: cannot be written: No such file or directory\n"
    assert main(["ld", start, "-o", "/dev/full"]) == 1
    assert capsys.readouterr().err == "uselib: /dev/full: cannot be written: No space left on device\n"


@needs_gcc
def test_stripping(build: Build) -> None:
    start = build.object(
        "start", START + " static int hidden(void) { return 1; } int value(void) { return hidden(); }", "-g", "-O0"
    )
    build.ld(start)
    assert ".debug_info" in build.sections() and "hidden" in build.symbols()
    build.ld(start, "-S")
    assert ".debug_info" not in build.sections() and "hidden" in build.symbols()
    build.ld(start, "-x", "-S")
    assert "hidden" not in build.symbols() and "value" in build.symbols()
    build.ld(start, "-s")
    assert ".debug_info" not in build.sections() and not build.symbols()
    assert build.run() == 1


@needs_gcc
def test_map_trace_and_collected_sections(build: Build) -> None:
    start = build.object(
        "start", START + " int value(void) { return 1; } int unused(void) { return 2; }", "-ffunction-sections", "-O0"
    )
    mapped = build.directory / "map"
    build.ld(start, f"-Map={mapped}", "-t", "--gc-sections", "--print-gc-sections", "-y", "value")
    assert start in build.said.splitlines()
    assert f"removing unused section '.text.unused' in file '{start}'" in build.said
    assert f"{start}: definition of value" in build.said
    text = mapped.read_text()
    assert f"LOAD {start}" in text
    assert re.search(r"^\.text +0x0*401000", text, re.M)
    assert re.search(rf"{build.symbols()['value']:#018x} +value", text)


@needs_gcc
def test_unresolved_symbols_can_be_allowed(build: Build) -> None:
    start = build.object("start", START.replace("quit(value())", "quit(5)") + " void *p = &value; ")
    assert "undefined symbol: value" in build.ld(start, status=1)
    build.ld(start, "--unresolved-symbols=ignore-all")
    assert build.run() == 5


@needs_gcc
def test_multiple_definitions_can_be_allowed(build: Build) -> None:
    start = build.object("start", START)
    one, two = (build.object(f"v{n}", f"int value(void) {{ return {n}; }}") for n in (1, 2))
    assert "value: defined twice; first in" in build.ld(start, one, two, status=1)
    build.ld(start, one, two, "-z", "muldefs")
    assert build.run() == 1


@needs_gcc
def test_stack_flags(build: Build) -> None:
    start = build.object("start", START + " int value(void) { return 1; }")
    for flags, wanted in (((), 6), (("-z", "execstack"), 7)):
        build.ld(start, *flags)
        with build.output.open("rb") as stream:
            stack = [s.header for s in ELFFile(stream).iter_segments() if s.header.p_type == "PT_GNU_STACK"]
        assert [s.p_flags for s in stack] == [wanted]


@needs_gcc
def test_ld_dir_lets_gcc_use_our_linker(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["ld-dir"]) == 0
    directory = build.capsys.readouterr().out.strip()
    source = build.directory / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { printf("hello %.2f\\n", 1.5); return 0; }\n')
    output = build.directory / "hello"
    command = [
        "gcc",
        f"-B{directory}",
        "-static",
        "-Wl,-Map," + str(build.directory / "map"),
        str(source),
        "-o",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if "cannot find" in done.stderr or "no libc.a" in done.stderr:
        pytest.skip("no static C library here")
    assert done.returncode == 0, done.stderr
    assert subprocess.run([output], capture_output=True).stdout == b"hello 1.50\n"
    assert "LOAD " in (build.directory / "map").read_text()


@needs_gcc
def test_cxx_exceptions_and_threads_in_a_static_program(build: Build) -> None:
    require("g++")
    source = build.directory / "x.cc"
    source.write_text(
        "#include <stdexcept>\n#include <thread>\n#include <cstdio>\nthread_local int t = 5;\n"
        'int main() { try { throw std::runtime_error("boom"); } catch (std::exception &e) { puts(e.what()); }\n'
        ' std::thread x([] { t = 6; printf("%d\\n", t); }); x.join(); printf("%d\\n", t); }\n'
    )
    assert main(["ld-dir"]) == 0
    directory = build.capsys.readouterr().out.strip()
    for flags in ((), ("-Wl,--eh-frame-hdr,--gc-sections",)):
        done = subprocess.run(
            ["g++", f"-B{directory}", "-static", *flags, str(source), "-o", str(build.output)],
            capture_output=True,
            text=True,
        )
        if done.returncode and "no lib" in done.stderr:
            pytest.skip("no static C++ library here")
        assert done.returncode == 0, done.stderr
        assert subprocess.run([build.output], capture_output=True, text=True).stdout == "boom\n6\n5\n"
