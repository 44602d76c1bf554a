"""`uselib abi matrix`: plan, executors, cache, command line and renderers. Real comparisons where they matter, a stand-in elsewhere."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import signal
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.paths import ROOT
from support.programs import build, source, sysroot
from uselib.abi.dynamic.matrix.cache import Cache, directory, from_json
from uselib.abi.dynamic.matrix.html import page
from uselib.abi.dynamic.matrix.junit import document
from uselib.abi.dynamic.matrix.key import Keys
from uselib.abi.dynamic.matrix.matrix import run_matrix
from uselib.abi.dynamic.matrix.spec import Cell, MatrixResult, MatrixSpec, ProgramSpec
from uselib.abi.dynamic.matrix.text import render
from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, Coverage, Divergence, SideResult, WrongBinding
from uselib.cli import main
from uselib.commands import mkshlib
from uselib.linker.errors import ToolError, UsageError

LIBRARY = """
int calls;
int scale(int n) { calls++; return n * FACTOR; }
int plain(int n) { return n + 1; }
"""
PROGRAM = """
#include <stdio.h>
#include <string.h>
int scale(int), plain(int);
int main(int argc, char **argv) {
    char line[80] = "";
    if (argc > 1 && !strcmp(argv[1], "loop")) for (;;) plain(1);
    if (argc > 1 && !strcmp(argv[1], "scale")) printf("%d\\n", scale(7));
    if (argc > 1 && !strcmp(argv[1], "read") && fgets(line, 80, stdin)) printf("%d %s", scale(1), line);
    printf("%d\\n", plain(1));
    return 0;
}
"""


def make_library(folder: Path, version: str, factor: int, arch: str = "x86_64", name: str = "m") -> Path:
    """A version of the library; returns the target library's file."""
    from uselib.commands import cc

    text = source(folder / f"lib-{version}.c", LIBRARY.replace("FACTOR", str(factor)))
    member = folder / f"lib-{name}-{version}-{arch}.o"
    assert cc.run(["--sysroot", str(sysroot(arch)), "-c", str(text), "-o", str(member)]) == 0
    spec = source(
        folder / f"{name}-{version}.spec",
        f"#name {name}\n#version {version}\n#address .text 0x61000000\n#address .data 0x61100000\n#branch\nscale 1\nplain 2\n",
    )
    output = folder / f"{arch}-{name}-{version}"
    assert mkshlib.run(["-s", str(spec), "-o", str(output), str(member)]) == 0
    return output / "shlib" / f"lib{name}_s.{version}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("matrix")
    versions = {
        version: make_library(folder, version, factor) for version, factor in (("1.0.0", 2), ("1.0.1", 2), ("1.1.0", 3))
    }
    stub = versions["1.0.0"].parent.parent / "lib"
    program = build(folder / "prog", "x86_64", "mmap", source(folder / "prog.c", PROGRAM), "-L", stub, "-lm_s")
    return {"folder": folder, "program": program, **versions}


def side(library: str) -> SideResult:
    return SideResult(library, 0, calls=3, stdout="ab", files=(("out", "cd"),))


def stand_in(request: AbiRequest) -> AbiResult:
    """Instead of compare_runs: the first argument says what happens."""
    what = request.arguments[0] if request.arguments else ""
    old, new = side(request.old), side(request.new)
    if what == "crash":
        os._exit(7)
    if what == "boom":
        raise ValueError("a defect")
    if what == "differ" and not request.new.endswith("1.0.1"):
        found = Divergence(
            "result", "scale(7) differs", "14", "21 <&>\x1b", 1, 1, "main", "scale", "body", "it is another function"
        )
        return AbiResult("diverged", request.program, old, new, found)
    return AbiResult("identical on this run", request.program, old, new, coverage=Coverage(2, ("scale",), ("plain",)))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forked, so they inherit the stand-in."""
    module = types.ModuleType("uselib.abi.dynamic.run.run")
    module.compare_runs = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uselib.abi.dynamic.run.run", module)


def spec_of(
    made: dict[str, Path], *commands: str, versions: tuple[str, ...] = ("1.0.0", "1.0.1", "1.1.0"), **more: object
) -> MatrixSpec:
    words = ("--sysroot", str(sysroot("x86_64")))
    programs = tuple(
        ProgramSpec(str(made["program"]), tuple(shlex.split(text)), run_words=words, **more) for text in commands
    )  # type: ignore[arg-type]
    return MatrixSpec(programs, tuple(str(made[version]) for version in versions))


def verdicts(result: MatrixResult) -> list[list[str]]:
    return [[cell.verdict for cell in cells] for _, cells in result.rows()]


SAME, DIVERGED, UNKNOWN, BASE = "identical on this run", "diverged", "not comparable", "baseline"


# -- real comparisons --------------------------------------------------------------------------------------------------


def test_real_matrix(made: dict[str, Path], tmp_path: Path) -> None:
    """The bystander is identical, the caller of the changed function is not; a second run is taken from the cache."""
    spec = spec_of(made, "", "scale")
    cache = Cache(str(tmp_path))
    first = run_matrix(spec, jobs=2, cache=cache)
    assert verdicts(first) == [[BASE, SAME, SAME], [BASE, SAME, DIVERGED]]
    assert first.status == 4 and first.versions == ("1.0.0", "1.0.1", "1.1.0")
    again = run_matrix(spec, _Refusing(), cache=cache)
    assert again.as_json() == first.as_json()
    assert all(cell.cached for cell in again.cells if cell.result)
    assert run_matrix(spec, jobs=1).as_json() == first.as_json()


def test_threads_and_limits(made: dict[str, Path]) -> None:
    """In a worker's thread a cell gets a process of its own; a program that never ends meets its limit."""
    spec = spec_of(made, "loop", "scale", versions=("1.0.0", "1.1.0"), max_instructions=200_000)
    with ThreadPoolExecutor(2) as pool:
        result = run_matrix(spec, pool)
    assert [row[0] for row in verdicts(result)] == [BASE, BASE]
    assert result.cells[3].verdict == DIVERGED
    loop = result.cells[1].result
    assert loop is not None and (loop.old.limit or loop.verdict == UNKNOWN)


def test_command_line(made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, page, JUnit, JSON and exit status."""
    libraries = [str(made[version]) for version in ("1.0.0", "1.1.0")]
    words = [
        "abi",
        "matrix",
        "--library",
        *libraries,
        "--program",
        f"{made['program']} scale",
        "--cache",
        str(tmp_path / "c"),
    ]
    words += ["--sysroot", str(sysroot("x86_64"))]
    assert main([*words, "--html", str(tmp_path / "m.html"), "--junit", str(tmp_path / "m.xml")]) == 4
    out = capsys.readouterr().out
    assert "prog scale  baseline  DIVERGED" in out and "1 cell: 1 diverged\n" in out and "\x1b" not in out
    assert ET.parse(tmp_path / "m.xml").getroot().attrib["failures"] == "1"
    assert "DIVERGED" in (tmp_path / "m.html").read_text()
    assert main([*words, "--json"]) == 4
    plain = json.loads(capsys.readouterr().out)
    assert plain["version"] == 1 and plain["cells"][1]["result"]["divergence"]["kind"]
    assert main([*words[:-4], "--no-cache", "--program", str(made["program"]), *words[-2:]]) == 4
    assert "2 cells: 1 identical on this run, 1 diverged" in capsys.readouterr().out


def test_configuration_file(made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "matrix.toml"
    config.write_text(f"""
versions = ["{made["folder"]}/x86_64-m-*/shlib/libm_s.*"]
[options]
sysroot = "{sysroot("x86_64")}"
[[program]]
run = "{made["program"]} read"
stdin = "a line\\n"
name = "reader"
[[program]]
program = "{made["program"]}"
env = {{A = "1"}}
[program.options]
max-instructions = "10M"
""")
    assert main(["abi", "matrix", "--config", str(config), "--no-cache", "--json"]) == 4
    plain = json.loads(capsys.readouterr().out)
    assert plain["programs"] == ["reader", "prog"] and [v["label"] for v in plain["versions"]] == [
        "1.0.0",
        "1.0.1",
        "1.1.0",
    ]
    assert [cell["verdict"] for cell in plain["cells"]] == [BASE, SAME, DIVERGED, BASE, SAME, SAME]


@pytest.mark.slow
def test_dask(made: dict[str, Path]) -> None:
    """The same matrix on a cluster: a local one, with worker processes."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra `dask`)")
    spec = spec_of(made, "", "scale")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        result = run_matrix(spec, client.get_executor())
    assert verdicts(result) == [[BASE, SAME, SAME], [BASE, SAME, DIVERGED]]


def test_ctrl_c_ends_everything_at_once(made: dict[str, Path]) -> None:
    """The workers, and the programs that they are running."""
    words = [
        sys.executable,
        "-m",
        "uselib.cli",
        "abi",
        "matrix",
        "--no-cache",
        "--sysroot",
        str(sysroot("x86_64")),
        "--library",
    ]
    words += [str(made[version]) for version in ("1.0.0", "1.0.1", "1.1.0")]
    words += ["--program", f"{made['program']} loop", "--max-seconds", "100"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    while started.poll() is None and len(children.read_text().split()) < 2:
        time.sleep(0.05)
    workers = children.read_text().split()
    started.send_signal(signal.SIGINT)
    out, error = started.communicate(timeout=60)
    assert (started.returncode, out, error) == (130, b"", b"")
    assert workers and not any(Path(f"/proc/{pid}").exists() for pid in workers)


# -- executors ---------------------------------------------------------------------------------------------------------


class _Refusing(Executor):
    """Nothing may be run."""

    def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
        raise AssertionError("nothing should be run")


class _Odd(Executor):
    """Answers with what it was made with."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
        future: Future[object] = Future()
        if isinstance(self.answer, BaseException):
            future.set_exception(self.answer)
        else:
            future.set_result(self.answer)
        return future


@pytest.mark.usefixtures("fake")
def test_a_crashing_worker_leaves_other_cells_alone(made: dict[str, Path]) -> None:
    result = run_matrix(spec_of(made, "crash", "a", "boom", "b", "c"), jobs=2)
    assert verdicts(result) == [
        [BASE, UNKNOWN, UNKNOWN],
        [BASE, SAME, SAME],
        [BASE, UNKNOWN, UNKNOWN],
        *[[BASE, SAME, SAME]] * 2,
    ]
    reasons = {cell.result.reason for cell in result.cells if cell.result and cell.result.reason}
    assert any("ended without an answer" in reason for reason in reasons)
    assert "internal error: ValueError: a defect" in reasons
    assert result.status == 16


@pytest.mark.usefixtures("fake")
def test_a_given_pool_that_breaks(made: dict[str, Path]) -> None:
    import multiprocessing

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        result = run_matrix(spec_of(made, "crash", "a"), pool)
    assert verdicts(result)[0] == [BASE, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    "answer", [pickle.PicklingError("cannot pickle it"), "text", RuntimeError("gone")], ids=["pickle", "text", "gone"]
)
def test_executors_that_fail(made: dict[str, Path], answer: object) -> None:
    result = run_matrix(spec_of(made, "", versions=("1.0.0", "1.1.0")), _Odd(answer))
    assert verdicts(result) == [[BASE, UNKNOWN]]
    assert result.cells[1].result is not None and "the executor failed" in result.cells[1].result.reason


def test_requests_and_results_pickle() -> None:
    request = AbiRequest("p", "o", "n", ("a",), b"in", max_seconds=None)
    result = stand_in(replace(request, arguments=("differ",)))
    assert pickle.loads(pickle.dumps(request)) == request and pickle.loads(pickle.dumps(result)) == result


@pytest.mark.usefixtures("fake")
def test_progress_is_reported(made: dict[str, Path]) -> None:
    seen: list[tuple[int, int]] = []
    run_matrix(spec_of(made, "a", "b"), None, lambda done, total: seen.append((done, total)), jobs=1)
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


# -- plan --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fake")
def test_baselines(made: dict[str, Path]) -> None:
    spec = spec_of(made, "differ")
    assert verdicts(run_matrix(spec, jobs=1)) == [[BASE, SAME, DIVERGED]]
    for name in ("1.1.0", "libm_s.1.1.0", str(made["1.1.0"])):
        assert verdicts(run_matrix(replace(spec, baseline=name), jobs=1)) == [[DIVERGED, SAME, BASE]]
    one = replace(spec.programs[0], baseline="1.0.1")
    assert verdicts(run_matrix(replace(spec, programs=(one,)), jobs=1)) == [[DIVERGED, BASE, DIVERGED]]
    with pytest.raises(UsageError, match=r"baseline `9` is none of the versions \(1.0.0, 1.0.1, 1.1.0\)"):
        run_matrix(replace(spec, baseline="9"))
    without = run_matrix(spec_of(made, "a", versions=("1.0.1", "1.1.0")), jobs=1)
    assert verdicts(without) == [[UNKNOWN, UNKNOWN]]
    assert "was linked with libm_s 1.0.0, which is none of the versions" in without.cells[0].result.reason  # type: ignore[union-attr]


def test_bad_input(made: dict[str, Path], tmp_path: Path) -> None:
    spec = spec_of(made, "a")
    with pytest.raises(UsageError, match="no program given"):
        run_matrix(replace(spec, programs=()))
    with pytest.raises(UsageError, match="no library given"):
        run_matrix(replace(spec, versions=()))
    text = source(tmp_path / "text", "no library")
    with pytest.raises(ToolError, match=r"gone: No such file or directory\n.*text: is not an ELF library"):
        run_matrix(replace(spec, versions=(str(tmp_path / "gone"), str(text))))
    with pytest.raises(ToolError, match="is not a regular file"):
        run_matrix(replace(spec, versions=("/dev/zero",)))
    rows = tuple(replace(spec.programs[0], program=name) for name in (str(tmp_path / "gone"), str(text), "/dev/zero"))
    result = run_matrix(replace(spec, programs=rows))
    assert verdicts(result) == [[UNKNOWN] * 3] * 3 and result.status == 16


def test_other_machines_and_libraries(made: dict[str, Path], tmp_path: Path) -> None:
    alien, other = make_library(tmp_path, "1.0.0", 2, "i386"), make_library(tmp_path, "2.0.0", 2, name="other")
    spec = spec_of(made, "", versions=("1.0.0",))
    result = run_matrix(replace(spec, versions=(*spec.versions, str(alien), str(other))))
    reasons = [cell.result.reason for cell in result.cells if cell.result]
    assert [cell.verdict for cell in result.cells] == [BASE, UNKNOWN, UNKNOWN]
    assert "is for i386, the program for x86_64" in reasons[0] and "is libother_s" in reasons[1]
    alone = run_matrix(replace(spec, versions=(str(alien),)))
    assert "is for x86_64, the libraries for i386" in alone.cells[0].result.reason  # type: ignore[union-attr]


# -- cache -------------------------------------------------------------------------------------------------------------


def test_what_a_key_depends_on(made: dict[str, Path], tmp_path: Path) -> None:
    words = ("--sysroot", str(sysroot("x86_64")))
    data = source(tmp_path / "data", "one")
    request = AbiRequest(
        str(made["program"]), str(made["1.0.0"]), str(made["1.1.0"]), ("a", str(data)), run_words=words
    )
    key = Keys().key(request)
    assert key and Keys().key(request) == key and Keys().key(replace(request, parallel=False)) == key
    others = [
        replace(request, arguments=("b", str(data))),
        replace(request, stdin=b"x"),
        replace(request, new=str(made["1.0.1"])),
        replace(request, old=str(made["1.0.1"])),
        replace(request, max_instructions=5),
        replace(request, ignore=("x",)),
        replace(request, run_words=(*words, "--env", "A=1")),
        replace(request, run_words=(*words, "--seed=1")),
        replace(request, prototypes=(str(data),)),
        replace(request, run_words=()),  # another libc_s, or none
    ]
    keys = [Keys().key(other) for other in others]
    assert all(keys) and len({key, *keys}) == len(others) + 1
    data.write_text("two")
    assert Keys().key(request) != key
    assert Keys().key(replace(request, run_words=(*words, "--realtime"))) == ""
    assert Keys().key(request, [str(tmp_path / "gone")]) == ""
    assert Keys().key(request, [str(data)]) != Keys().key(request)


@pytest.mark.usefixtures("fake")
def test_entries_that_cannot_be_used_are_run_again(made: dict[str, Path], tmp_path: Path) -> None:
    spec = spec_of(made, "differ")
    run_matrix(spec, cache=Cache(str(tmp_path)), jobs=1)
    entries = sorted(tmp_path.rglob("*.json"))
    assert len(entries) == 2 and not list(tmp_path.rglob(".new-*"))
    entries[0].write_bytes(entries[0].read_bytes()[:-20])
    entry = json.loads(entries[1].read_text())
    entries[1].write_text(json.dumps(entry | {"uselib": "1.other"}))
    result = run_matrix(spec, cache=Cache(str(tmp_path)), jobs=1)
    assert not any(cell.cached for cell in result.cells)
    assert result.notes == (
        f"{tmp_path}: 1 entry is damaged and ignored",
        f"{tmp_path}: 1 entry is from another version of uselib and ignored",
    )
    assert all(cell.cached for cell in run_matrix(spec, _Refusing(), cache=Cache(str(tmp_path))).cells if cell.result)


@pytest.mark.usefixtures("fake")
def test_a_cache_that_cannot_be_written(made: dict[str, Path], tmp_path: Path) -> None:
    blocked = source(tmp_path / "file", "no directory")
    result = run_matrix(spec_of(made, "differ"), cache=Cache(str(blocked)), jobs=1)
    assert verdicts(result) == [[BASE, SAME, DIVERGED]] and "results are not kept" in result.notes[0]


@pytest.mark.usefixtures("fake")
def test_failures_are_not_kept(made: dict[str, Path], tmp_path: Path) -> None:
    run_matrix(spec_of(made, "boom"), cache=Cache(str(tmp_path)), jobs=1)
    assert not list(tmp_path.rglob("*.json"))


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert directory() == "/x/uselib" and directory("here") == "here"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert directory() == "/home/me/.cache/uselib"


@given(st.data())
def test_damaged_entries_never_raise(data: st.DataObject) -> None:
    """Any change of an entry gives nothing, or the same result."""
    import tempfile

    result = stand_in(AbiRequest("p", "o", "n", ("differ",)))
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(folder)
        cache.store("ab12", result)
        path = next(Path(folder).rglob("*.json"))
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
        assert cache.load("ab12") in (None, result)


def test_results_survive_json() -> None:
    result = replace(
        stand_in(AbiRequest("p", "o", "n", ("differ",))),
        wrong=(WrongBinding("data", 5, "a", "b", "new", count=2),),
        coverage=Coverage(1, ("a",), ()),
        notes=("x", "y"),
    )
    plain = json.loads(json.dumps(result.as_json()))
    del plain["version"]
    assert from_json(AbiResult, plain) == result
    with pytest.raises(ValueError, match="none of"):
        from_json(AbiResult, plain | {"verdict": "perhaps"})


# -- renderers ---------------------------------------------------------------------------------------------------------


def sample_result(name: str = 'a <b> & "c" \x1b]\x07 \']]>') -> MatrixResult:
    different = stand_in(AbiRequest("p", "o", "n", ("differ",)))
    unknown = AbiResult("not comparable", "p", side("o"), side("n"), reason=f"cannot: {name}\udcff\ufffe")
    cells = (
        Cell(name, "1", "1"),
        Cell(name, name, "1", different),
        Cell("x", "1", "2", unknown),
        Cell("x", name, "2", stand_in(AbiRequest("p", "o", "n"))),
    )
    return MatrixResult((name, "x"), ("1", name), ("lib1", "lib2"), cells, (f"note {name}",))


def test_text_table() -> None:
    lines = list(render(sample_result("prog <b>")))
    assert lines[0] == "          1         prog <b>"
    assert lines[1] == "prog <b>  baseline  DIVERGED: result"
    assert lines[2] == "x         n/c       identical 1/2"
    assert "  because it is another function [body]" in lines and "  1: 14" in lines
    assert lines[-3] == "3 cells: 1 identical on this run, 1 diverged, 1 not comparable"
    assert lines[-2].startswith("identical N/M: the run used N of the M names") and lines[-1] == "note: note prog <b>"
    assert not any("\x1b" in line for line in lines) and "\x1b[31;1m" in "".join(
        render(sample_result("p"), colour=True)
    )


def test_page_and_junit_are_well_formed_whatever_names_are() -> None:
    text = page(sample_result())

    class Reader(HTMLParser):
        tags: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)

    reader = Reader()
    reader.feed(text)
    assert "b" not in reader.tags and "script" not in reader.tags and "http" not in text and "\x1b" not in text
    root = ET.fromstring(document(sample_result()).encode("utf-8", "backslashreplace"))
    assert {child.tag for case in root.iter("testcase") for child in case} == {"failure", "error"}
    assert root.attrib["tests"] == "3"


def test_bad_configurations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, said in {
        "versions = [": "is not TOML",
        "versions = 3": "`versions` is not a list",
        "versions = [3]": "`versions` is not a list of strings",
        "verions = []": "`verions` is not a key; one of versions, baseline, options, program",
        "program = [1]": "`program` is not a list of tables",
        "[[program]]": "give either `run` or `program`",
        "[[program]]\nrun = 'a'\nprogram = 'b'": "give either `run` or `program`",
        "[[program]]\nrun = '\"a'": "is not a command line",
        "[[program]]\nrun = 'a'\n[program.options]\nstrace = true": "`strace` is not an option",
        "[options]\nrealtime = 3\n[[program]]\nrun='a'": "a value of the wrong kind",
        "[[program]]\nrun = 'a'\n[program.options]\nmax-seconds = -1": "a limit is not a positive number",
        "versions = ['nothing*']": "nothing matches `nothing*`",
        "[[program]]\nrun = 'a'\nstdin-file = 'gone'": "gone: No such file",
        "": "no program given",
    }.items():
        config = source(tmp_path / "m.toml", text)
        assert main(["abi", "matrix", "--config", str(config)]) in (1, 2), text
        assert said in capsys.readouterr().err, text
    assert main(["abi", "matrix", "--program", "'", "--library", "x"]) == 2
    assert main(["abi", "matrix", "--config", str(tmp_path / "none")]) == 1


def test_a_broken_pipe_and_help(made: dict[str, Path]) -> None:
    words = [sys.executable, "-m", "uselib.cli", "abi", "matrix", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and "Exit status: 0 all identical" in done.stdout.replace("\n", " ")


@pytest.fixture(autouse=True)
def _no_user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    yield
