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

from support.c_types import LAYOUTS, read_header
from support.mkshlib import FLAG
from support.tools import needs
from uselib.abi.static.comparison.check import check
from uselib.abi.static.headers.public_interface import HeaderFacts, header_files, read_headers, with_headers
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

needs_gcc = needs("gcc")


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
    found = read_header(tmp_path, DECLARED, machine)
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
    expected = read_header(tmp_path, text, machine)
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
    found = read_header(tmp_path, text, Machine.I386)
    kinds = {name: found.types[declared.type] for name, declared in found.functions.items()}
    assert [kinds[name].convention for name in "abcd"] == ["stdcall", "regparm(3)", "", "ms"]  # type: ignore[union-attr]
    ops = record(found.types, "ops")
    assert shown(found.types, ops.members[0].type) == "int(int) fastcall*"
    there = read_header(tmp_path, text, Machine.X86_64)
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
    found = read_header(tmp_path, CONSTANTS)
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
    found = read_header(tmp_path, text, compiler=False)
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
        found = read_header(tmp_path, text, machine, compiler=False)
        assert sorted(found.functions) == ["put"] and found.constants["LIMIT"].value == 32
        assert record(found.types, "item").size == size
        assert len(found.unknown) == 1 and "without a C compiler" in found.unknown[0]


# -- what cannot be read -----------------------------------------------------------------------------------------------


@needs_gcc
def test_one_bad_declaration_leaves_the_others_alone(tmp_path: Path) -> None:
    text = "int good(int a);\nint bad(int a b);\nstruct s { int x; };\nint takes(missing_t *m, struct s *s);\nint last(void);\n"
    found = read_header(tmp_path, text)
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
        found = read_header(folder, text, compiler=False)
    except ToolError:
        return
    assert isinstance(found, HeaderFacts)


def test_long_chains_of_pointers_are_no_deep_recursion(tmp_path: Path) -> None:
    text = "".join(f"struct s{n} {{ struct s{n + 1} *next; }};\n" for n in range(3000)) + "void take(struct s0 *s);\n"
    found = read_header(tmp_path, text, compiler=False)
    assert sum(isinstance(row, Record) for row in found.types.rows) == 3001


def test_nesting_without_end_is_told(tmp_path: Path) -> None:
    found = read_header(
        tmp_path, "int deep(int " + "(" * 5000 + "x" + ")" * 5000 + ");\nint good(void);\n", compiler=False
    )
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
    found = read_header(tmp_path, "#define N 3\nstruct p { int x; };\nint norm(struct p *p);\nextern int count;\n")
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
    found = read_header(tmp_path, "#define N 3\n", compiler=False)
    facts = Facts("lib.so", FileKind.SHARED_OBJECT, Machine.X86_64, functions={"f": FunctionFact("f")})
    seen = with_headers(facts, found)
    assert seen.public is None and any("every export counts as public" in text for text in seen.unknown)


def test_headers_of_another_library_do_not_hide_everything(tmp_path: Path) -> None:
    found = read_header(tmp_path, "int other(void);\n", compiler=False)
    facts = Facts("lib.so", FileKind.SHARED_OBJECT, Machine.X86_64, functions={"f": FunctionFact("f")})
    seen = with_headers(facts, found)
    assert seen.public is None and any(
        "declare none of the 1 names that lib.so exports" in text for text in seen.unknown
    )


def test_cplusplus_is_told(tmp_path: Path) -> None:
    text = 'class a { public: int f(); };\nextern "C" int plain(int);\nnamespace n { int g(); }\n'
    found = read_header(tmp_path, text, compiler=False)
    assert "plain" in found.functions and {"a", "f", "g"} <= found.uncertain
    assert sum("C++ is not read" in text for text in found.unknown) == 2


def test_vectors_are_not_modelled(tmp_path: Path) -> None:
    found = read_header(
        tmp_path, "typedef int v4 __attribute__((vector_size(16)));\nv4 add(v4 a, v4 b);\n", compiler=False
    )
    assert any(isinstance(row, Unknown) for row in found.types.rows)
