"""Public headers: what they declare, and the layout of their types. The C compiler is the judge of layouts and of constants."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tools import MACHINES, needs
from uselib.abi.static.comparison.check import check
from uselib.abi.static.headers.headers import HeaderFacts, header_files, read_headers, with_headers
from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact
from uselib.abi.static.readers.reading import read_facts
from uselib.linker.c_types.types import (
    Array,
    Base,
    Enumeration,
    FunctionType,
    Pointer,
    Qualified,
    Record,
    Typedef,
    Types,
    Unknown,
)
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.image import Machine

FLAG = {Machine.I386: "-m32", Machine.X86_64: "-m64"}
needs_gcc = needs("gcc")


def read(
    tmp_path: Path, text: str, machine: Machine = Machine.X86_64, *, compiler: bool = True, name: str = "lib.h"
) -> HeaderFacts:
    path = tmp_path / name
    path.write_text(text)
    return read_headers([str(path)], machine, compiler=("gcc", FLAG[machine]) if compiler else ())


def record(types: Types, name: str) -> Record:
    return next(row for row in types.rows if isinstance(row, Record) and row.name == name)


def shown(types: Types, number: int) -> str:
    """A type in short, for comparisons."""
    row = types[number]
    match row:
        case Pointer():
            return shown(types, row.target) + "*"
        case Qualified():
            return f"{row.qualifier} {shown(types, row.target)}"
        case Array():
            return f"{shown(types, row.element)}[{'' if row.count is None else row.count}]"
        case FunctionType():
            words = [shown(types, p.type) for p in row.parameters] + ["..."] * row.variadic
            mark = f" {row.convention}" if row.convention else ""
            return f"{shown(types, row.result)}({', '.join(words) if row.prototyped else '?'}){mark}"
        case Record() | Enumeration() | Typedef() | Base():
            return row.name or "?"
    return type(row).__name__.lower()


# -- layout, against the compiler --------------------------------------------------------------------------------------

LAYOUTS = """
#include <stdint.h>
struct plain { char a; short b; int c; long long d; char e; double f; long double g; void *h; };
struct __attribute__((packed)) packed { char a; int b; struct plain c; long long d; };
struct late { char a; long b; } __attribute__((packed, aligned(4)));
struct bits { unsigned a : 3; int b : 7; long long c : 40; char d; unsigned : 0; int e : 30; short f : 9; };
struct packed_bits { char a; int b : 31; int c : 5; long long d : 33; } __attribute__((packed));
struct aligned_member { char a; int b __attribute__((aligned(16))); char c; _Alignas(8) char d; };
struct one_packed { char a; int b __attribute__((packed)); long long c; };
union u { char a[5]; int b; struct { short x; char y; } c; };
struct nested { char a; union u b; struct { char x; union { int y; double z; }; }; struct plain d[2]; };
enum small { S1, S2 = 200 } __attribute__((packed));
enum big { B1 = 1, B2 = 0x123456789LL };
enum negative { N1 = -1, N2 };
struct enums { char a; enum small b; char c; enum big d; enum negative e; };
typedef int aligned_int __attribute__((aligned(8)));
struct with_typedef { char a; aligned_int b; char c; };
typedef int wide __attribute__((mode(DI)));
struct modes { char a; wide b; int8_t c; uint64_t d; };
#pragma pack(push, 2)
struct pack2 { char a; int b; long long c; short d; double e; int f : 20; short g : 15; long long h : 40; int i; };
#pragma pack(push, 1)
struct pack1 { char a; int b; long long c; };
#pragma pack(pop)
struct pack2_again { char a; int b __attribute__((aligned(8))); };
#pragma pack(pop)
struct unpacked { char a; int b; };
struct flexible { int n; char data[]; };
struct empty { };
struct complex_members { char a; float _Complex b; char c; double _Complex d; _Bool e; };
struct zero { int a : 4; int : 0; int b : 4; char c; int : 0; char d; };
"""


@needs_gcc
def test_layouts_are_the_compilers(machine: Machine, tmp_path: Path) -> None:
    found = read(tmp_path, LAYOUTS, machine)
    assert not found.unknown
    checks = checked_by_compiler(tmp_path, found, machine)
    assert checks > 100


def checked_by_compiler(tmp_path: Path, found: HeaderFacts, machine: Machine) -> int:
    """Every size, alignment, offset and value as a static assertion. Gives how many; bit-fields are compared with DWARF's."""
    lines = ['#include "lib.h"', "#include <stddef.h>"]
    for row in found.types.rows:
        if isinstance(row, Record) and row.name and row.size is not None and row.name in found.record_names:
            name = f"{row.kind} {row.name}"
            lines.append(f'_Static_assert(sizeof({name}) == {row.size}, "size of {name}: {row.size}");')
            lines.append(
                f'_Static_assert(_Alignof({name}) == {row.alignment}, "alignment of {name}: {row.alignment}");'
            )
            for member in row.members:
                if member.name and member.width is None:
                    words = f'"{name}.{member.name}: {member.offset // 8}"'
                    lines.append(f"_Static_assert(offsetof({name}, {member.name}) == {member.offset // 8}, {words});")
                elif member.name:
                    lines.append(bit_check(name, row, member.name, member.offset, member.width or 0))
        elif isinstance(row, Enumeration) and row.size is not None:
            if row.name:
                lines.append(f'_Static_assert(sizeof(enum {row.name}) == {row.size}, "{row.name}");')
            lines += [f'_Static_assert({name} == {value}, "{name}");' for name, value in row.values]
    lines.append(
        "int main(void) { "
        + " ".join(f"if (check{n}()) return {n % 200 + 1};" for n in bit_numbers(lines))
        + " return 0; }"
    )
    source = tmp_path / "check.c"
    source.write_text("\n".join(lines))
    program = tmp_path / "check"
    flags = [FLAG[machine], "-w", "-std=gnu17", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector"]
    entry = '\nvoid _start(void) { int r = main(); __asm__ volatile ("int $0x80" :: "a"(1), "b"(r)); for (;;); }'
    source.write_text(source.read_text() + entry)
    done = subprocess.run(["gcc", *flags, str(source), "-o", str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(program)]).returncode == 0
    return sum("assert" in line for line in lines)


def bit_check(name: str, row: Record, member: str, offset: int, width: int) -> str:
    """A function that sets all bits of a bit-field and looks which ones are set."""
    bit_check.count = getattr(bit_check, "count", 0) + 1  # type: ignore[attr-defined]
    number = bit_check.count  # type: ignore[attr-defined]
    return (
        f"static int check{number}(void) {{ static union {{ {name} v; unsigned char b[{row.size}]; }} u; u.v.{member} = -1; "
        f"for (int i = 0; i < {8 * (row.size or 0)}; i++) "
        f"if (((u.b[i / 8] >> i % 8) & 1) != (i >= {offset} && i < {offset + width})) return 1; return 0; }}"
    )


def bit_numbers(lines: list[str]) -> list[int]:
    return [
        int(line.split("(")[0].removeprefix("static int check"))
        for line in lines
        if line.startswith("static int check")
    ]


MEMBER_TYPES = ["char", "short", "int", "long", "long long", "double", "float", "char *", "struct inner", "long double"]
BIT_TYPES = {"char": 8, "short": 16, "int": 32, "unsigned": 32, "long long": 64}


@st.composite
def structures(draw: st.DrawFn) -> str:
    members = []
    for number in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            kind = draw(st.sampled_from(sorted(BIT_TYPES)))
            width = draw(st.integers(0, BIT_TYPES[kind]))
            members.append(f"{kind} {f'm{number}' if width else ''} : {width};")
        else:
            kind = draw(st.sampled_from(MEMBER_TYPES))
            suffix = draw(st.sampled_from(["", "", "[3]", " __attribute__((aligned(8)))", " __attribute__((packed))"]))
            members.append(f"{kind} m{number}{suffix};")
    attribute = draw(st.sampled_from(["", "", "__attribute__((packed))", "__attribute__((aligned(16)))"]))
    pack = draw(st.sampled_from(["", "", "1", "2", "4"]))
    kind = draw(st.sampled_from(["struct", "struct", "union"]))
    text = f"{kind} s {{ {' '.join(members)} }} {attribute};"
    return f"#pragma pack(push, {pack})\n{text}\n#pragma pack(pop)" if pack else text


@needs_gcc
@settings(max_examples=60, deadline=None)
@given(text=structures(), machine=st.sampled_from(MACHINES))
def test_random_structures_are_laid_out_as_by_the_compiler(
    tmp_path_factory: pytest.TempPathFactory, text: str, machine: Machine
) -> None:
    folder = tmp_path_factory.mktemp("layout")
    found = read(folder, f"struct inner {{ char a; int b; }};\n{text}\n", machine)
    checked_by_compiler(folder, found, machine)


# -- what is declared --------------------------------------------------------------------------------------------------

DECLARED = """
#ifdef __cplusplus
extern "C" {
#endif
#include <stddef.h>
#include <stdarg.h>
#define API __attribute__((visibility("default")))
typedef struct handle handle;            /* opaque */
typedef struct { int x, y; } point;
struct node { struct node *next; point at; };
API handle *open_it(const char *restrict name, unsigned flags);
API int __attribute__((format(printf, 2, 3))) say(handle *h, const char *text, ...);
API void each(handle *h, int (*call)(void *context, const point *p), void *context);
void sorted(int items[], size_t count, const char names[static 4][16]);
void vsay(const char *text, va_list rest);
int old_style();
int renamed(void) __asm__("real_name");
__extension__ extern const long long table[4];
extern int first, *second;
static inline int inner(int n) { struct { int y; } local = {n}; if (n) { return local.y; } return '}'; }
extern int errors __attribute__((aligned(8)));
_Static_assert(sizeof(int) == 4, "int; is {4}");
_Noreturn void stop(void);
typedef int operation(int, int);
operation add;
operation *chosen(char which);
[[deprecated]] int oldest(void);
#ifdef __cplusplus
}
#endif
"""


@needs_gcc
def test_declarations(machine: Machine, tmp_path: Path) -> None:
    found = read(tmp_path, DECLARED, machine)
    assert found.unknown == ()
    functions = {name: shown(found.types, declared.type) for name, declared in found.functions.items()}
    rest = "char*" if machine is Machine.I386 else "__va_list_tag*"
    assert functions == {
        "open_it": "handle*(const char*, unsigned int)",
        "say": "int(handle*, const char*, ...)",
        "each": "void(handle*, int(void*, const point*)*, void*)",
        "sorted": "void(int*, size_t, const char[16]*)",
        "vsay": f"void(const char*, {rest if machine is Machine.X86_64 else 'va_list'})",
        "old_style": "int(?)",
        "real_name": "int()",
        "stop": "void()",
        "add": "operation",
        "chosen": "operation*(char)",
        "oldest": "int()",
    }
    data = {name: shown(found.types, declared.type) for name, declared in found.data.items()}
    assert data == {"table": "const long long int[4]", "first": "int", "second": "int*", "errors": "int"}
    assert found.functions["say"].place == f"{tmp_path}/lib.h:12"
    assert {"point", "node"} <= found.record_names and "handle" not in found.record_names


@pytest.mark.parametrize("compiler", ["clang", "zig"])
def test_other_preprocessors_give_the_same(machine: Machine, compiler: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None or (
        shutil.which("clang") is None if compiler == "clang" else find_spec("ziglang") is None
    ):
        pytest.skip(f"no gcc, or no {compiler}")
    target = "x86-linux-musl" if machine is Machine.I386 else "x86_64-linux-musl"
    command = (
        ("clang", FLAG[machine]) if compiler == "clang" else (sys.executable, "-m", "ziglang", "cc", "-target", target)
    )
    text = DECLARED + CONSTANTS.replace("#define GUARD", "").replace("#include <sys/ioctl.h>", "").replace(
        "COMMAND _IOW", "COMMAND 1 //"
    )
    expected = read(tmp_path, text, machine)
    found = read_headers([str(tmp_path / "lib.h")], machine, compiler=command)
    assert (found.functions.keys(), found.constants, found.unknown) == (
        expected.functions.keys(),
        expected.constants,
        (),
    )
    names = ("point", "node")
    assert [record(found.types, n).size for n in names[1:]] == [record(expected.types, n).size for n in names[1:]]


@needs_gcc
def test_calling_conventions(tmp_path: Path) -> None:
    text = """
    int __attribute__((stdcall)) a(int);
    int b(int) __attribute__((regparm(3)));
    struct ops { int (__attribute__((fastcall)) *call)(int); };
    void c(struct ops *ops);
    int __attribute__((ms_abi)) d(int);
    """
    found = read(tmp_path, text, Machine.I386)
    kinds = {name: found.types[declared.type] for name, declared in found.functions.items()}
    assert [kinds[name].convention for name in "abcd"] == ["stdcall", "regparm(3)", "", "ms"]  # type: ignore[union-attr]
    ops = record(found.types, "ops")
    assert shown(found.types, ops.members[0].type) == "int(int) fastcall*"
    there = read(tmp_path, text, Machine.X86_64)
    assert [there.types[there.functions[name].type].convention for name in "abd"] == ["", "", "ms"]  # type: ignore[union-attr]


CONSTANTS = r"""
#define GUARD
#define TEN 10
#define HEX 0x1FUL
#define OCTAL 017
#define BINARY 0b101
#define SUM (TEN + HEX * 2)
#define SHIFT (1u << 31)
#define NOT (~0U)
#define CAST ((unsigned char)-1)
#define HALF (18446744073709551615UL / 2)
#define MINUS (-7 / 2 + -7 % 4)
#define LETTER 'a'
#define NEWLINE '\n'
#define TEXT "one" " two"
#define PI 3.25
#define TINY -1e-3f
#define MAKE(a, b) ((a) << 8 | (b))
#define VERSION_NUMBER MAKE(1, 2)
#define TYPE int
#define SIZE sizeof(int)
#define AGAIN AGAIN
#define CALL do_it()
#define GONE 4
#undef GONE
#define OF_ENUM (RED + 1)
#define CONDITION (TEN > 5 ? 1 : 2)
#include <sys/ioctl.h>
#define COMMAND _IOW('x', 3, struct item)
struct item { int a, b; };
enum { RED = 5 };
"""


@needs_gcc
def test_constants(tmp_path: Path) -> None:
    found = read(tmp_path, CONSTANTS)
    values = {name: constant.value for name, constant in found.constants.items()}
    assert values == {
        "TEN": 10,
        "HEX": 31,
        "OCTAL": 15,
        "BINARY": 5,
        "SUM": 72,
        "SHIFT": 1 << 31,
        "NOT": 0xFFFFFFFF,
        "CAST": 255,
        "LETTER": 97,
        "NEWLINE": 10,
        "TEXT": "one two",
        "PI": 3.25,
        "TINY": -0.001,
        "OF_ENUM": 6,
        "CONDITION": 1,
        "VERSION_NUMBER": 258,
        "SIZE": 4,
        "HALF": 2**63 - 1,
        "MINUS": -6,
        "COMMAND": 0x40087803,
    }
    assert found.constants["TEN"].place == f"{tmp_path}/lib.h:3"


def test_enumerations_with_a_type_of_their_own(tmp_path: Path) -> None:
    text = "#include <stdint.h>\nenum a : uint8_t { A1 = 200 };\ntypedef enum : long long { B1 } b;\nstruct s { enum a x; b y; enum a z : 3; };"
    found = read(tmp_path, text, compiler=False)
    rows = {row.values[0][0]: row for row in found.types.rows if isinstance(row, Enumeration)}
    assert (rows["A1"].size, rows["A1"].signed, rows["B1"].size, rows["B1"].signed) == (1, False, 8, True)
    assert [m.offset for m in record(found.types, "s").members] == [0, 64, 128]


@needs_gcc
def test_only_the_given_headers_count(tmp_path: Path) -> None:
    folder = tmp_path / "include" / "lib"
    folder.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "other.h").write_text(
        "#define OTHER 1\nint other(void);\ntypedef struct { int n; } other_t;\n"
    )
    (folder / "part.h").write_text("#define PART 2\nint part(void);\n")
    (folder / "lib.h").write_text(
        '#include <stdio.h>\n#include <other.h>\n#include "part.h"\nother_t whole(FILE *f);\n#ifdef EXTRA\nint extra(void);\n#endif\n'
    )
    command = ("gcc", "-m64")
    include = [str(tmp_path / "other")]
    found = read_headers([str(folder / "lib.h")], Machine.X86_64, include, ["EXTRA=1"], command)
    assert sorted(found.functions) == ["extra", "part", "whole"]
    assert sorted(found.constants) == ["PART"]
    assert "other_t" in found.record_names  # a program that includes these headers sees it
    same = read_headers([str(tmp_path / "include")], Machine.X86_64, include, [], command)
    assert sorted(same.functions) == ["part", "whole"] and len(same.files) == 2


# -- without a compiler ------------------------------------------------------------------------------------------------


def test_without_a_compiler(tmp_path: Path) -> None:
    (tmp_path / "part.h").write_text("#pragma once\ntypedef uint32_t id_t_;\n")
    text = """
    #ifndef LIB_H
    #define LIB_H
    #include <stdint.h>
    #include "part.h"
    #ifdef __cplusplus
    extern "C" {
    #endif
    #define LIMIT (4 * 8)
    struct item { id_t_ id; uint64_t n; char name[LIMIT]; };
    int put(const struct item *item, size_t count); // a comment
    #ifdef __cplusplus
    }
    #endif
    #endif
    """
    for machine, size in ((Machine.I386, 44), (Machine.X86_64, 48)):
        found = read(tmp_path, text, machine, compiler=False)
        assert sorted(found.functions) == ["put"] and found.constants["LIMIT"].value == 32
        assert record(found.types, "item").size == size
        assert len(found.unknown) == 1 and "without a C compiler" in found.unknown[0]


# -- what cannot be read -----------------------------------------------------------------------------------------------


@needs_gcc
def test_one_bad_declaration_leaves_the_others_alone(tmp_path: Path) -> None:
    text = "int good(int a);\nint bad(int a b);\nstruct s { int x; };\nint takes(missing_t *m, struct s *s);\nint last(void);\n"
    found = read(tmp_path, text)
    assert sorted(found.functions) == ["good", "last", "takes"]
    assert found.unknown == (
        f"declaration not understood: {tmp_path}/lib.h:2: not a C declaration, at b: `int bad(int a b);`",
        f"{tmp_path}/lib.h:4: type missing_t is not declared in the headers",
    )
    assert "bad" in found.uncertain  # it may be public: it must not be taken for private


@needs_gcc
def test_a_header_that_stops_the_preprocessor(tmp_path: Path) -> None:
    (tmp_path / "bad.h").write_text("int before(void);\n#include <no_such_header.h>\n")
    (tmp_path / "good.h").write_text("int good(void);\n")
    with pytest.raises(FormatError, match=r"bad\.h:2: no_such_header\.h: No such file or directory; -I DIR and -D"):
        read_headers([str(tmp_path / "bad.h")], Machine.X86_64, compiler=("gcc", "-m64"))
    found = read_headers([str(tmp_path)], Machine.X86_64, compiler=("gcc", "-m64"))
    assert sorted(found.functions) == ["good"]
    assert any("bad.h:2: no_such_header.h" in text for text in found.unknown)


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.h: no such header"):
        header_files([str(tmp_path / "none.h")])
    with pytest.raises(FormatError, match="has no header in it"):
        header_files([str(tmp_path)])


def test_a_compiler_that_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text("int a(void);\n")
    with pytest.raises(FormatError, match="cannot be run"):
        read_headers([str(tmp_path / "a.h")], Machine.X86_64, compiler=(str(tmp_path / "cc"),))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_headers_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut, doubled and mixed-up C: something is read, or a ToolError says why not."""
    folder = tmp_path_factory.mktemp("damaged")
    text = data.draw(st.sampled_from([LAYOUTS, DECLARED, CONSTANTS]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 40)))
        put = data.draw(
            st.sampled_from(
                [
                    "",
                    "{",
                    "}",
                    "(",
                    ")",
                    ";",
                    '"',
                    "'",
                    "__attribute__((",
                    "struct",
                    "$r9",
                    "$m0",
                    "#define A A(",
                    "\0",
                    "\\",
                ]
            )
        )
        text = text[:at] + put + text[end:]
    try:
        found = read(folder, text, compiler=False)
    except ToolError:
        return
    assert isinstance(found, HeaderFacts)


def test_long_chains_of_pointers_are_no_deep_recursion(tmp_path: Path) -> None:
    text = "".join(f"struct s{n} {{ struct s{n + 1} *next; }};\n" for n in range(3000)) + "void take(struct s0 *s);\n"
    found = read(tmp_path, text, compiler=False)
    assert sum(isinstance(row, Record) for row in found.types.rows) == 3001


def test_nesting_without_end_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, "int deep(int " + "(" * 5000 + "x" + ")" * 5000 + ");\nint good(void);\n", compiler=False)
    assert "good" in found.functions and found.unknown


# -- against debug information -----------------------------------------------------------------------------------------


@needs_gcc
def test_headers_and_debug_information_say_the_same(machine: Machine, tmp_path: Path) -> None:
    """The check itself finds no difference between the types of one library as its headers and as its DWARF give them."""
    (tmp_path / "layouts.h").write_text(LAYOUTS)
    names = [
        line.split("{")[0].split()[-1]
        for line in LAYOUTS.splitlines()
        if line.startswith(("struct ", "union ", "enum "))
    ]
    names = [name for name in names if name.isidentifier()]
    kinds = {"u": "union", "small": "enum", "big": "enum", "negative": "enum"}
    text = '#include <stdarg.h>\n#include "layouts.h"\n'
    text += "".join(f"int use_{name}({kinds.get(name, 'struct')} {name} *p, unsigned long n);\n" for name in names)
    text += "long double numbers(const char *const *a, _Bool b, unsigned char c, float (*call)(short, ...), va_list rest);\n"
    text += "extern struct plain table[3]; extern volatile int flag; extern int (*hook)(void);\n"
    (tmp_path / "lib.h").write_text(text)
    body = '#include "lib.h"\nstruct plain table[3]; volatile int flag; int (*hook)(void);\n'
    body += "".join(
        f"int use_{name}({kinds.get(name, 'struct')} {name} *p, unsigned long n) {{ return p != 0; }}\n"
        for name in names
    )
    body += "long double numbers(const char *const *a, _Bool b, unsigned char c, float (*call)(short, ...), va_list rest) { return 0; }\n"
    (tmp_path / "lib.c").write_text(body)
    flags = [FLAG[machine], "-g", "-fPIC", "-shared", "-nostdlib", "-ffreestanding", "-w"]
    subprocess.run(["gcc", *flags, "lib.c", "-o", "lib.so"], cwd=tmp_path, check=True)
    facts = read_facts(tmp_path / "lib.so")
    declared = read_headers([str(tmp_path / "lib.h")], machine, compiler=("gcc", FLAG[machine]))
    assert declared.unknown == () and len(declared.functions) == len(names) + 1
    sides = with_headers(facts, declared, types=False), with_headers(facts, declared, types=True)
    for old, new in (sides, sides[::-1]):
        report = check(old, new)
        # DWARF has no alignment of packed records, and spells mode(DI) in another way
        assert {finding.rule.id for finding in report.findings} <= {"alignment-changed", "same-representation"}
        assert len(report.findings) <= 5 and report.counts["types"] >= len(set(names))


# -- facts -------------------------------------------------------------------------------------------------------------


@needs_gcc
def test_with_headers(tmp_path: Path) -> None:
    found = read(tmp_path, "#define N 3\nstruct p { int x; };\nint norm(struct p *p);\nextern int count;\n")
    functions = {name: FunctionFact(name) for name in ("norm", "private")}
    facts = Facts(
        "lib.so", FileKind.SHARED_OBJECT, Machine.X86_64, functions=functions, data={"count": DataFact("count")}
    )
    seen = with_headers(facts, found)
    assert (
        seen.public == {"norm", "count"}
        and seen.typed
        and seen.constants is not None
        and seen.constants["N"].value == 3
    )
    assert seen.record_names is not None and "p" in seen.record_names
    number = seen.functions["norm"].type
    assert number is not None and shown(seen.types, number) == "int(p*)"
    assert seen.functions["norm"].place == f"{tmp_path}/lib.h:3"
    assert seen.functions["private"].type is None
    kept = with_headers(facts, found, types=False)
    assert not kept.typed and kept.functions["norm"].type is None and kept.public == seen.public


def test_headers_that_declare_nothing_do_not_hide_everything(tmp_path: Path) -> None:
    found = read(tmp_path, "#define N 3\n", compiler=False)
    facts = Facts("lib.so", FileKind.SHARED_OBJECT, Machine.X86_64, functions={"f": FunctionFact("f")})
    seen = with_headers(facts, found)
    assert seen.public is None and any("every export counts as public" in text for text in seen.unknown)


def test_headers_of_another_library_do_not_hide_everything(tmp_path: Path) -> None:
    found = read(tmp_path, "int other(void);\n", compiler=False)
    facts = Facts("lib.so", FileKind.SHARED_OBJECT, Machine.X86_64, functions={"f": FunctionFact("f")})
    seen = with_headers(facts, found)
    assert seen.public is None and any(
        "declare none of the 1 names that lib.so exports" in text for text in seen.unknown
    )


def test_cplusplus_is_told(tmp_path: Path) -> None:
    text = 'class a { public: int f(); };\nextern "C" int plain(int);\nnamespace n { int g(); }\n'
    found = read(tmp_path, text, compiler=False)
    assert "plain" in found.functions and {"a", "f", "g"} <= found.uncertain
    assert sum("C++ is not read" in text for text in found.unknown) == 2


def test_vectors_are_not_modelled(tmp_path: Path) -> None:
    found = read(tmp_path, "typedef int v4 __attribute__((vector_size(16)));\nv4 add(v4 a, v4 b);\n", compiler=False)
    assert any(isinstance(row, Unknown) for row in found.types.rows)
