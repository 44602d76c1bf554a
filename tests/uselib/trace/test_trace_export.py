"""`uselib trace export`: each format read back by an independent reader where there is one."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import uselib
from support.trace_writer import DRAW_BASE, TraceBuilder, random_tree, small

SMALL_FOLDED = """\
hello-1000;main;libc_s!qsort 4
hello-1000;main;libc_s!qsort;compare;libc_s!strcmp 3
hello-1000;main;libc_s!malloc 1
hello-1000;main;libc_s!printf 1
hello-1000;run;libdraw_s!refresh 2
hello-1000;run;libdraw_s!refresh;libdraw_s!line 2
hello-1000;run;libdraw_s!refresh;libdraw_s!line;libc_s!malloc 1
hello-1001;main;libc_s!puts 1
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small().save(tmp_path_factory.mktemp("traces") / "small.trace")


def export(form: str, path: str | Path, *options: str) -> str:
    ran = uselib("trace", "export", "--format", form, *options, path)
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    return ran.stdout


def test_json_lines(trace: str) -> None:
    rows = [json.loads(line) for line in export("jsonl", trace).splitlines()]
    assert rows[0] == {"event": "trace", "version": 1, "clock": "blocks", "complete": True}
    assert [row["event"] for row in rows].count("call") == 12
    assert [row["event"] for row in rows].count("return") == 10
    call = next(row for row in rows if row.get("symbol") == "printf")
    assert call["arguments"] == ['"%d items\\n"', "7"] and call["caller_symbol"] == "main+0x10"
    back = next(row for row in rows if row["event"] == "return" and row["symbol"] == "printf")
    assert back["call"] == call["sequence"] and back["result"] == "12" and back["duration"] == 1
    six = next(row for row in rows if row.get("symbol") == "line" and row["event"] == "call")
    assert six["words"] == ["0x1", "0x2", "0x3", "0x4", "0x5", "0x6"]
    assert rows[-1] == {"event": "end", "process": 1, "status": 0, "signal": 0, "filtered": 0}


def test_csv(trace: str) -> None:
    rows = list(csv.DictReader(io.StringIO(export("csv", trace))))
    assert len(rows) == 22
    assert rows[3]["symbol"] == "strcmp" and rows[3]["arguments"] == '"abc", "a\\"b\\n"'


def test_folded(trace: str) -> None:
    assert export("folded", trace) == SMALL_FOLDED
    assert "hello-1000;main;libc_s!exit 1\n" in export("folded", trace, "--weight", "calls")


def test_speedscope(trace: str) -> None:
    document = json.loads(export("speedscope", trace))
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    first = document["profiles"][0]
    assert len(first["samples"]) == len(first["weights"]) and first["endValue"] == sum(first["weights"]) == 14
    stacks = {";".join(frames[f] for f in stack) for stack in first["samples"]}
    assert "main;libc_s!qsort;compare;libc_s!strcmp" in stacks


def balanced(events: list[tuple[int, str, float, str]]) -> int:
    """Checks (track, B or E, time, name) for order and balance; returns the number of slices."""
    stacks: dict[int, list[str]] = {}
    last: dict[int, float] = {}
    count = 0
    for track, kind, time, name in events:
        assert time >= last.get(track, 0)
        last[track] = time
        if kind == "B":
            stacks.setdefault(track, []).append(name)
            count += 1
        else:
            stacks[track].pop()
    assert not any(stacks.values())
    return count


def test_chrome(trace: str) -> None:
    rows = json.loads(export("chrome", trace))["traceEvents"]
    assert balanced([(r["tid"], r["ph"], r["ts"], r.get("name", "")) for r in rows if r["ph"] in "BE"]) == 12
    printf = next(r for r in rows if r.get("name") == "printf")
    assert printf["cat"] == "libc_s" and printf["args"]["arguments"] == '"%d items\\n", 7'


def perfetto_events(data: bytes) -> tuple[list[tuple[int, str, float, str]], list[dict[str, object]], list[object]]:
    """(track, B or E, time, name) by the protobuf classes of the `perfetto` package; annotations of each; descriptors."""
    pb = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="needs the perfetto package")
    unknown = pytest.importorskip("google.protobuf.unknown_fields", reason="comes with the perfetto package")
    parsed = pb.Trace()
    parsed.ParseFromString(data)
    names: dict[tuple[int, int], str] = {}
    categories: dict[tuple[int, int], str] = {}
    notes: dict[tuple[int, int], str] = {}
    tracks: dict[int, int] = {}
    events, annotations, descriptors = [], [], []
    for packet in parsed.packet:
        for message in (packet, packet.track_event, packet.track_descriptor, packet.interned_data):
            assert len(unknown.UnknownFieldSet(message)) == 0  # every field number is one that Perfetto knows
        who = packet.trusted_packet_sequence_id
        if packet.HasField("trace_packet_defaults"):
            tracks[who] = packet.trace_packet_defaults.track_event_defaults.track_uuid
        names |= {(who, n.iid): n.name for n in packet.interned_data.event_names}
        categories |= {(who, n.iid): n.name for n in packet.interned_data.event_categories}
        notes |= {(who, n.iid): n.name for n in packet.interned_data.debug_annotation_names}
        if packet.HasField("track_descriptor"):
            descriptors.append(packet.track_descriptor)
        if packet.HasField("track_event"):
            event = packet.track_event
            kind = {1: "B", 2: "E", 3: "i"}[event.type]
            name = names[who, event.name_iid] if event.name_iid else event.name
            events.append((tracks[who], kind, packet.timestamp, name))
            row: dict[str, object] = {"category": [categories[who, c] for c in event.category_iids]}
            for note in event.debug_annotations:
                row[notes[who, note.name_iid]] = note.string_value or note.uint_value or note.bool_value
            annotations.append(row)
    return events, annotations, descriptors


def test_perfetto(trace: str, tmp_path: Path) -> None:
    ran = uselib("trace", "export", "--format", "perfetto", "-o", tmp_path / "out", trace)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    events, annotations, descriptors = perfetto_events((tmp_path / "out").read_bytes())
    assert balanced(events) == 12
    at = next(n for n, event in enumerate(events) if event[3] == "printf")
    assert annotations[at] == {
        "category": ["libc_s"],
        "arguments": '"%d items\\n", 7',
        "caller": "main+0x10",
        "slot": 5,
    }
    assert annotations[at + 1] == {"category": [], "result": "12"}
    assert [d.process.process_name for d in descriptors if d.HasField("process")] == ["hello", "hello"]  # type: ignore[attr-defined]
    assert [d.thread.pid for d in descriptors if d.HasField("thread")] == [1000, 1001]  # type: ignore[attr-defined]


def test_perfetto_in_trace_processor(trace: str, tmp_path: Path) -> None:
    """The `perfetto` package downloads trace_processor; where one is installed it has the last word."""
    shell = (
        os.environ.get("TRACE_PROCESSOR") or shutil.which("trace_processor_shell") or shutil.which("trace_processor")
    )
    if shell is None:
        pytest.skip("no trace_processor here (set TRACE_PROCESSOR to one)")
    api = pytest.importorskip("perfetto.trace_processor", reason="needs the perfetto package")
    uselib("trace", "export", "--format", "perfetto", "-o", tmp_path / "out", trace)
    with api.TraceProcessor(trace=str(tmp_path / "out"), config=api.TraceProcessorConfig(bin_path=shell)) as processor:
        rows = list(processor.query("select name, dur, category, depth from slice order by ts, depth"))
        assert len(rows) == 12
        assert {(r.name, r.dur) for r in rows} >= {("qsort", 7), ("printf", 1), ("refresh", 5)}
        errors = processor.query("select sum(value) as n from stats where severity = 'error' and value > 0")
        assert not next(iter(errors)).n


@pytest.mark.parametrize("lost", [0.0, 0.3])
@pytest.mark.parametrize("returns", [True, False])
def test_slices_are_balanced_whatever_is_missing(tmp_path: Path, lost: float, returns: bool) -> None:
    path = random_tree(5, 3000, returns=returns, lost=lost).save(tmp_path / "t")
    uselib("trace", "export", "--format", "perfetto", "-o", tmp_path / "out", path)
    events, _, _ = perfetto_events((tmp_path / "out").read_bytes())
    calls = sum('"event": "call"' in line for line in export("jsonl", path).splitlines())
    assert balanced(events) == calls > 500
    rows = json.loads(export("chrome", path))["traceEvents"]
    assert balanced([(r["tid"], r["ph"], r["ts"], r.get("name", "")) for r in rows if r["ph"] in "BE"]) == calls


def test_speedscopes_own_schema(trace: str) -> None:
    """Nothing here carries the schema; what it demands of a sampled profile is few lines."""
    document = json.loads(export("speedscope", trace))
    frames = len(document["shared"]["frames"])
    for profile in document["profiles"]:
        assert profile["type"] == "sampled" and profile["unit"] in ("none", "bytes", "nanoseconds")
        assert all(0 <= frame < frames for stack in profile["samples"] for frame in stack)
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])


def test_names_that_would_break_a_format(tmp_path: Path) -> None:
    b = TraceBuilder(program='/w/a;b "c"\n')
    b.process()
    b.leaf("puts", strings={0: 'x"; \x07'}, caller=DRAW_BASE + 0x2010)
    b.end()
    path = b.save(tmp_path / "t")
    assert json.loads(export("chrome", path)) and json.loads(export("speedscope", path))
    assert all(line.rsplit(" ", 1)[1].isdigit() for line in export("folded", path).splitlines())
    assert len(list(csv.DictReader(io.StringIO(export("csv", path))))) == 2
    assert all(json.loads(line) for line in export("jsonl", path).splitlines())


def test_usage_and_output_errors(trace: str, tmp_path: Path) -> None:
    ran = uselib("trace", "export", trace)
    assert ran.returncode == 2 and "--format" in ran.stderr
    ran = uselib("trace", "export", "--format", "xml", trace)
    assert ran.returncode == 2 and "`xml` is not a value" in ran.stderr
    missing = tmp_path / "no" / "where"
    ran = uselib("trace", "export", "--format", "csv", "-o", missing, trace)
    assert ran.returncode == 1 and ran.stderr == f"uselib: {missing}: No such file or directory\n"
    if os.path.exists("/dev/full"):
        ran = uselib("trace", "export", "--format", "jsonl", "-o", "/dev/full", trace)
        assert ran.returncode == 1 and "No space left" in ran.stderr and ran.stderr.count("\n") == 1
    assert not list(tmp_path.glob(".uselib-*"))


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    path = random_tree(2, 20000).save(tmp_path / "t")
    from support.command import environment

    command = f"{sys.executable} -m uselib.cli trace export --format jsonl {path} | head -1"
    ran = subprocess.run(["sh", "-c", command], env=environment(), capture_output=True, text=True)
    assert ran.stderr == "" and ran.stdout.startswith('{"event": "trace"')
