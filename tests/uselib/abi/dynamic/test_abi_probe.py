"""`uselib abi probe`: differences of each kind are found on both machines and shrunk; equal libraries have none; what cannot be
probed is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT
from support.probe import make, request_for
from support.programs import build, source, sysroot
from uselib.abi.dynamic.probe import values as v
from uselib.abi.dynamic.probe.pair import LibraryPair
from uselib.abi.dynamic.probe.probe import probe, replay
from uselib.abi.dynamic.probe.spec import ProbeRequest
from uselib.cli import main
from uselib.linker.errors import ToolError

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


def test_each_kind_of_difference(probe_pair: tuple[str, Path, Path]) -> None:
    result = probe(request_for(probe_pair, *EXPECTED, examples=1500, max_instructions=100_000))
    found = {row["function"]: row for row in result.as_json()["functions"]}
    wrong = []
    for name, (call, kind, what, old, new) in EXPECTED.items():
        seen = found[name].get("witness", dict.fromkeys(("call", "kind", "what", "old", "new"), ""))
        parts = call in seen["call"], kind == seen["kind"], what in seen["what"], old in seen["old"], new in seen["new"]
        if not all(parts):
            wrong.append(found[name])
    assert not wrong
    assert result.status == 4


def test_equal_libraries_have_no_differences(probe_pair: tuple[str, Path, Path]) -> None:
    """A library against itself; and functions that did not change."""
    arch, old, _ = probe_pair
    result = probe(
        ProbeRequest(str(old), str(old), ("*",), (str(sysroot(arch) / "shlib"),), examples=25, max_instructions=20_000)
    )
    assert {f.name: f.reason for f in result.functions if f.verdict != "no difference found"} == {
        "all": "it takes a variable number of arguments",
        "each": "parameter 1 (`f`) is a pointer to a function",
        "use": "parameter 1 (`h`) points to `struct hidden`, whose members are not known",
    }
    assert result.status == 0
    same = probe(request_for(probe_pair, "clamp", "nothing", "first", examples=100))
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


def test_null_only_if_allowed(probe_x86_64: tuple[str, Path, Path]) -> None:
    assert probe(request_for(probe_x86_64, "first", examples=50)).status == 0
    result = probe(request_for(probe_x86_64, "first", examples=50, null=True))
    assert result.functions[0].witness is not None and isinstance(result.functions[0].witness.arguments[0], v.Null)


def test_ranges_and_errno(probe_x86_64: tuple[str, Path, Path]) -> None:
    assert probe(request_for(probe_x86_64, "crash", examples=100, ranges={"n": (-5, 100)})).status == 0
    result = probe(request_for(probe_x86_64, "crash", examples=100, ranges={"n": (90, 200)}))
    assert result.functions[0].witness is not None
    assert (
        "lo between" not in str(result)
        and probe(request_for(probe_x86_64, "half", examples=100, ranges={"f": (0.0, 99.5)})).status == 0
    )
    assert probe(request_for(probe_x86_64, "parse", examples=200, errno=False)).status == 0
    assert (
        "no value of its type" in probe(request_for(probe_x86_64, "spin", ranges={"n": (-9, -1)})).functions[0].reason
    )


def test_the_same_every_time(probe_x86_64: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, old, new = probe_x86_64
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


def test_state_is_the_same_for_every_call(probe_x86_64: tuple[str, Path, Path]) -> None:
    """A counter, the heap, and what was written do not reach the next call; system calls that leave traces cost a restart."""
    with LibraryPair(request_for(probe_x86_64, "count")) as loaded:
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
def test_sequences(probe_pair: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """State that one call leaves for another; a pointer that is kept. Single calls do not show it."""
    arch, old, new = probe_pair
    shlib = str(sysroot(arch) / "shlib")
    assert probe(request_for(probe_pair, "put", "get", "keep", "kept", examples=30)).status == 0
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
    """Without debug information a header gives the prototypes; without either, nothing is probed."""
    old, new = make(tmp_path, "x86_64", "1.0.0", False), make(tmp_path, "x86_64", "1.1.0", True)
    words = ["abi", "probe", str(old), str(new), "norm", "--library-path", str(sysroot("x86_64") / "shlib")]
    assert main(words) == 16
    assert "norm: not probed: its prototype is not known; give the header with --prototypes" in capsys.readouterr().out
    assert main([*words, "--prototypes", str(tmp_path / "p.h")]) == 4
    assert "(*p).w:" in capsys.readouterr().out


# -- written tests -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_written_programs_show_the_difference(probe_pair: tuple[str, Path, Path], tmp_path: Path) -> None:
    """FILE.c, linked with the old stub and run with either version, prints what differs."""
    arch, old, new = probe_pair
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
    probe_x86_64: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, old, new = probe_x86_64
    path = tmp_path / "test_norm.py"
    words = ["abi", "probe", str(old), str(new), "--library-path", str(sysroot("x86_64") / "shlib"), "--write-test"]
    assert main([*words, str(path), "norm"]) == 4
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), path, "exec"), scope)
    with pytest.raises(AssertionError):
        scope["test_norm_is_unchanged"]()
    shlib = [str(sysroot("x86_64") / "shlib")]
    assert replay(str(old), str(old), "norm", scope["ARGUMENTS"], library_path=shlib) is None
    with pytest.raises(ValueError, match="is not an argument"):
        replay(str(old), str(new), "norm", [["what"], {}], library_path=shlib)
    with pytest.raises(ToolError, match="no prototype"):
        replay(str(old), str(new), "gone", [], library_path=shlib)
    capsys.readouterr()
    assert main([*words, str(tmp_path / "x.py"), "clamp", "--examples", "5"]) == 0
    assert "not written: there is no difference to show" in capsys.readouterr().err and not (tmp_path / "x.py").exists()


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_bad_input(probe_x86_64: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, old, new = map(str, probe_x86_64)
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
        ([old, new, "norm", "--range", "p=1:2"], 16, "is not a number: it has no range"),
        ([old, new, "clamp", "--write-test", "x.rs"], 2, "neither FILE.c nor FILE.py"),
        ([old, new, "each", "all", "use"], 16, "3 functions: 3 not probed"),
    ):
        assert main(["abi", "probe", *words, *more]) == status, words
        output = capsys.readouterr()
        assert said in output.out + output.err, (words, output)
        assert "internal error" not in output.err


def test_without_hypothesis(
    probe_x86_64: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert main(["abi", "probe", str(probe_x86_64[1]), str(probe_x86_64[2]), "clamp"]) == 1
    assert "needs the Python package hypothesis; pip install 'uselib[probe]'" in capsys.readouterr().err


def test_json(probe_x86_64: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, old, new = probe_x86_64
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
