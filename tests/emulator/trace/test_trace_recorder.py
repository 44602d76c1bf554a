"""`uselib trace record`: what events say, how they are chosen, and what happens when things go wrong."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment, uselib
from support.programs import build, source, sysroot
from support.tools import ARCHES
from support.traces import RECORDERS, Recorded, program, read, record
from uselib.emulator.trace.record.filters import Filters
from uselib.emulator.trace.record.select_backend import native_available
from uselib.emulator.trace.store.format import HAS_PAYLOAD, LATE, TAIL_CALL, EventKind
from uselib.trace.reading.events import events
from uselib.trace.reading.model import TraceFile

TIME, CALLER, SP, FUNCTION, DEPTH, KIND, FLAGS = 0, 1, 2, 7, 8, 9, 10
WORDS = slice(3, 7)


@pytest.fixture(params=RECORDERS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "native" and not native_available():
        pytest.skip("the native recorder was not built")
    return str(request.param)


def one(tmp_path: Path, path: Path, arch: str, *options: str, arguments: tuple[str, ...] = ()) -> Recorded:
    done = record(tmp_path / "t", path, arch, *options, arguments=arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return read(tmp_path / "t")[0]


def mine(found: Recorded) -> list[str]:
    return [name for name in found.calls() if name in ("atoi", "puts", "abs", "strlen", "printf")]


def test_entries(folder: Path, tmp_path: Path, arch: str, kind: str) -> None:
    found = one(tmp_path, program(folder, "calls", arch), arch, "--recorder", kind, arguments=("3",))
    assert mine(found) == ["atoi", "puts", "abs", "abs", "abs", "atoi", "strlen", "printf"]
    calls = [
        (sequence, name, row) for sequence, (k, name, row) in zip(found.sequences, found.events, strict=True) if k == 1
    ]
    assert [row[TIME] for _, _, row in calls] == list(range(1, len(calls) + 1))  # the clock: calls
    assert [row[WORDS][0] for _, name, row in calls if name == "abs"] == [0, 1, 2]
    assert len({row[CALLER] for _, name, row in calls if name == "abs"}) == 1
    strings = [found.payload[sequence, 0] for sequence, _, row in calls if row[FLAGS] & HAS_PAYLOAD]
    assert strings == [(0, b"3"), (0, b"output"), (0, b"12"), (0, b"four"), (0, b"%d %d\n")]
    assert found.end == {"status": 0, "signal": 0, "events": len(calls), "filtered": 0, "replaced": False}


def closed_calls(parent: Recorded) -> list[tuple[str, int, bool]]:
    """(name, value, late) of each return. Every call returns once, with its own name and depth."""
    open_calls: dict[int, tuple[str, int]] = {}
    results = []
    for sequence, (kind, name, row) in zip(parent.sequences, parent.events, strict=True):
        if kind is EventKind.CALL:
            open_calls[sequence] = (name, row[DEPTH])
        elif kind is EventKind.RETURN:
            assert open_calls.pop(row[CALLER]) == (name, row[DEPTH])
            results.append((name, row[3], bool(row[FLAGS] & LATE)))
    assert {name for name, _ in open_calls.values()} <= {"__libc_start_main", "exit", "siglongjmp"}
    return results


def survives(found: dict[int, Recorded]) -> None:
    """What every trace of hard.c with --returns has to say."""
    parent, child = found[0], found[1]
    results = closed_calls(parent)
    by_name = [(name, value) for name, value, late in results if not late]
    for expected in (("strlen", 4), ("abs", 4), ("labs", 1), ("abs", 7), ("strlen", 8)):
        assert expected in by_name
    assert [late for name, _, late in results if name == "longjmp"] == [True]
    # the second one is left by longjmp
    assert [late for name, _, late in results if name == "qsort"] == [False, True]
    assert [value for name, value, _ in results if name == "fork"] == [child.process["pid"]]
    # deep(4) calls abs five deep in its own frames, which are not calls through slots: depth is that of main's calls
    depths = {name: row[DEPTH] for kind, name, row in parent.events if kind is EventKind.CALL}
    assert depths["labs"] == depths["puts"] == depths["waitpid"] and depths["write"] == depths["raise"] + 1
    signals = [row[WORDS][0] for kind, _, row in parent.events if kind is EventKind.SIGNAL]
    assert signals == [10, 10, 12, 11] or signals == [10, 10, 12, 11, 17]
    survives_in_the_child(child)


def survives_in_the_child(child: Recorded) -> None:
    kind, name, row = child.events[0]
    assert (kind, name, row[CALLER], row[3]) == (EventKind.RETURN, "fork", 0, 0)
    assert child.calls()[:2] == ["atoi", "puts"] and child.process["parent"] == 0
    assert child.end is not None and child.end["status"] == 7


def test_returns_survive(folder: Path, tmp_path: Path, arch: str, kind: str) -> None:
    """longjmp, signals on both stacks, siglongjmp out of them, and fork."""
    done = record(tmp_path / "t", program(folder, "hard", arch, "mmap"), arch, "--recorder", kind, "--returns")
    assert done.returncode == 0 and done.stdout.endswith("parent 1.50 7\n")
    survives(read(tmp_path / "t"))


def test_tail_calls(tmp_path: Path, arch: str, kind: str) -> None:
    """A function that jumps to a library function: with --all-functions both are seen, and both return the value."""
    text = source(
        tmp_path / "tail.c",
        "#include <stdlib.h>\n__attribute__((noinline)) int tail(int n) { return abs(n); }\n"
        "int main(int argc, char **argv) { (void)argv; return tail(-4 - argc) - 5; }\n",
    )
    path = build(tmp_path / "tail", arch, "uselib", "-O2", "-fno-builtin", "-fno-ipa-cp", text)
    done = record(tmp_path / "t", path, arch, "--recorder", kind, "--returns", "--all-functions", libc="mini")
    assert (done.returncode, done.stderr) == (0, "")
    events = [(k, row) for k, name, row in read(tmp_path / "t")[0].events if name in ("tail", "abs")]
    assert [k for k, _ in events] == [EventKind.INNER_CALL, EventKind.CALL, EventKind.RETURN, EventKind.INNER_RETURN]
    assert [row[FLAGS] & TAIL_CALL for _, row in events] == [0, TAIL_CALL, 0, 0]
    assert [row[3] for _, row in events[2:]] == [5, 5] and events[0][1][SP] == events[1][1][SP]


def test_floating_results(tmp_path: Path) -> None:
    text = source(tmp_path / "f.c", '#include <stdlib.h>\nint main(void) { return (int)strtod("2.5", 0) - 2; }\n')
    for arch in ARCHES:
        path = build(tmp_path / f"f-{arch}", arch, "uselib", "-O1", text, libc="musl")
        found = one(tmp_path, path, arch, "--returns", "--symbol", "strtod")
        ((_, _, row),) = [event for event in found.events if event[0] is EventKind.RETURN]
        assert row[5] == 0x4004_0000_0000_0000  # 2.5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--symbol", "a*i", "--symbol", "puts"), ["atoi", "puts", "atoi"]),
        (("--library", "nothing*"), []),
        (
            ("--library", "libc_*", "--caller", "main"),
            ["atoi", "puts", "abs", "abs", "abs", "atoi", "strlen", "printf"],
        ),
        (("--caller", "other"), []),
        (("--trigger-on", "puts", "--trigger-off", "strlen"), ["puts", "abs", "abs", "abs", "atoi"]),
        (("--symbol", "abs", "--sample", "2"), ["abs", "abs"]),
        (("--caller", "main", "--first", "2"), ["atoi", "puts"]),
        (("--caller", "main", "--last", "2"), ["strlen", "printf"]),
        (("--depth", "1"), []),
    ],
)
def test_filters(folder: Path, tmp_path: Path, options: tuple[str, ...], expected: list[str], kind: str) -> None:
    found = one(tmp_path, program(folder, "calls", "x86_64"), "x86_64", "--recorder", kind, *options, arguments=("3",))
    assert mine(found) == expected


def test_last_keeps_sequence_numbers(folder: Path, tmp_path: Path) -> None:
    path = program(folder, "calls", "i386")
    whole = one(tmp_path, path, "i386", "--returns", arguments=("500",))
    last = one(tmp_path, path, "i386", "--returns", "--last", "20", arguments=("500",))
    assert last.end == whole.end
    numbered = [(s, e) for s, e in zip(whole.sequences, whole.events, strict=True) if s > whole.sequences[-1] - 20]
    assert [(s, e) for s, e in zip(last.sequences, last.events, strict=True) if s] == numbered


def test_filter_flags() -> None:
    filters = Filters(libraries=("libc*", "libm_s"), symbols=("str*",), trigger_on=("main",))
    assert [filters.flags(*pair) for pair in (("libc_s", "strlen"), ("libz_s", "strlen"), ("libm_s", "main"))] == [
        1,
        0,
        2,
    ]


def test_system_calls(folder: Path, tmp_path: Path, arch: str) -> None:
    found = one(tmp_path, program(folder, "calls", arch), arch, "--syscalls")
    kinds = [kind for kind, _, _ in found.events if kind is not EventKind.MORE]
    calls = kinds.count(EventKind.SYSCALL)
    assert calls == kinds.count(EventKind.SYSCALL_RESULT) + 1  # exit_group does not return
    write = 4 if arch == "i386" else 1
    text = [
        row[3:6] for kind, _, row in found.events if kind is EventKind.SYSCALL and row[FUNCTION] in (write, 146, 20)
    ]
    assert text and text[0][0] == 1  # standard output


def test_program_that_dies(folder: Path, tmp_path: Path, kind: str) -> None:
    """What was recorded is in the file, the signal is its last event; --last prints what came before."""
    text = source(
        tmp_path / "die.c", "#include <stdlib.h>\nint main(void) { abs(1); return *(volatile int *)abs(-8); }\n"
    )
    path = build(tmp_path / "die", "x86_64", "uselib", "-O1", "-fno-builtin", text)
    done = record(tmp_path / "t", path, "x86_64", "--recorder", kind, libc="mini")
    assert done.returncode == 139
    found = read(tmp_path / "t")[0]
    assert found.calls()[-2:] == ["abs", "abs"] and found.events[-1][0] is EventKind.SIGNAL
    assert found.events[-1][2][3:5] == (11, 8) and found.end is not None and found.end["signal"] == 11
    done = uselib("trace", "--last", "2", "--sysroot", sysroot("x86_64"), path, cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if line.lstrip()[0].isdigit()]
    assert [("abs" in line, "SIGSEGV" in line) for line in lines] == [(True, False), (False, True)]


def test_smashed_stack(tmp_path: Path, kind: str) -> None:
    """A stack pointer that points nowhere, at a call through a slot: words are 0, and the program dies as it would."""
    text = source(
        tmp_path / "smash.c",
        "#include <stdlib.h>\nint (*f)(int) = abs;\n"
        'int main(void) { __asm__ volatile("mov $0x10, %rsp\\n\\tjmp *f(%rip)"); return 0; }\n',
    )
    path = build(tmp_path / "smash", "x86_64", "uselib", "-O1", "-fno-builtin", text)
    done = record(tmp_path / "t", path, "x86_64", "--recorder", kind, "--returns", libc="mini")
    assert done.returncode == 139
    name, row = next((name, row) for _, name, row in reversed(read(tmp_path / "t")[0].events) if name == "abs")
    assert (name, row[CALLER], row[SP]) == ("abs", 0, 0x10)


def test_strings_that_are_none(tmp_path: Path, kind: str) -> None:
    """Pointers to nowhere, to the end of a mapping, and long strings: copied as far as they can be read."""
    text = source(
        tmp_path / "s.c",
        r"""
#include <string.h>
#include <sys/mman.h>
int main(void)
{
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    memset(page, 'x', 4096);
    strncmp("", page + 4093, 0);
    strncmp(page, (char *)16, 0);
    return 0;
}
""",
    )
    path = build(tmp_path / "s", "x86_64", "uselib", "-O1", "-fno-builtin", text, libc="musl")
    found = one(tmp_path, path, "x86_64", "--recorder", kind, "--symbol", "strncmp")
    assert found.payload == {(1, 0): (0, b""), (1, 1): (1, b"xxx"), (2, 0): (1, b"x" * 256)}


def test_full_disk(folder: Path, tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for it: the program goes on, one line and the status say so, and the events so far can be read."""
    path = program(folder, "calls", "x86_64")
    words = ["trace", "record", "-o", tmp_path / "t", "--sysroot", sysroot("x86_64", "musl"), path, "100000"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    done = subprocess.run(
        [sys.executable, "-m", "uselib.cli", *map(str, words)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1 and done.stdout.startswith("output\n")
    assert done.stderr == "uselib: trace: File too large: nothing more is recorded\n"
    assert (tmp_path / "t").stat().st_size == 2_000_000
    assert len(read(tmp_path / "t")[0].calls()) > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("record", "prog"), "no trace file given: say where with `-o FILE`"),
        (("record", "-o", "none/t", "prog"), "none/t: No such file or directory"),
        (("record", "-o", "t", "--clock", "sun", "prog"), "`sun` is not one of calls, blocks"),
        (("record", "-o", "t", "--sample", "0", "prog"), "`0` is not a value for N"),
        (("--recorder", "best", "prog"), "`best` is not one of native, python"),
    ],
)
def test_usage_errors(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = uselib("trace", *words, cwd=tmp_path)
    assert (
        done.returncode in (1, 2)
        and message in done.stderr.replace("; say", ": say")
        and "Traceback" not in done.stderr
    )


def test_exec_is_a_new_process(folder: Path, tmp_path: Path, arch: str) -> None:
    target = program(folder, "calls", arch)
    text = source(
        tmp_path / "e.c", "#include <unistd.h>\nint main(int c, char **v) { (void)c; return execv(v[1], v + 1); }\n"
    )
    path = build(tmp_path / "e", arch, "uselib", "-O1", text, libc="musl")
    done = record(tmp_path / "t", path, arch, "--readable", str(target), arguments=(str(target), "2"))
    assert (done.returncode, done.stderr) == (0, "")
    before, after = (read(tmp_path / "t")[index] for index in (0, 1))
    assert before.calls()[-1] == "execv" and before.end is not None and before.end["replaced"]
    assert after.process["parent"] == 0 and after.process["pid"] == before.process["pid"]
    assert mine(after) == ["atoi", "puts", "abs", "abs", "atoi", "strlen", "printf"]


TWO_THREADS = r"""
#include <pthread.h>
#include <stdlib.h>
static void *body(void *p) { free(malloc(8)); return p; }
int main(void) { pthread_t t; pthread_create(&t, 0, body, 0); pthread_join(t, 0); return abs(-3); }
"""


def test_threads(kind: str, tmp_path: Path) -> None:
    """Each event knows its thread; the depth of a thread's calls is its own; two runs give the same bytes."""
    text = source(tmp_path / "two.c", TWO_THREADS)
    root, made = sysroot("x86_64", "musl"), build(tmp_path / "two", "x86_64", "mmap", "-fno-builtin", text, libc="musl")
    traces = []
    for _ in range(2):
        words = ["--syscalls", "--returns", "--recorder", kind, "-o", tmp_path / "t", "--sysroot", root, made]
        done = uselib("trace", "record", *words)
        assert done.returncode == 3, done.stderr
        traces.append((tmp_path / "t").read_bytes())
    assert traces[0] == traces[1]
    with TraceFile(str(tmp_path / "t")) as trace:
        rows = [
            (event.thread, event.depth, event.function.name)
            for event in events(trace)
            if event.is_call and event.function
        ]
    names = ("pthread_create", "malloc", "free", "pthread_join", "abs")
    first = [
        (1000, 1, "pthread_create"),
        (1000, 1, "pthread_join"),
        (1001, 0, "malloc"),
        (1001, 0, "free"),
        (1000, 1, "abs"),
    ]
    assert [row for row in rows if row[2] in names] == first
    shown = uselib("trace", "show", tmp_path / "t").stdout
    assert re.search(r"^\[1001\] body -> libc_s!malloc\[\d+\]\(8\)", shown, re.MULTILINE), shown
