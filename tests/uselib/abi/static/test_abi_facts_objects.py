"""Facts of ordinary ELF shared objects and programs, against readelf; and files that are neither."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.c_types import compile_shared
from support.tools import needs
from uselib.abi.static.model.facts import FileKind
from uselib.abi.static.readers.reading import kind_of, read_any, read_facts, read_program
from uselib.linker.errors import FormatError
from uselib.linker.image import Machine

pytestmark = needs("gcc")

VERSIONED = """
int old_f(int a) { return a; }
int new_f(int a, int b) { return a + b; }
__asm__(".symver old_f,f@V1\\n.symver new_f,f@@V2");
int only(void) { return 1; }
int third = 3;
const int fixed = 5;
static int impl(int x) { return x; }
static void *pick(void) { return impl; }
int fast(int x) __attribute__((ifunc("pick")));
__thread int tls = 4;
int *const where = &third;
int *const table[2] = { 0, &third };
__attribute__((weak)) void weakling(void) {}
__attribute__((visibility("hidden"))) int hidden(void) { return 2; }
__attribute__((visibility("protected"))) int guarded(void) { return hidden(); }
extern int elsewhere(int);
int out(void) { return elsewhere(1); }
"""
VERSIONS = "V1 { global: only; f; third; };\nV2 { global: f; fast; fixed; tls; weakling; guarded; out; where; table; local: *; } V1;\n"


@pytest.fixture(scope="module", params=["-m64", "-m32"])
def versioned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("versioned")
    (directory / "v.map").write_text(VERSIONS)
    options = (request.param, "-g", "-Wl,--version-script=v.map", "-Wl,-soname,libv.so.1", "-Wl,-z,relro")
    return compile_shared(directory, "v", VERSIONED, *options)


def test_versions(versioned: Path) -> None:
    facts = read_facts(versioned)
    assert facts.kind is FileKind.SHARED_OBJECT and not facts.fixed and facts.soname == "libv.so.1"
    assert facts.symbol_versions == ("V1", "V2")
    assert set(facts.functions) == {"f", "f@V1", "fast", "only", "weakling", "guarded", "out"}
    assert set(facts.data) == {"third", "fixed", "tls", "where", "table"}
    old, new = facts.functions["f@V1"], facts.functions["f"]
    assert (old.name, old.symbol_version, old.default_version) == ("f", "V1", False)
    assert (new.name, new.symbol_version, new.default_version) == ("f", "V2", True)
    assert old.type is not None and new.type is not None
    assert len(facts.types[old.type].parameters) == 1 and len(facts.types[new.type].parameters) == 2  # type: ignore[union-attr]
    assert facts.functions["weakling"].weak and not facts.functions["only"].weak
    assert all(f.address == 0 and f.slot == 0 for f in facts.functions.values()) and not facts.slots
    assert facts.unknown == (f"{versioned}: no type information for 1 of 7 functions: fast",)  # an IFUNC has no entry


def test_data(versioned: Path) -> None:
    facts = read_facts(versioned)
    data = facts.data
    assert (data["third"].writable, data["fixed"].writable, data["tls"].writable) == (True, False, None)
    assert data["where"].writable is False  # in the part that is made read-only after relocation
    assert data["fixed"].contents == b"\5\0\0\0" and data["tls"].contents is None
    assert data["table"].contents == bytes(2 * facts.machine.word)
    assert all(bool(f.code) == (facts.machine is Machine.X86_64) for f in facts.functions.values() if f.name != "fast")


def test_as_readelf_sees_it(versioned: Path) -> None:
    text = subprocess.run(
        ["readelf", "-W", "--dyn-syms", "-d", str(versioned)], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(
        r"^ *\d+: ([0-9a-f]+) +(\d+) (FUNC|OBJECT|IFUNC|TLS) +(?:GLOBAL|WEAK) +\w+ +(\d+|UND) ([\w@]+)", text, re.M
    )
    defined = {}
    for value, size, _, section, name in rows:
        if section != "UND":
            defined[name.replace("@@", "@")] = (int(value, 16), int(size))
    facts = read_facts(versioned)
    ours = {f"{f.name}@{f.symbol_version}": (f.implementation, f.size) for f in facts.functions.values()}
    assert ours == {name: row for name, row in defined.items() if name in ours}
    assert {f"{d.name}@{d.symbol_version}": d.size for d in facts.data.values()} == {
        n: s for n, (_, s) in defined.items() if n not in ours
    }


def test_library_as_a_user_of_others(versioned: Path) -> None:
    facts = read_program(versioned)
    assert facts.uses is not None and [use.name for use in facts.uses] == ["elsewhere"]
    (use,) = facts.uses
    assert use.kind == "function" and use.type is not None


def test_dynamic_program(tmp_path: Path) -> None:
    library = compile_shared(tmp_path, "libv", "int f(int a) { return a; } int datum = 3;", "-Wl,-soname,libv.so")
    (tmp_path / "main.c").write_text(
        "struct s { int a; }; int f(int); extern int datum; int g(struct s *p) { return p->a; }\n"
        "int main(void) { struct s p = {1}; return f(datum) + g(&p); }\n"
    )
    for options in ("-pie", "-fPIE"), ("-no-pie", "-fno-pie"):
        output = tmp_path / "program"
        subprocess.run(["gcc", "-g", *options, "main.c", str(library), "-o", str(output)], check=True, cwd=tmp_path)
        assert kind_of(output) is FileKind.PROGRAM
        facts = read_any(output)
        assert facts == read_program(output)
        assert "libv.so" in facts.sonames and "libc.so.6" in facts.sonames  # type: ignore[union-attr]
        uses = {use.name: use for use in facts.uses or ()}  # type: ignore[union-attr]
        assert uses["f"].kind == "function" and uses["f"].type is not None
        assert uses["datum"].kind == "data" and uses["datum"].type is not None, options
        assert "s" in facts.records  # type: ignore[union-attr]
        libc = uses["__libc_start_main"]
        assert libc.library == "libc.so.6" and libc.symbol_version.startswith("GLIBC_")
        assert "__gmon_start__" not in uses


def test_program_that_knows_a_tag_in_two_ways(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        "struct s { int a; }; int other(void); int main(void) { struct s p = {1}; return p.a + other(); }\n"
    )
    (tmp_path / "other.c").write_text("struct s { long b, c; }; int other(void) { struct s p = {1}; return p.b; }\n")
    subprocess.run(["gcc", "-g", "main.c", "other.c", "-o", "program"], check=True, cwd=tmp_path)
    facts = read_program(tmp_path / "program")
    assert "s" in facts.records
    assert any("struct s is defined in 2 ways; that of main.c:1 is compared" in said for said in facts.unknown), (
        facts.unknown
    )


def test_code_digest_of_a_shared_object(tmp_path: Path) -> None:
    text = "extern int other(int); static int table[4]; int a(int n) { return table[n] + other(n); }\nint b(int n) { return a(n) * 2; }\n"
    old = read_facts(compile_shared(tmp_path, "old", text))
    new = read_facts(
        compile_shared(tmp_path, "new", "int first(int n) { return n / 7; } int room[100] = {1};\n" + text)
    )
    assert old.functions["b"].implementation != new.functions["b"].implementation
    assert {n: f.code for n, f in old.functions.items()} == {n: new.functions[n].code for n in old.functions}


def _big_endian(data: bytearray) -> None:
    data[5] = 2


def _arm(data: bytearray) -> None:
    data[18] = 183


def _x32(data: bytearray) -> None:
    data[4] = 1


def _core(data: bytearray) -> None:
    data[16] = 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_big_endian, "a big-endian ELF file; only i386 and x86-64"),
        (_arm, "ELF machine 183 is neither i386 nor x86-64"),
        (_x32, "x32 (ELF32 for x86-64) is neither i386 nor x86-64"),
        (_core, "is neither a library nor a program (ELF type 4)"),
        (lambda data: data.clear(), "is empty"),
        (lambda data: data.__setitem__(slice(None), b"hello world"), "is neither an ELF file nor a stub library"),
        (
            lambda data: data.__setitem__(slice(None), b"!<arch>\n"),
            "is an archive without `LIBRARY NAME`: not a stub library",
        ),
        (lambda data: data.__delitem__(slice(100, None)), "truncated"),
    ],
)
def test_other_files(tmp_path: Path, change: object, words: str) -> None:
    data = bytearray(compile_shared(tmp_path, "x", "int f(void) { return 1; }").read_bytes())
    change(data)  # type: ignore[operator]
    path = tmp_path / "changed"
    path.write_bytes(data)
    for read in read_facts, read_any, kind_of:
        with pytest.raises(FormatError) as caught:
            read(path)
        assert words in str(caught.value) and str(path) in str(caught.value)


def test_objects_directories_and_missing_files(tmp_path: Path) -> None:
    compile_shared(tmp_path, "x", "int f(void) { return 1; }", "-c")
    with pytest.raises(FormatError, match="is an object file; link it to a library first"):
        read_facts(tmp_path / "x.so")
    with pytest.raises(FormatError, match="is a directory without `LIBRARY NAME`: not a stub library"):
        read_facts(tmp_path)
    with pytest.raises(FormatError, match="cannot be read: No such file or directory"):
        read_facts(tmp_path / "nothing")
    with pytest.raises(FormatError, match="is not a regular file"):
        read_facts("/dev/null")
