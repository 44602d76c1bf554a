"""Calling conventions of i386 that gcc leaves out of debug information: deduced at every optimisation level."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.c_types import compile_shared
from support.tools import needs
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.readers.reading import read_facts
from uselib.linker.c_types.types import FunctionType

pytestmark = needs("gcc")

# One function a line: its convention is behind the //
SOURCE = """
struct two { int a, b; }; struct big { int a[5]; };
#define R(n) __attribute__((regparm(n)))
#define S __attribute__((stdcall))
#define F __attribute__((fastcall))
#define T __attribute__((thiscall))
R(3) int r3(int a, int b, int c, int d) { return a + b * c - d; } // regparm(3)
R(1) int r1(int a, int b) { return a - b; } // regparm(1)
R(2) int unused_register(int a) { return 1; } // regparm(1)
R(3) int wide_register(long long a, int b) { return a + b; } // regparm(3)
R(3) int small_registers(char c, short s, unsigned char u) { return c + s + u; } // regparm(3)
R(3) int struct_registers(struct two t, int n) { return t.a + n; } // regparm(3)
S int sc(int a, int b) { return a - b; } // stdcall
S int sc_wide(long long a, short b) { return a + b; } // stdcall
S struct big sc_struct(int a) { struct big b = {{a}}; return b; } // stdcall
S int sc_by_value(struct two t, struct big b) { return t.a + t.b + b.a[0]; } // stdcall
F int fc(int a, int b, int c) { return a - b * c; } // fastcall
F double fc_double(int a, double b) { return a + b; } // fastcall
T int tc(int a, int b) { return a - b; } // thiscall
int plain(int a, int b) { return a - b; } //
int unused(int a) { return 1; } //
int none(void) { return 1; } //
struct big hidden(int a) { struct big b = {{a}}; return b; } //
double floats(float a, double b, long double c, int d) { return a + b + c + d; } //
int small(char c, short s, unsigned char u, _Bool b) { return c + s + u + b; } //
int many(int a, int b, int c, int d, int e, int f, int g) { return a * b * c * d * e * f * g; } //
int by_value(struct two t, int n) { return t.a + t.b + n; } //
int loops(char *s, int n) { int t = 0; while (n--) { t += s[n]; if (t == 77) return 3; } return t; } //
int variadic(const char *f, ...) { return *f; } //
"""
EXPECTED = {
    line.partition("{")[0].rpartition("(")[0].split()[-1].partition("(")[0].lstrip("*"): line.partition("//")[2].strip()
    for line in SOURCE.splitlines()
    if "//" in line
}


def _conventions(facts: Facts) -> dict[str, str]:
    rows = {f.name: facts.types[f.type] for f in facts.functions.values() if f.type is not None}
    return {name: row.convention for name, row in rows.items() if isinstance(row, FunctionType)}


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("options", ["-gdwarf-5 -fPIC", "-gdwarf-4 -fno-pic", "-gdwarf-3 -fomit-frame-pointer"])
def test_deduced(tmp_path: Path, level: str, options: str) -> None:
    facts = read_facts(compile_shared(tmp_path, "c", SOURCE, "-m32", level, *options.split()))
    found = _conventions(facts)
    assert "stdcall" in EXPECTED.values() and len(EXPECTED) == 23
    said = " ".join(facts.unknown)
    if "the calling convention is not recorded" not in said:
        assert found == EXPECTED
    else:  # whatever is told is right
        assert "-gdwarf-3" in options or facts.unknown == ()
        assert all(words in ("", EXPECTED[name]) for name, words in found.items())


def test_undecided_conventions_are_reported(tmp_path: Path) -> None:
    text = "int other(int, int); int jumps(int a, int b) { return other(a, b); }\n"
    facts = read_facts(compile_shared(tmp_path, "t", text, "-m32", "-O2", "-g", "-fno-pic"))
    assert _conventions(facts) == {"jumps": ""}
    said = f"{tmp_path / 't.so'}: the calling convention is not recorded and cannot be told from the code: jumps"
    assert facts.unknown == (said,)


def test_options_of_the_compiler(tmp_path: Path) -> None:
    """-mregparm concerns function pointers too: those take it from the compiler's options, which gcc records."""
    text = "int call(int (*f)(int), int a) { return f(a) + 1; }\n"
    facts = read_facts(compile_shared(tmp_path, "t", text, "-m32", "-O1", "-g", "-mregparm=2"))
    assert _conventions(facts) == {"call": "regparm(2)"}
    pointers = [
        row.convention for row in facts.types.rows if isinstance(row, FunctionType) and len(row.parameters) == 1
    ]
    assert pointers == ["regparm(2)"]


def test_not_on_x86_64(tmp_path: Path) -> None:
    facts = read_facts(compile_shared(tmp_path, "t", "int f(int a) { return a; }\n", "-O1", "-g"))
    assert _conventions(facts) == {"f": ""} and not facts.unknown
