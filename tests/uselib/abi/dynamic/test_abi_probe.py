"""`uselib abi probe`: differences of each kind are found on both machines and shrunk; equal libraries have none; what cannot be
probed is refused by name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.paths import ROOT
from support.programs import build, source, sysroot
from uselib.abi.dynamic.probe import values as v
from uselib.abi.dynamic.probe.hints import Hints
from uselib.abi.dynamic.probe.pair import LibraryPair
from uselib.abi.dynamic.probe.probe import probe, replay
from uselib.abi.dynamic.probe.spec import ProbeRequest, Refused
from uselib.abi.dynamic.probe.strategies import arguments, lengths, limits
from uselib.cli import main
from uselib.commands import cc, mkshlib
from uselib.emulator.trace.prototypes.type_views import EnumerationView, IntegerView
from uselib.linker.errors import ToolError

HEADER = """
struct point { int x, y; double w; char name[8]; };
struct bits { unsigned a : 3; int b : 5; unsigned char c; };
union number { int i; float f; };
enum mode { FAST, SLOW = 5, EXACT };
enum flags { READ = 1, WRITE = 2, EXECUTE = 4 };
struct node { int value; struct node *next; };
struct hidden;
int clamp(int value, int low, int high);
int weird(int value);
int sum(const int *values, int count);
int upper(char *text);
int norm(struct point *p, int scale);
struct point mid(struct point a, struct point b);
double scale(double x, enum mode m);
const char *name_of(enum mode m);
int fill(char *buf, unsigned long size, int c);
int spin(unsigned n);
int say(int n);
long long wide(long long a, short b, unsigned char c);
float half(float f);
long double extended(long double x);
int many(int a, double b, long long c, float d, int e, int f, int g, int h, double i, short j);
int crash(int n);
int count(void);
int parse(const char *s);
int leave(int n);
int *place(int n);
int behind(char *text);
int small(struct bits b);
int either(union number *u, int i);
int open_it(enum flags f);
int first(const struct node *list);
int nothing(int *out);
int put(int n);
int get(void);
void keep(const char *text);
char kept(void);
int each(int (*f)(int), int n);
int all(const char *format, ...);
int use(struct hidden *h);
extern int counter;
extern int errno;
"""
NEWLY = {  # function -> (body in 1.0, body in 1.1)
    "clamp": ("int clamp(int value, int low, int high)", "return value < low ? low : value > high ? high : value;", ""),
    "weird": ("int weird(int value)", "return 0;", "return value == 47111;"),
    "sum": (
        "int sum(const int *values, int count)",
        "return total(values, count);",
        "return total(values, count) + (count == 3);",
    ),
    "upper": ("int upper(char *text)", "return raise(text, 'z');", "return raise(text, 'y');"),
    "norm": (
        "int norm(struct point *p, int scale)",
        "p->x *= scale; return 0;",
        "p->x *= scale; if (p->name[0]) p->w = 1; return 0;",
    ),
    "mid": (
        "struct point mid(struct point a, struct point b)",
        "a.x = b.x; return a;",
        "a.x = b.x; a.w += b.y > 9; return a;",
    ),
    "scale": (
        "double scale(double x, enum mode m)",
        "return m == SLOW ? x * 2 : x;",
        "return x != x ? 0 : m == SLOW ? x * 2 : x;",
    ),
    "name_of": (
        "const char *name_of(enum mode m)",
        'return m == FAST ? "fast" : m == SLOW ? "slow" : "exact";',
        'return m == FAST ? "fast" : m == SLOW ? "slow" : "precise";',
    ),
    "fill": (
        "int fill(char *buf, unsigned long size, int c)",
        "for (unsigned long i = 0; i < size; i++) buf[i] = c; return 0;",
        "for (unsigned long i = 0; i + 1 < size; i++) buf[i] = c; return 0;",
    ),
    "spin": ("int spin(unsigned n)", "return n;", 'while (n == 1000) __asm__ volatile(""); return n;'),
    "say": ("int say(int n)", 'return printf("%d\\n", n) < 0;', 'return printf("%u\\n", n) < 0;'),
    "wide": (
        "long long wide(long long a, short b, unsigned char c)",
        "return a + b - c;",
        "return a + b - c + (a >> 40 == 1);",
    ),
    "half": ("float half(float f)", "return f / 2;", "return f > 1000 ? f : f / 2;"),
    "extended": ("long double extended(long double x)", "return x + 1;", "return x == 2 ? x : x + 1;"),
    "many": (
        "int many(int a, double b, long long c, float d, int e, int f, int g, int h, double i, short j)",
        "return a + b + c + d + e + f + g + h + i + j == 5;",
        "return a + b + c + d + e + f + g + h + i + j == 5 || j == -77;",
    ),
    "crash": ("int crash(int n)", "return n;", "return n > 100 ? *(volatile int *)8 : n;"),
    "count": ("int count(void)", "counter++; return 0;", "counter += 2; return 0;"),
    "parse": (
        "int parse(const char *s)",
        "return !strcmp(s, \"quick\") ? 1 : *s == 'q' ? errno = 22, -1 : 0;",
        "return !strcmp(s, \"quick\") ? 1 : *s == 'q' ? errno = 33, -1 : 0;",
    ),
    "leave": ("int leave(int n)", "return n;", "if (n == 3) exit(7); return n;"),
    "place": (
        "int *place(int n)",
        "static int kept; kept = n; return &kept;",
        "static int kept; kept = n > 5 ? 5 : n; return &kept;",
    ),
    "behind": ("int behind(char *text)", "return *text;", "text[strlen(text) + 300] = 1; return *text;"),
    "small": ("int small(struct bits b)", "return b.b;", "return b.b + (b.a == 6);"),
    "either": ("int either(union number *u, int i)", "return i;", "return i + (u->i == 17);"),
    "open_it": ("int open_it(enum flags f)", "return f;", "return f == (READ | EXECUTE) ? 0 : f;"),
    "first": (
        "int first(const struct node *list)",
        "return list ? list->value : 0;",
        "return list ? list->value : -1;",
    ),
    "put": (
        "int put(int n)",
        "return used < 2 ? table[used++] = n, 0 : -1;",
        "return used < 2 ? table[used++ / 2] = n, 0 : -1;",
    ),
    "get": ("int get(void)", "return used ? table[--used] : -1;", ""),
    "keep": ("void keep(const char *text)", "memory = text;", ""),
    "kept": ("char kept(void)", "return memory ? *memory : 0;", "return memory ? *memory == 'z' ? 'y' : *memory : 0;"),
    "nothing": ("int nothing(int *out)", "*out = 3; return 0;", "*out = 3; return 0;"),
    "each": ("int each(int (*f)(int), int n)", "return f(n);", ""),
    "all": ("int all(const char *format, ...)", "return *format;", ""),
    "use": ("int use(struct hidden *h)", "return h != 0;", ""),
}
HELPERS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int total(const int *values, int count) { int s = 0; for (int i = 0; i < count; i++) s += values[i]; return s; }
static int raise(char *t, int last) { int n = 0; for (; *t; t++, n++) if (*t >= 'a' && *t <= last) *t -= 32; return n; }
static int table[2], used;
static const char *memory;
int counter;
"""


def make(
    folder: Path, arch: str, version: str, new: bool, *options: str, name: str = "p", errno: str = "extern int errno;"
) -> Path:
    header = source(folder / "p.h", HEADER)
    bodies = "".join(f"{head} {{ {later if new and later else body} }}\n" for head, body, later in NEWLY.values())
    text = source(folder / f"p-{version}.c", f'#include "{header.name}"\n{HELPERS}{bodies}')
    member = folder / f"p-{arch}-{version}-{name}.o"
    words = ["--sysroot", str(sysroot(arch)), "-O1", "-fno-builtin", "-w", *options, "-c", str(text), "-o", str(member)]
    assert cc.run(words) == 0
    slots = "".join(f"{function} {number}\n" for number, function in enumerate(NEWLY, 1))
    spec = source(
        folder / f"{name}-{version}.spec",
        f"#name {name}\n#version {version}\n#address .text 0x61000000\n#address .data 0x61100000\n#branch\n{slots}",
    )
    output = folder / f"{arch}-{name}-{version}"
    assert (
        mkshlib.run(["-s", str(spec), "-o", str(output), str(member), "-L", str(sysroot(arch) / "lib"), "-lc_s"]) == 0
    )
    return output / "shlib" / f"lib{name}_s.{version}"


@pytest.fixture(scope="module")
def pair(arch: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    folder = tmp_path_factory.mktemp("probe")
    return (
        arch,
        make(folder, arch, "1.0.0", False, "-g"),
        make(folder, arch, "1.1.0", True, "-g"),
    )


@pytest.fixture(scope="module")
def x86_64(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    folder = tmp_path_factory.mktemp("probe64")
    return "x86_64", make(folder, "x86_64", "1.0.0", False, "-g"), make(folder, "x86_64", "1.1.0", True, "-g")


def request_for(pair: tuple[str, Path, Path], *functions: str, **more: Any) -> ProbeRequest:
    arch, old, new = pair
    return ProbeRequest(str(old), str(new), functions, (str(sysroot(arch) / "shlib"),), **more)


EXPECTED = {  # function -> call, kind, what, old, new (a part of the text)
    "weird": ("weird(47111)", "result", "result", "0", "1"),
    "sum": ("sum(values, 3)", "result", "result", "0", "1"),
    "upper": ("upper(text)", "memory", "text", '"Z"', '"z"'),
    "norm": ("norm(&p, 0)", "memory", "(*p).w", "0.0", "1.0"),
    "mid": ("mid((struct point){0}, (struct point){.y = 10})", "result", "result.w", "0.0", "1.0"),
    "scale": ('scale(__builtin_nan(""), FAST)', "result", "result", "nan", "0.0"),
    "name_of": ("name_of(EXACT)", "result", "result", '"exact"', '"precise"'),
    "fill": ("fill(buf, 1", "memory", "buf[0]", "01", "00"),
    "spin": ("spin(1000u)", "end", "the call", "returns 1000", "does not end within 100,000 instructions"),
    "say": ("say(-1)", "output", "standard output", '"-1\\n"', '"4294967295\\n"'),
    "wide": ("wide(1099511627776ll, 0, 0u)", "result", "result", "1099511627776ll", "1099511627777ll"),
    "extended": ("extended(2.0L)", "result", "result", "3.0", "2.0"),
    "many": ("-77)", "result", "result", "0", "1"),
    "crash": ("crash(101)", "end", "the call", "returns 101", "SIGSEGV (read of unmapped address 0x8 at crash$impl"),
    "count": ("count()", "data", "exported variable counter", "1", "2"),
    "parse": ("parse(s)", "errno", "errno", "EINVAL", "EDOM"),
    "leave": ("leave(3)", "end", "the call", "returns 3", "ends the process with exit status 7"),
    "place": ("place(6)", "result", "(*result)", "6", "5"),
    "behind": ("behind(text)", "memory", "behind the end of text", "00", "01"),
    "small": ("small((struct bits){.a = 6u})", "result", "result", "0", "1"),
    "either": ("either(&u, 0)", "result", "result", "0", "1"),
    "open_it": ("open_it(", "result", "result", "5", "0"),
}


def test_each_kind_of_difference(pair: tuple[str, Path, Path]) -> None:
    result = probe(request_for(pair, *EXPECTED, examples=1500, max_instructions=100_000))
    found = {row["function"]: row for row in result.as_json()["functions"]}
    wrong = []
    for name, (call, kind, what, old, new) in EXPECTED.items():
        seen = found[name].get("witness", dict.fromkeys(("call", "kind", "what", "old", "new"), ""))
        parts = call in seen["call"], kind == seen["kind"], what in seen["what"], old in seen["old"], new in seen["new"]
        if not all(parts):
            wrong.append(found[name])
    assert not wrong
    assert result.status == 4


def test_no_false_alarms(pair: tuple[str, Path, Path]) -> None:
    """A library against itself; and functions that did not change."""
    arch, old, _ = pair
    result = probe(
        ProbeRequest(str(old), str(old), ("*",), (str(sysroot(arch) / "shlib"),), examples=25, max_instructions=20_000)
    )
    assert {f.name: f.reason for f in result.functions if f.verdict != "no difference found"} == {
        "all": "it takes a variable number of arguments",
        "each": "parameter 1 (`f`) is a pointer to a function",
        "use": "parameter 1 (`h`) points to `struct hidden`, whose members are not known",
    }
    assert result.status == 0
    same = probe(request_for(pair, "clamp", "nothing", "first", examples=100))
    assert [f.verdict for f in same.functions] == ["no difference found"] * 3 and same.status == 0


def test_the_c_library_against_itself() -> None:
    """Functions with state: heap, stdio, files, clock, random numbers, longjmp's kin."""
    path = str(next((sysroot("x86_64") / "shlib").glob("libc_s.*")))
    names = (
        "str*",
        "mem*",
        "malloc",
        "calloc",
        "free",
        "rand",
        "puts",
        "putchar",
        "ato*",
        "strto*",
        "remove",
        "perror",
        "abort",
        "getenv",
    )
    result = probe(ProbeRequest(path, path, names, examples=8, max_instructions=50_000))
    assert not [f for f in result.functions if f.verdict == "difference"]
    assert sum(f.verdict == "no difference found" for f in result.functions) > 20


def test_null_only_if_allowed(x86_64: tuple[str, Path, Path]) -> None:
    assert probe(request_for(x86_64, "first", examples=50)).status == 0
    result = probe(request_for(x86_64, "first", examples=50, null=True))
    assert result.functions[0].witness is not None and isinstance(result.functions[0].witness.arguments[0], v.Null)


def test_ranges_and_errno(x86_64: tuple[str, Path, Path]) -> None:
    assert probe(request_for(x86_64, "crash", examples=100, ranges={"n": (-5, 100)})).status == 0
    result = probe(request_for(x86_64, "crash", examples=100, ranges={"n": (90, 200)}))
    assert result.functions[0].witness is not None
    assert (
        "lo between" not in str(result)
        and probe(request_for(x86_64, "half", examples=100, ranges={"f": (0.0, 99.5)})).status == 0
    )
    assert probe(request_for(x86_64, "parse", examples=200, errno=False)).status == 0
    assert "no value of its type" in probe(request_for(x86_64, "spin", ranges={"n": (-9, -1)})).functions[0].reason


def test_the_same_every_time(x86_64: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, old, new = x86_64
    words = [
        "abi",
        "probe",
        str(old),
        str(new),
        "sum",
        "upper",
        "scale",
        "nothing",
        "--library-path",
        str(sysroot("x86_64") / "shlib"),
    ]
    texts = []
    for _ in range(2):
        assert main([*words, "--seed", "3", "--examples", "200"]) == 4
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert (
        "nothing: no difference found in 200 examples" in texts[0]
        or "nothing: no difference found in 1 example" in texts[0]
    )
    assert "  int sum(const int *values, int count)\n    int values[3] = {0, 0, 0};\n    sum(values, 3)\n" in texts[0]
    assert "4 functions: 3 difference, 1 no difference found" in texts[0]


def test_state_is_the_same_for_every_call(x86_64: tuple[str, Path, Path]) -> None:
    """A counter, the heap, and what was written do not reach the next call; system calls that leave traces cost a restart."""
    with LibraryPair(request_for(x86_64, "count")) as loaded:
        prototype = loaded.prototype("count")
        assert prototype is not None
        first, second = loaded.compare(prototype, ()), loaded.compare(prototype, ())
        assert first.old == second.old and first.new == second.new
        assert loaded.old.restarts == 0
        crash = loaded.prototype("crash")
        assert crash is not None
        for _ in range(3):
            assert loaded.compare(crash, (v.Number(500),)).new.end == "signal"
            assert loaded.compare(crash, (v.Number(7),)).difference is None


@pytest.mark.slow
def test_sequences(pair: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What one call leaves for another; a pointer that is kept. Single calls do not see it."""
    arch, old, new = pair
    shlib = str(sysroot(arch) / "shlib")
    assert probe(request_for(pair, "put", "get", "keep", "kept", examples=30)).status == 0
    test = tmp_path / "test_it.py"
    words = ["abi", "probe", str(old), str(new), "--state", "--library-path", shlib]
    assert main([*words, "put", "get", "clamp", "--write-test", str(test)]) == 4
    out = capsys.readouterr().out
    assert "put, get, clamp: difference, after" in out
    assert (
        "  int get(void)\n    put(0);\n    put(1);\n    get()\n" in out
        or "  int get(void)\n    put(1);\n    get()\n" in out
    ), out
    scope: dict[str, Any] = {}
    exec(compile(test.read_text(), test, "exec"), scope)
    with pytest.raises(AssertionError):
        scope["test_get_is_unchanged"]()
    assert main([*words, "keep", "kept", "--examples", "1500"]) == 4
    out = capsys.readouterr().out
    assert '    { char text[] = "z"; keep(text); }\n    kept()\n' in out and "'y'" in out
    assert main([*words, "clamp", "nothing", "each", "--examples", "50"]) == 16
    assert "clamp, nothing: no difference found in" in capsys.readouterr().out
    program = tmp_path / "it.c"
    assert main([*words, "put", "get", "--write-test", str(program)]) == 4
    build(tmp_path / "it", arch, "mmap", "-Werror", program, "-L", old.parent.parent / "lib", "-lp_s")


def test_prototypes_from_a_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without debug information a header says what there is; without either, nothing is probed."""
    old, new = make(tmp_path, "x86_64", "1.0.0", False), make(tmp_path, "x86_64", "1.1.0", True)
    words = ["abi", "probe", str(old), str(new), "norm", "--library-path", str(sysroot("x86_64") / "shlib")]
    assert main(words) == 16
    assert "norm: not probed: its prototype is not known; give the header with --prototypes" in capsys.readouterr().out
    assert main([*words, "--prototypes", str(tmp_path / "p.h")]) == 4
    assert "(*p).w:" in capsys.readouterr().out


# -- written tests -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_written_programs_show_the_difference(pair: tuple[str, Path, Path], tmp_path: Path) -> None:
    """FILE.c, linked with the old stub and run with either version, prints what differs."""
    arch, old, new = pair
    more = ("norm", "fill", "sum", "scale", "name_of", "small", "either", "say") if arch == "x86_64" else ()
    for name in ("mid", "wide", "extended", *more):
        path = tmp_path / f"{name}.c"
        words = [
            "abi",
            "probe",
            str(old),
            str(new),
            name,
            "--library-path",
            str(sysroot(arch) / "shlib"),
            "--write-test",
            str(path),
        ]
        assert main([*words, "--examples", "1500", "--max-instructions", "100k"]) == 4, name
        program = build(tmp_path / name, arch, "mmap", "-Werror", path, "-L", old.parent.parent / "lib", "-lp_s")
        outputs = []
        for library in (old, new):
            folder = tmp_path / f"{name}-{library.name}"
            folder.mkdir()
            (folder / old.name).symlink_to(library)
            run = [
                sys.executable,
                "-m",
                "uselib.cli",
                "run",
                "--sysroot",
                str(sysroot(arch)),
                "--readable",
                str(library.parent),
            ]
            run += ["--library-path", f"{folder}:{sysroot(arch) / 'shlib'}", str(program)]
            done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
            assert done.returncode == 0, done.stderr
            outputs.append(done.stdout)
        assert outputs[0] != outputs[1], (name, outputs)


def test_written_pytest_modules(
    x86_64: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, old, new = x86_64
    path = tmp_path / "test_norm.py"
    words = ["abi", "probe", str(old), str(new), "--library-path", str(sysroot("x86_64") / "shlib"), "--write-test"]
    assert main([*words, str(path), "norm"]) == 4
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), path, "exec"), scope)
    with pytest.raises(AssertionError):
        scope["test_norm_is_unchanged"]()
    shlib = [str(sysroot("x86_64") / "shlib")]
    assert replay(str(old), str(old), "norm", scope["ARGUMENTS"], library_path=shlib) is None
    with pytest.raises(ValueError, match="is no argument"):
        replay(str(old), str(new), "norm", [["what"], {}], library_path=shlib)
    with pytest.raises(ToolError, match="no prototype"):
        replay(str(old), str(new), "gone", [], library_path=shlib)
    capsys.readouterr()
    assert main([*words, str(tmp_path / "x.py"), "clamp", "--examples", "5"]) == 0
    assert "not written: there is no difference to show" in capsys.readouterr().err and not (tmp_path / "x.py").exists()


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_bad_input(x86_64: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, old, new = map(str, x86_64)
    more = ["--library-path", str(sysroot("x86_64") / "shlib")]
    text = str(source(tmp_path / "text", "int f(;"))
    alien = str(next((sysroot("i386") / "shlib").glob("libc_s.*")))
    other = str(next((sysroot("x86_64") / "shlib").glob("libc_s.*")))
    for words, status, said in (
        ([old, new], 2, "no function given; name one, or all with --all"),
        ([old, new, "gone"], 16, "have no such function"),
        ([old, new, "zz*"], 1, "has no function that matches zz*"),
        ([old, alien, "f"], 16, "is for i386"),
        ([old, other, "f"], 16, "is libc_s"),
        ([old, text, "f"], 1, "not an ELF file"),
        ([old, str(tmp_path / "none"), "f"], 1, "none: No such file"),
        (["/bin/true", old, "f"], 1, "not a fixed-address one"),
        ([old, new, "clamp", "--prototypes", text], 1, "text:1: "),
        ([old, new, "clamp", "--range", "x"], 2, "`x` is not PARAM=LO:HI"),
        ([old, new, "clamp", "--range", "x=3:1"], 2, "`x=3:1` is not PARAM=LO:HI"),
        ([old, new, "clamp", "--range", "x=nan:1"], 2, "is not PARAM=LO:HI"),
        ([old, new, "norm", "--range", "p=1:2"], 16, "is no number: it has no range"),
        ([old, new, "clamp", "--write-test", "x.rs"], 2, "neither FILE.c nor FILE.py"),
        ([old, new, "each", "all", "use"], 16, "3 functions: 3 not probed"),
    ):
        assert main(["abi", "probe", *words, *more]) == status, words
        output = capsys.readouterr()
        assert said in output.out + output.err, (words, output)
        assert "internal error" not in output.err


def test_without_hypothesis(
    x86_64: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert main(["abi", "probe", str(x86_64[1]), str(x86_64[2]), "clamp"]) == 1
    assert "needs the Python package hypothesis; pip install 'uselib[probe]'" in capsys.readouterr().err


def test_json(x86_64: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, old, new = x86_64
    words = [
        "abi",
        "probe",
        str(old),
        str(new),
        "weird",
        "clamp",
        "each",
        "--json",
        "--library-path",
        str(sysroot("x86_64") / "shlib"),
    ]
    assert main([*words, "--examples", "300"]) == 4
    plain = json.loads(capsys.readouterr().out)
    assert plain["version"] == 1 and plain["status"] == 4
    assert [f["verdict"] for f in plain["functions"]] == ["difference", "no difference found", "not probed"]
    assert plain["functions"][0]["witness"]["arguments"] == [47111]


# -- values and strategies ---------------------------------------------------------------------------------------------

_numbers = st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.floats()).map(v.Number)
_values = st.recursive(
    st.one_of(_numbers, st.binary().map(v.Bytes), st.builds(v.Text, st.binary(), st.integers(0, 300)), st.just(v.NULL)),
    lambda inner: st.one_of(
        st.lists(inner).map(lambda items: v.Group(tuple(items))),
        st.lists(inner).map(lambda items: v.Items(tuple(items))),
        st.builds(v.UnionMember, st.integers(0, 9), inner),
    ),
)
_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(_values)
def test_values_survive_json(value: v.Value) -> None:
    assert v.from_plain(json.loads(json.dumps(v.plain(value)))) == value


@given(_junk)
def test_junk_is_no_argument(data: Any) -> None:
    try:
        v.from_plain(data)
    except ValueError as wrong:
        assert "is no argument" in str(wrong) or "hexadecimal" in str(wrong) or isinstance(wrong, ValueError)


@given(st.binary(max_size=20))
def test_c_strings(data: bytes) -> None:
    """A C compiler's reading of a literal: octal escapes take three digits at most."""
    text = v.c_string(data)[1:-1]
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] != "\\":
            out.append(ord(text[at]))
            at += 1
        elif text[at + 1] in "01234567":
            out.append(int(text[at + 1 : at + 4], 8))
            at += 4
        else:
            out.append(ord({"n": "\n", "t": "\t", "r": "\r"}.get(text[at + 1], text[at + 1])))
            at += 2
    assert bytes(out) == data


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_arguments_keep_to_their_types(x86_64: tuple[str, Path, Path], data: st.DataObject) -> None:
    with LibraryPair(request_for(x86_64, "fill")) as loaded:
        for name in ("fill", "sum", "scale", "open_it", "small"):
            prototype = loaded.prototype(name)
            assert prototype is not None
            values = data.draw(arguments(prototype, Hints((7, 10**30), (b"x",))))
            for number, group in lengths(prototype).items():
                pointed = values[number]
                size = len(pointed.data) if isinstance(pointed, v.Bytes) else len(pointed.items)  # type: ignore[union-attr]
                assert all(0 <= values[length].value <= size for length in group)  # type: ignore[union-attr]
            for parameter, value in zip(prototype.parameters, values, strict=True):
                if isinstance(parameter.type, IntegerView | EnumerationView) and isinstance(value, v.Number):
                    low, high = limits(parameter.type)
                    assert low <= value.value <= high
            if name == "scale":
                assert values[1].value in (0, 5, 6)  # type: ignore[union-attr]
            if name == "open_it":
                assert 0 <= values[0].value <= 7  # type: ignore[union-attr]


def test_numbers_as_c() -> None:
    signed, wide, word = (
        IntegerView("int", 4, True),
        IntegerView("long long", 8, True),
        IntegerView("unsigned", 4, False),
    )
    assert v.c_number(signed, -(1 << 31)) == "(-2147483647 - 1)" and v.c_number(wide, -(1 << 63)).startswith("(-92233")
    assert v.c_number(word, 5) == "5u" and v.c_number(IntegerView("char", 1, True, 1, "character"), 39) == "'\\''"
    assert v.Number(math.nan) == v.Number(math.nan) and v.Number(0.0) != v.Number(-0.0)


def test_variadic_functions_are_refused(x86_64: tuple[str, Path, Path]) -> None:
    with LibraryPair(request_for(x86_64, "all")) as loaded, pytest.raises(Refused, match="variable number"):
        prototype = loaded.prototype("all")
        assert prototype is not None
        arguments(prototype, Hints())
