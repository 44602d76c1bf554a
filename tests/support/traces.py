"""Programs for tests of the recorder, recorded by `uselib trace record`, and what is in the files."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.command import uselib
from support.paths import PROGRAMS
from support.programs import build, sysroot
from uselib.emulator.trace.store.format import PAYLOAD_ROW, RECORD, RECORDS_HEAD, ChunkKind, EventKind, read_chunks

RECORDERS = ("native", "python")


@dataclass
class Recorded:
    """One process: its descriptions, its events as (kind, name, fields of the record) and the copied bytes by (event, word)."""

    process: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    names: dict[int, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    events: list[tuple[EventKind, str, tuple[int, ...]]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    payload: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)

    def calls(self) -> list[str]:
        return [name for kind, name, _ in self.events if kind in (EventKind.CALL, EventKind.INNER_CALL)]


def read(path: Path) -> dict[int, Recorded]:
    """A trace file by process index, read without the reading package."""
    found: dict[int, Recorded] = {}
    with path.open("rb") as file:
        for chunk in read_chunks(file, str(path)):
            one = found.setdefault(chunk.process, Recorded())
            if chunk.kind == ChunkKind.PROCESS:
                one.process = json.loads(chunk.body)
                parent = found.get(one.process["parent"]) if one.process["parent"] is not None else None
                if parent is not None and parent.process["pid"] != one.process["pid"]:
                    one.names, one.files = dict(parent.names), list(parent.files)
            elif chunk.kind == ChunkKind.TABLE:
                table = json.loads(chunk.body)
                one.names |= dict(enumerate(table["names"], table["first"]))
            elif chunk.kind == ChunkKind.FILE:
                one.files.append(json.loads(chunk.body)["path"])
            elif chunk.kind == ChunkKind.END:
                one.end = json.loads(chunk.body)
            elif chunk.kind == ChunkKind.PAYLOAD:
                at = 0
                while at < len(chunk.body):
                    sequence, word, flags, size = PAYLOAD_ROW.unpack_from(chunk.body, at)
                    at += PAYLOAD_ROW.size
                    one.payload[sequence, word] = flags, chunk.body[at : at + size]
                    at += size
            elif chunk.kind == ChunkKind.RECORDS:
                (sequence,) = RECORDS_HEAD.unpack_from(chunk.body)
                for row in RECORD.iter_unpack(chunk.body[RECORDS_HEAD.size :]):
                    kind = EventKind(row[9])
                    name = one.names.get(row[7], "") if kind in _NAMED else ""
                    one.events.append((kind, name, row))
                    one.sequences.append(sequence if kind is not EventKind.MORE else 0)
                    sequence += kind is not EventKind.MORE
    return found


_NAMED = (EventKind.CALL, EventKind.RETURN, EventKind.INNER_CALL, EventKind.INNER_RETURN)


def program(folder: Path, name: str, arch: str, scheme: str = "uselib", *options: str, libc: str = "musl") -> Path:
    """Builds tests/programs/trace_programs/NAME.c, once a folder."""
    output = folder / f"{name}-{arch}-{scheme}"
    if not output.exists():
        build(
            output,
            arch,
            scheme,
            *(options or ("-O2",)),
            "-fno-builtin",
            PROGRAMS / "trace_programs" / f"{name}.c",
            libc=libc,
        )
    return output


def record(
    path: Path, program: Path, arch: str, *options: str, arguments: tuple[str, ...] = (), libc: str = "musl"
) -> subprocess.CompletedProcess[str]:
    words = ["-o", path, *options, "--sysroot", sysroot(arch, libc), program, *arguments]
    return uselib("trace", "record", *words, cwd=program.parent)
