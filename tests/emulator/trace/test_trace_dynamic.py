"""Traces of dynamic programs: each call from one shared object to an exported function of another, however it is bound."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command import printed, uselib
from support.dynamic import SOURCES, build
from uselib.trace.reading.model import TraceFile

WAYS = {  # compiler, how calls are bound
    "lazy": ("pie", "-Wl,-z,lazy"),
    "now": ("pie", "-Wl,-z,now"),
    "no-plt": ("pie", "-fno-plt"),
    "no-pie": ("no-pie", "-Wl,-z,lazy"),
    "i386": ("i386-pie", "-Wl,-z,lazy"),
    "i386-no-plt": ("i386-pie", "-fno-plt"),
    "musl": ("musl", "-Wl,-z,lazy"),
}
FIRST = ["step"] * 3 + ["twice"] + ["step"] * 3 + ["callback", "callback"]  # by the program, of libtraced.so
EXPECTED = [*FIRST, "plugin_step", "plugin_step"]


@dataclass(frozen=True)
class Files:
    folder: Path

    @property
    def command(self) -> tuple[str, ...]:
        return str(self.folder / "traced"), str(self.folder / "plugin1.so"), str(self.folder / "plugin2.so")


@pytest.fixture(
    scope="module",
    params=[pytest.param(way, marks=() if way in ("lazy", "i386") else pytest.mark.slow) for way in WAYS],
)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    kind, option = WAYS[request.param]
    folder = tmp_path_factory.mktemp("traced")
    source, shared = SOURCES / "traced_library.c", ("-shared", "-fPIC", "-fno-builtin", "-Wl,-Bsymbolic-functions")
    library = build(kind, source, folder / "libtraced.so", *shared)
    for number in (1, 2):
        build(kind, source, folder / f"plugin{number}.so", *shared, f"-DPLUGIN={number}")
    options = ("-fno-builtin", option, f"-Wl,-rpath,{folder}")
    build(kind, SOURCES / "traced.c", folder / "traced", str(library), *options, "-ldl")
    return Files(folder)


def record(files: Files, *options: str) -> Path:
    output = files.folder / "trace"
    printed("trace", "record", "-o", output, *options, "--root", "/", *files.command)
    return output


def calls(path: Path) -> list[tuple[str, str, str]]:
    """Caller's file, callee's library, function with its version."""
    rows = []
    for line in printed("trace", "export", "--format", "jsonl", path).splitlines():
        event = json.loads(line)
        if event["event"] == "call":
            rows.append((event["caller_file"], event["library"], event["symbol"]))
    return rows


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--returns",), marks=pytest.mark.slow)], ids=["calls", "returns"]
)
def test_every_call_between_objects(files: Files, options: tuple[str, ...]) -> None:
    found = calls(record(files, *options))
    mine = [
        name
        for caller, library, name in found
        if caller == "traced" and "libc" not in library and "musl" not in library
    ]
    assert mine == EXPECTED
    check_shared_objects(found)
    names = [name.partition("@")[0] for caller, _, name in found if caller == "traced"]
    for name in ("strcpy", "dlsym", "dlopen", "strlen", "printf"):
        assert name in names, name
    if any(library == "libc.so.6" for _, library, _ in found):
        assert any(re.fullmatch(r"strlen@GLIBC_2\.\d.*", name) for _, _, name in found)


def check_shared_objects(found: list[tuple[str, str, str]]) -> None:
    """What the plugins and the library call."""
    of_plugins = [(caller, name.partition("@")[0]) for caller, _, name in found if caller.startswith("plugin")]
    of_plugins = [row for row in of_plugins if row[1] == "abs"]  # not what start files call
    assert of_plugins == [("plugin1.so", "abs"), ("plugin2.so", "abs")]
    of_library = [name.partition("@")[0] for caller, _, name in found if caller == "libtraced.so"]
    assert [name for name in of_library if name == "abs"] == ["abs"] and "step" not in of_library


@pytest.mark.slow
def test_both_recorders_agree(files: Files) -> None:
    for options in ((), ("--returns",)):
        native = record(files, *options).read_bytes()
        assert record(files, *options).read_bytes() == native  # and so do two runs
        assert record(files, *options, "--recorder", "python").read_bytes() == native


@pytest.mark.slow
def test_filters(files: Files) -> None:
    one = calls(record(files, "--from", "plugin*"))
    assert {caller for caller, _, _ in one} == {"plugin1.so", "plugin2.so"}
    two = calls(record(files, "--library", "libtraced*", "--symbol", "s*"))
    assert [name for _, _, name in two] == ["step"] * 6
    three = calls(record(files, "--symbol", "abs", "--caller", "plugin_step"))
    assert [caller for caller, _, _ in three] == ["plugin1.so", "plugin2.so"]


@pytest.mark.slow
def test_what_reads_traces(files: Files) -> None:
    """show, summary, graph, report, export, diff."""
    trace = record(files, "--returns")
    shown = printed("trace", "show", trace)
    assert re.search(r"main -> libc\S*!str(cpy|len)\S*\(.*\"abc\"", shown)
    assert re.search(r"main -> libtraced\.so!twice\(.*\) = ", shown)
    assert "plugin1.so!plugin_step -> " in shown
    assert re.search(r"^ +6 .*libtraced\.so!step", printed("trace", "summary", trace), re.MULTILINE)
    assert "libtraced.so" in printed("trace", "graph", trace)
    printed("trace", "report", "-o", files.folder / "report.html", trace)
    assert "plugin_step" in (files.folder / "report.html").read_text()
    for name in ("csv", "folded", "speedscope", "perfetto"):
        printed("trace", "export", "--format", name, "-o", files.folder / "out", trace)
        assert b"twice" in (files.folder / "out").read_bytes()
    same = uselib("trace", "diff", trace, trace).stdout
    assert "plugin_step" not in same


@pytest.mark.slow
def test_other_calls_differ(files: Files) -> None:
    """diff: one library that dlopen maps is left out."""
    one = files.folder / "one"
    printed("trace", "record", "-o", one, "--returns", "--root", "/", *files.command[:2])
    said = uselib("trace", "diff", one, record(files, "--returns")).stdout
    assert "plugin_step" in said and "plugin2.so" in said


def test_live(files: Files) -> None:
    out = files.folder / "live"
    printed("trace", "-o", out, "--root", "/", *files.command)
    text = out.read_text()
    assert re.search(r"-  library libtraced\.so at 0x[0-9a-f]+\.\.0x[0-9a-f]+, \d+ exported functions", text)
    assert re.search(r"libtraced\.so:step \(0x1, .*from main\+0x[0-9a-f]+ in traced", text)


def test_data_mapping_is_no_library(tmp_path: Path) -> None:
    """Only code makes a library: a program that maps files to read them has not loaded them."""
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf")
    trace = tmp_path / "trace"
    printed("trace", "record", "-o", trace, "--root", "/", "/usr/bin/cmp", "/bin/ls", "/bin/ls")
    with TraceFile(str(trace)) as opened:
        assert not any(file.name == "ls" for process in opened.processes for file in process.places.files)


@pytest.mark.slow
def test_same_calls_as_ltrace(tmp_path: Path) -> None:
    """Of the program itself; ltrace sees those through the PLT and puts breakpoints there."""
    if shutil.which("ltrace") is None:
        pytest.skip("needs ltrace")
    program = build("no-pie", SOURCES / "ltraced.c", tmp_path / "p", "-fno-builtin", "-Wl,-z,lazy")
    log = tmp_path / "log"
    done = subprocess.run(["ltrace", "-o", log, program], capture_output=True, check=False)
    if done.returncode or "+++ exited" not in log.read_text():
        pytest.skip("ltrace does not work here")
    expected = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    trace = tmp_path / "trace"
    printed("trace", "record", "-o", trace, "--root", "/", "--from", "p", program)
    names = [name.partition("@")[0] for _, _, name in calls(trace)]
    hidden = ("__libc_start_main", "__cxa_finalize")  # ltrace begins at main
    assert [name for name in names if name not in hidden] == [name for name in expected if name not in hidden]


@pytest.mark.slow
def test_two_releases_of_a_library(tmp_path: Path) -> None:
    """diff: libr.so.1.0 and libr.so.1.1 are the same library; a result that differs is found."""
    main = "int puts(const char *); int value(void); int main(void) { return value() == 7 ? 0 : 1; }"
    (tmp_path / "main.c").write_text(main)
    traces = []
    for release, number in (("1.0", 7), ("1.1", 8)):
        folder = tmp_path / release
        folder.mkdir()
        (folder / "lib.c").write_text(f"int value(void) {{ return {number}; }}\n")
        library = folder / f"libr.so.{release}"
        build("pie", folder / "lib.c", library, "-shared", "-fPIC", "-g", "-Wl,-soname,libr.so.1")
        (folder / "libr.so.1").symlink_to(library.name)
        program = build("pie", tmp_path / "main.c", tmp_path / "main", str(library))
        traces.append(tmp_path / f"trace{release}")
        words = ["--returns", "--from", "main", "--env", f"LD_LIBRARY_PATH={folder}", "--root", "/"]
        uselib("trace", "record", *words, "-o", traces[-1], program)
    said = uselib("trace", "diff", *traces).stdout
    assert "0 differences of flow" in said and "1 call with other arguments or results" in said, said
    assert re.search(r"- .*value\(\) = 7$", said, re.M) and re.search(r"\+ .*value\(\) = 8$", said, re.M)
