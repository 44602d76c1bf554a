"""`uselib abi run`: files, processes, limits, input, other linkers, the command line, and what cannot be compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.abi_runs import Pair, library, pair
from support.command import uselib
from support.programs import sysroot
from uselib.abi.dynamic.run import data_watch as watch
from uselib.abi.dynamic.run import side
from uselib.abi.dynamic.run.bindings import RunsNotComparable, read_library
from uselib.abi.dynamic.run.compared_words import ComparedWords
from uselib.abi.dynamic.run.digest import DigestSink
from uselib.abi.dynamic.run.run import compare_runs
from uselib.emulator.kernel.process import Process
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.sandbox.sandbox import Sandbox
from uselib.emulator.trace.prototypes.type_views import OpaqueView
from uselib.emulator.trace.store.format import RECORD, Batch, ChunkKind, EventKind
from uselib.linker.errors import ToolError

ONE = "int value(int x) { return x + 1; }\n"
OTHER = "int value(int x) { return x + 2; }\n"
H = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <sys/wait.h>\nint value(int);\n"

WRITER = H + (
    'int main(int n, char **v) { FILE *f = fopen(v[1], "a"); if (!f) return 9; fprintf(f, "%d\\n", value(5) == 77);'
    " fclose(f); return 0; }"
)
NAMED = H.replace("int value(int);", "const char *name(void);") + (
    'int main() { FILE *f = fopen(name(), "w"); if (!f) return 9; fputs("x", f); fclose(f); return 0; }'
)


@pytest.fixture(scope="module")
def values(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A pair in which the result of `value` changed, and a program that prints it for each line of input."""
    program = H + (
        "int main(int n, char **v) { char s[20]; int sum = 0; if (n > 1) for (int i = 0; i < atoi(v[1]); i++) sum += value(0) == 7;"
        ' while (fgets(s, 20, stdin)) printf("%d\\n", value(atoi(s))); return sum; }'
    )
    return pair(tmp_path_factory.mktemp("values"), arch, ONE, OTHER, program)


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two versions that differ only where the program does not look."""
    program = H + (
        "int main(int n, char **v) { if (n > 2) for (;;) value(0); int s = 0;"
        " for (int i = 0; i < (n > 1 ? atoi(v[1]) : 1); i++) s ^= value(i); return s & 1; }"
    )
    other = ONE + "int more(int x) { return x; }\n"
    return pair(tmp_path_factory.mktemp("same"), "x86_64", ONE, other, program, "value", "value more")


# -- the world ------------------------------------------------------------------------------------------------------------


def test_input_is_read_once_and_given_to_both(values: Pair) -> None:
    result = values.compare(stdin=b"3\n4\n")
    assert result.divergence is not None and result.divergence.kind == "result"
    assert (result.divergence.old, result.divergence.new) == ("value(...) = 4", "value(...) = 5")
    assert values.compare(stdin=b"").verdict == "identical on this run"


def test_each_side_begins_with_the_same_files(tmp_path: Path, arch: str) -> None:
    made = pair(tmp_path / "made", arch, ONE, ONE, WRITER)
    room = tmp_path / "room"
    room.mkdir()
    (room / "log").write_text("before\n")
    words = (*made.request().run_words, "--writable", str(room))
    result = made.compare(str(room / "log"), run_words=words)
    assert result.verdict == "identical on this run"
    assert [name for name, _ in result.old.files] == [str(room / "log")] and result.old.files == result.new.files
    assert (room / "log").read_text() == "before\n"  # the sides worked on copies


def test_both_sides_are_confined_by_the_hosts_kernel(same: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side is a child of this process: it sends its confinement, as the kernel reports it, through a pipe."""
    reader, writer = os.pipe()

    class Told(Sandbox):
        def confine(self, process: Process, options: RunOptions) -> None:
            with open("/proc/self/status") as status:  # opened before
                super().confine(process, options)
                os.write(writer, "".join(line for line in status if line.startswith("Seccomp:")).encode())

    monkeypatch.setattr(side, "Sandbox", Told)
    assert same.compare().verdict == "identical on this run"
    os.close(writer)
    with open(reader) as told:
        assert told.read().split() == ["Seccomp:", "2"] * 2


def test_another_file(tmp_path: Path, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'const char *name(void) { return "%s"; }\n'
    made = pair(tmp_path / "made", arch, text % "a", text % "b", NAMED)
    room = tmp_path / "room"
    room.mkdir()
    words = (*made.request().run_words, "--writable", str(room))
    monkeypatch.chdir(room)
    result = made.compare(run_words=words)
    ignored = made.compare(run_words=words, ignore=("name", "fopen"))
    assert result.divergence is not None and (result.divergence.kind, result.divergence.function) == ("memory", "name")
    assert ignored.divergence is not None and ignored.divergence.kind == "system call"
    assert '"a"' in ignored.divergence.old and '"b"' in ignored.divergence.new
    assert list(room.iterdir()) == []


CALL = """
static long call(long number, long a, long b, long c) {
    long result;
#ifdef __x86_64__
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#else
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
#endif
    return result;
}
int value(int fd) { return 0 * (call(BODY, 0) + call(LAST, 0)); }
"""
FILE = H + (
    "#include <fcntl.h>\nint main(int n, char **v) { int fd = open(v[1], O_RDWR | O_CREAT, 0644); return fd < 0 ? 9 : value(fd); }"
)
CHANGES = {
    # what one version does and the other does not -> architecture -> the call, the call after which all is the same, what is said
    "ftruncate": {
        "i386": ("194, fd, {5|7}", "93, fd, 1", "ftruncate64(3, {5|7})"),
        "x86_64": ("77, fd, {5|7}", "77, fd, 1", "ftruncate(3, {5|7})"),
    },
    "chmod": {
        "i386": ('15, (long)"f", {0600|0640}', "20, 0, 0", 'chmod("f", 0o{600|640})'),
        "x86_64": ('90, (long)"f", {0600|0640}', "39, 0, 0", 'chmod("f", 0o{600|640})'),
    },
    "utimes": {  # both times are there
        "i386": ('271, (long)"f", (long)(int[4]){1, 2, 3, {4|5}}', "20, 0, 0", 'utimes("f", {1, 2}, {3, {4|5}})'),
        "x86_64": ('235, (long)"f", (long)(long[4]){1, 2, 3, {4|5}}', "39, 0, 0", 'utimes("f", {1, 2}, {3, {4|5}})'),
    },
}


def version(text: str, number: int) -> str:
    """`{a|b}` for one of two versions."""
    return re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", lambda match: match[1 + number], text)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_leaves_the_same_contents(
    tmp_path: Path, arch: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output, results and the contents of files are the same: only the effect in the call's row shows it."""
    body, last, said = CHANGES[change][arch]
    texts = [CALL.replace("BODY", version(body, n)).replace("LAST", last) for n in range(2)]
    made = pair(tmp_path / "made", arch, *texts, FILE)
    room = tmp_path / "room"
    room.mkdir()
    words = (*made.request().run_words, "--writable", str(room))
    monkeypatch.chdir(room)
    result = made.compare("f", run_words=words)
    assert result.verdict == "diverged" and result.divergence is not None
    assert (result.divergence.kind, result.old.files) == ("system call", result.new.files)
    shown = [side.partition("  in ")[0] for side in (result.divergence.old, result.divergence.new)]
    assert shown == [version(said, 0), version(said, 1)]


def test_child_processes_are_compared(tmp_path: Path, arch: str) -> None:
    program = H + "int main() { if (!fork()) _exit(value(1) == 9); int s; wait(&s); return 0; }"
    result = pair(tmp_path, arch, ONE, OTHER, program).compare()
    assert result.divergence is not None and result.divergence.kind == "result"
    assert result.divergence.function == "value"


def test_a_program_that_never_ends(same: Pair) -> None:
    result = same.compare("1", "forever", max_instructions=2_000_000)
    assert result.verdict == "identical on this run"
    assert result.old.limit == result.new.limit == "--max-instructions"
    assert any("both sides were ended by a limit" in note for note in result.notes)


def test_only_one_version_ends(tmp_path: Path) -> None:
    made = pair(
        tmp_path,
        "x86_64",
        ONE,
        ONE.replace("{", "{ for (volatile int i = 0; ; i = 0) ;"),
        H + "int main() { return value(1); }",
    )
    result = made.compare(max_instructions=1_000_000)
    assert result.divergence is not None and result.divergence.kind == "status"
    assert result.divergence.new == "killed by the limit (--max-instructions) in value(1)"


def test_long_runs_are_compared_by_digests(same: Pair, values: Pair) -> None:
    assert same.compare("100000").verdict == "identical on this run"
    result = values.compare("60000", stdin=b"")
    assert result.divergence is not None and result.divergence.kind == "result"
    assert result.old.calls > 60000


def test_a_difference_late_in_a_long_run(tmp_path: Path, arch: str) -> None:
    program = H + "int main() { int s = 0; for (int i = 0; i < 90000; i++) s += value(i); return s == 1; }"
    result = pair(tmp_path, arch, ONE, ONE.replace("x + 1", "x == 80000 ? 0 : x + 1"), program).compare()
    assert result.divergence is not None and result.divergence.kind == "result"
    assert (result.divergence.old, result.divergence.new) == ("value(...) = 80001", "value(...) = 0")
    assert result.divergence.context[-1].endswith("value(80000)  from " + result.divergence.caller)


def test_digests_in_python_are_the_same(tmp_path: Path, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of records of every kind, with MORE records and functions that are not known yet."""
    records = bytearray()
    random = Random(arch)
    for n in range(300):
        kind = (EventKind.CALL, EventKind.RETURN, EventKind.MORE, EventKind.SIGNAL)[n and random.randrange(4)]
        records += RECORD.pack(*(random.getrandbits(64) for _ in range(7)), random.randrange(5), 0, kind, 0)

    def shape(address: int, name: str) -> ComparedWords:
        return ComparedWords(dict.fromkeys(range(address % 9), address * 4369), {9: OpaqueView("x")}, address << 8)

    def digest(folder: Path) -> dict[str, object]:
        folder.mkdir()
        sink = DigestSink(str(folder / "trace"), {}, shape, 1 << 20)
        sink.describe(ChunkKind.PROCESS, {"pid": 1, "parent": None, "forked_at": None}, 0)
        sink.describe(ChunkKind.TABLE, {"first": 0, "addresses": [1, 2, 3, 4, 5], "names": list("abcde")}, 0)
        sink.batch(Batch(1, memoryview(records), b""), 0)
        sink.close()
        return sink.summary(0)

    native = digest(tmp_path / "native")
    monkeypatch.setattr("uselib.abi.dynamic.run.digest.library", lambda: None)
    assert digest(tmp_path / "python") == native


def test_realtime_is_noted(same: Pair) -> None:
    result = same.compare(run_words=(*same.request().run_words, "--realtime"))
    assert any("--realtime" in note for note in result.notes)


# -- bindings -------------------------------------------------------------------------------------------------------------

SWAP = (
    "int a(int x) { return x; }\nint b(int x) { return x * 2; }\n",
    "int a(int); int b(int); int main() { return a(0); }",
)


@pytest.mark.parametrize(
    ("tool", "remark"), [("objcopy", "absolute symbols"), ("strip", "neither a binding note nor symbols")]
)
def test_programs_without_binding_note(tmp_path: Path, tool: str, remark: str) -> None:
    made = pair(tmp_path, "x86_64", SWAP[0], SWAP[0], SWAP[1], "a b", "b a")
    words = ["--strip-all"] if tool == "strip" else []
    subprocess.run(["objcopy", *words, "--remove-section=.note.uselib.bindings", str(made.program)], check=True)
    result = made.compare()
    assert any(remark in note for note in result.notes)
    assert [(row.bound, row.found, row.slot) for row in result.wrong] == [("a", "b", 1)]


def test_watching_in_python_records_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "extern int table[8], last; int use(int); int main() { for (int i = 0; i < 8; i++) table[i] += use(i);"
        " last = table[3]; return last == 77; }"
    )
    text = "int table[8] = {1, 2, 3}; int last;\nint use(int x) { table[0]++; return x; }\n"
    made = pair(tmp_path, "i386", text, text.replace("{1, 2, 3}", "{1, 2, 4}"), program)
    native = made.compare()
    monkeypatch.setattr(watch, "library", lambda: None)
    assert made.compare() == native
    assert native.divergence is not None
    assert (native.divergence.kind, native.divergence.function) == ("data access", "table+0x8")
    assert native.coverage is not None and native.coverage.bindings_used == ("last", "table", "use")


# -- what cannot be compared ------------------------------------------------------------------------------------------------


def test_not_comparable(tmp_path: Path, same: Pair) -> None:
    def reason(new: Path) -> str:
        result = compare_runs(Pair(same.arch, same.program, same.old, new).request())
        assert (result.verdict, result.status) == ("not comparable", 16)
        return result.reason

    assert "i386" in reason(library(tmp_path / "a", "i386", ONE))
    assert "two libraries, not two versions of one: libpair_s, libother_s" in reason(
        library(tmp_path / "b", "x86_64", ONE, name="other")
    )
    moved = library(tmp_path / "c", "x86_64", ONE, text_address="0x62000000", data_address="0x62008000")
    assert "the base address has changed, 0x61000000 to 0x62000000" in reason(moved)
    shared = tmp_path / "x.so"
    source = tmp_path / "x.c"
    source.write_text(ONE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-o", shared, source], check=True)
    assert "ordinary shared object" in reason(shared)
    refused = compare_runs(
        Pair(same.arch, same.program, library(tmp_path / "d", "x86_64", ONE, version="3.0.0"), same.new).request()
    )
    assert refused.verdict == "not comparable" and "does not start with the old version" in refused.reason


def test_a_program_that_does_not_use_the_library(tmp_path: Path, same: Pair) -> None:
    other = library(tmp_path, "x86_64", ONE, name="other")
    with pytest.raises(ToolError, match="neither the program nor its libraries use libother_s"):
        words = (*same.request().run_words, "--library-path", str(same.old.parent))
        compare_runs(Pair("x86_64", same.program, other, other).request(run_words=words))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_libraries(same: Pair, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Truncated or with a byte changed: a library, or an error for the user, and nothing else."""
    content = bytearray(same.new.read_bytes())
    content = content[: data.draw(st.integers(0, len(content)))]
    if content:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(content))
    try:
        found = read_library(str(path))
        found.exported_data, found.slots, found.code("value")
    except (ToolError, RunsNotComparable):
        pass


# -- the command ------------------------------------------------------------------------------------------------------------


def test_command(values: Pair) -> None:
    root = sysroot(values.arch)
    done = uselib("abi", "run", "--old", values.old, "--sysroot", root, values.program, "2", "--new", values.new)
    assert done.returncode == 4, done.stderr
    assert done.stdout.startswith("main: diverged\n")
    assert "first difference: result, call " in done.stdout and "coverage: " in done.stdout
    done = uselib(
        "abi", "run", "--json", "--sysroot", root, values.program, f"--old={values.old}", f"--new={values.old}"
    )
    assert done.returncode == 0 and json.loads(done.stdout)["verdict"] == "identical on this run"
    done = uselib("abi", "run", "--sysroot", root, values.program, "--old", values.old, "--new", values.program)
    assert (done.returncode, done.stdout) == (1, "") and "not a target library" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x"], "no old version given; say which with `--old LIB`"),
        (["--old", "a", "--new", "b"], "no program given"),
        (["--old", "a", "--old", "b"], "--old: given twice"),
        (["x", "--new"], "--new: needs a value (LIB)"),
        (["--nonsense", "x", "--old", "a", "--new", "b"], "--nonsense: no such option"),
        (["--strace", "x", "--old", "a", "--new", "b"], "--strace: no such option"),
        (["--json=1", "x", "--old", "a", "--new", "b"], "--json: takes no value"),
    ],
)
def test_usage(words: list[str], message: str) -> None:
    done = uselib("abi", "run", *words)
    assert (done.returncode, done.stdout) == (2, "") and message in done.stderr


def test_missing_files(same: Pair) -> None:
    for words in (
        ["nothing", "--old", same.old, "--new", same.new],
        [same.program, "--old", "nothing", "--new", same.new],
    ):
        done = uselib("abi", "run", *words)
        assert (
            done.returncode == 1
            and "nothing: No such file or directory" in done.stderr
            and "Traceback" not in done.stderr
        )
    assert uselib("abi").returncode == 2 and uselib("abi", "--help").returncode == 0
    assert "no such command" in uselib("abi", "nonsense").stderr
