"""Trace files for the tests of the readers: from a small description, from random call trees, and of any length by numpy."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uselib.emulator.trace.store.format import PAYLOAD_ROW, RECORD, RECORDS_HEAD, ChunkKind, ChunkWriter, EventKind

PROGRAM_BASE, LIBC_BASE, DRAW_BASE = 0x400000, 0x60000000, 0x61000000
PROGRAM_FUNCTIONS = ["main", "compare", "run", "step"]
LIBRARIES = {
    "libc_s": (LIBC_BASE, ["malloc", "free", "qsort", "strcmp", "printf", "puts", "exit"]),
    "libdraw_s": (DRAW_BASE, ["line", "circle", "refresh", "unused"]),
}
NAMES = [name for _, names in LIBRARIES.values() for name in names]


def index_of(name: str) -> int:
    return NAMES.index(name)


def caller_of(name: str, offset: int = 0x10) -> int:
    """A return address in a function of the program."""
    return PROGRAM_BASE + 0x1000 + 0x100 * PROGRAM_FUNCTIONS.index(name) + offset


def word_for(text: str) -> int:
    return 0x10000 + sum(text.encode())


@dataclass
class TraceBuilder:
    """Writes one trace. Time advances by one with each event unless told otherwise."""

    program: str = "/work/hello"
    machine: str = "x86_64"
    chunk: int = 1000  # records in a chunk
    libc_base: int = LIBC_BASE
    out: io.BytesIO = field(default_factory=io.BytesIO)
    time: int = 0

    def __post_init__(self) -> None:
        self.writer = ChunkWriter(self.out)
        self.sequence: dict[int, int] = {}
        self.pending: dict[int, list[bytes]] = {}
        self.payload: dict[int, list[bytes]] = {}
        self.stack: dict[int, list[tuple[str, int, int]]] = {}
        self.writer.write_json(
            ChunkKind.META, {"uselib": "0.1.0", "command": [self.program], "clock": "blocks", "options": {}, "seed": 0}
        )

    def process(self, index: int = 0, pid: int = 1000, parent: int | None = None, describe: bool = True) -> None:
        self.sequence[index], self.pending[index], self.payload[index], self.stack[index] = 0, [], [], []
        at = self.sequence.get(parent) if parent is not None else None
        self.writer.write_json(
            ChunkKind.PROCESS,
            {"pid": pid, "parent": parent, "program": self.program, "machine": self.machine, "forked_at": at},
            index,
        )
        if parent is not None:
            if describe:
                self.stack[index] = list(self.stack[parent])
            return
        starts = [PROGRAM_BASE + 0x1000 + 0x100 * i for i in range(len(PROGRAM_FUNCTIONS))]
        self.file(index, self.program, PROGRAM_BASE, 0x3000, starts, [0x100] * len(starts), PROGRAM_FUNCTIONS)
        first = 0
        for library, (base, names) in LIBRARIES.items():
            base = self.libc_base if library == "libc_s" else base
            slots = [base + 0x800 + 8 * i for i in range(len(names))]
            code = [base + 0x2000 + 0x200 * i for i in range(len(names))]
            path = f"/shlib/{library}.1.0.0"
            self.file(
                index,
                path,
                base,
                0x9000,
                slots + code,
                [8] * len(names) + [0x200] * len(names),
                names + [f"{name}$impl" for name in names],
            )
            self.writer.write_json(
                ChunkKind.TABLE,
                {
                    "first": first,
                    "names": names,
                    "addresses": slots,
                    "slots": list(range(1, len(names) + 1)),
                    "file": path,
                    "library": library,
                    "version": "1.0.0",
                },
                index,
            )
            first += len(names)

    def file(
        self, index: int, path: str, base: int, size: int, starts: list[int], sizes: list[int], names: list[str]
    ) -> None:
        self.writer.write_json(
            ChunkKind.FILE,
            {
                "path": path,
                "base": base,
                "end": base + size,
                "digest": "",
                "addresses": starts,
                "sizes": sizes,
                "names": names,
            },
            index,
        )

    def record(
        self,
        kind: EventKind,
        function: int,
        depth: int,
        caller: int = 0,
        words: Iterable[int] = (),
        flags: int = 0,
        process: int = 0,
        step: int = 1,
    ) -> int:
        """Returns the event's sequence number."""
        self.time += step
        four = [*words, 0, 0, 0, 0]
        extra = list(words)[4:]
        rows = self.pending[process]
        rows.append(RECORD.pack(self.time, caller, 0x7FFF0000 - 64 * depth, *four[:4], function, depth, kind, flags))
        if extra:
            rows.append(RECORD.pack(*(extra + [0] * 7)[:7], len(extra), depth, EventKind.MORE, 0))
        self.sequence[process] += 1
        return self.sequence[process]

    def call(
        self,
        name: str,
        *,
        caller: int | str = "main",
        words: Iterable[int] = (),
        strings: dict[int, str] | None = None,
        process: int = 0,
        step: int = 1,
        flags: int = 0,
    ) -> None:
        stack = self.stack[process]
        address = caller_of(caller) if isinstance(caller, str) else caller
        number = self.record(
            EventKind.CALL, index_of(name), len(stack), address, words, flags | (4 if strings else 0), process, step
        )
        for word, text in (strings or {}).items():
            data = text.encode()
            self.payload[process].append(PAYLOAD_ROW.pack(number, word, 0, len(data)) + data)
        stack.append((name, number, self.time))
        self.flush_if(process)

    def back(self, value: int = 0, *, process: int = 0, step: int = 1, flags: int = 0) -> None:
        stack = self.stack[process]
        name, number, start = stack.pop()
        self.record(
            EventKind.RETURN,
            index_of(name),
            len(stack),
            number,
            (value, 0, 0, self.time + step - start),
            flags,
            process,
            step,
        )
        self.flush_if(process)

    def leaf(self, name: str, value: int = 0, **options: Any) -> None:
        self.call(name, **options)
        self.back(value, process=options.get("process", 0))

    def flush_if(self, process: int) -> None:
        if len(self.pending[process]) >= self.chunk:
            self.flush(process)

    def flush(self, process: int) -> None:
        rows = self.pending[process]
        if rows:
            count = sum(row[62] != EventKind.MORE for row in rows)
            first = self.sequence[process] - count + 1
            self.writer.write(ChunkKind.RECORDS, RECORDS_HEAD.pack(first) + b"".join(rows), process)
            rows.clear()
        if self.payload[process]:
            self.writer.write(ChunkKind.PAYLOAD, b"".join(self.payload[process]), process)
            self.payload[process].clear()

    def end(self, process: int = 0, status: int = 0) -> None:
        self.flush(process)
        self.writer.write_json(
            ChunkKind.END, {"status": status, "signal": 0, "events": self.sequence[process], "filtered": 0}, process
        )

    def save(self, path: Path) -> str:
        path.write_bytes(self.out.getvalue())
        return str(path)


def small(builder: TraceBuilder | None = None) -> TraceBuilder:
    """main sorts (with callbacks), draws and prints; one forked child prints too."""
    b = builder or TraceBuilder()
    b.process()
    b.leaf("malloc", 0x700000, words=(64, 1, 2, 3))
    b.call("qsort", words=(0x700000, 3, 8, caller_of("compare", 0)))
    for value in (1, 0, 0xFFFFFFFF):
        b.leaf("strcmp", value, caller="compare", words=(0x401000, 0x401010), strings={0: "abc", 1: 'a"b\n'})
    b.back(0)
    b.call("refresh", caller="run")
    b.call("line", caller=DRAW_BASE + 0x2000 + 0x200 * 2 + 0x20, words=(1, 2, 3, 4, 5, 6))
    b.leaf("malloc", 0x700040, caller=DRAW_BASE + 0x2000 + 0x20, words=(16,))
    b.back()
    b.back()
    b.flush(0)
    b.process(1, 1001, 0)
    b.leaf("puts", 6, words=(0x402000,), strings={0: "child"}, process=1)
    b.call("exit", words=(0,), process=1)
    b.end(1)
    b.leaf("printf", 12, words=(0x402010, 7), strings={0: "%d items\n"})
    b.call("exit", words=(0,))
    b.end(0)
    return b


def random_tree(
    seed: int, events: int, *, returns: bool = True, lost: float = 0.0, builder: TraceBuilder | None = None
) -> TraceBuilder:
    """A random program of about so many events. lost: the part of returns that are missing, as after longjmp."""
    random_ = random.Random(seed)
    b = builder or TraceBuilder()
    b.process()
    sites = [caller_of(name, 0x10 + 4 * i) for i, name in enumerate(PROGRAM_FUNCTIONS)] + [DRAW_BASE + 0x2010]
    while b.sequence[0] < events:
        depth = len(b.stack[0])
        if depth and (random_.random() < 0.5 or depth > 12):
            if returns and random_.random() >= lost:
                b.back(random_.getrandbits(8), step=random_.randint(1, 9))
            else:
                b.stack[0].pop()
        else:
            b.call(
                random_.choice(NAMES[:-1]),
                caller=random_.choice(sites),
                step=random_.randint(1, 9),
                words=[random_.getrandbits(16) for _ in range(4)],
            )
    b.end()
    return b


def threaded_tree(seed: int, events: int, threads: int = 3, order: int = 0) -> TraceBuilder:
    """A random program with threads 1000, 1001, ... whose events are mixed by `order`: the calls of each depend on `seed` alone. A tenth of
    the returns are lost. One of `threads` is one process as ever."""
    builder = TraceBuilder(chunk=97)
    builder.process()
    mixed = random.Random(order)
    own = [random.Random(f"{seed} {number}") for number in range(threads)]
    stacks: list[list[tuple[str, int, int]]] = [[] for _ in range(threads)]
    left = [events // threads] * threads
    firsts: list[int] = []
    numbers: list[int] = []
    running = 0
    while any(left):
        turn = mixed.choice([number for number in range(threads) if left[number]])
        if turn != running:
            firsts.append(builder.sequence[0] + 1)
            numbers.append(1000 + turn)
            running = turn
        for _ in range(min(mixed.randint(1, 5), left[turn])):
            left[turn] -= 1
            _step(builder, own[turn], stacks[turn])
    if firsts:
        builder.writer.write_json(ChunkKind.THREADS, {"first": firsts, "thread": numbers})
    builder.end()
    return builder


def _step(builder: TraceBuilder, chance: random.Random, stack: list[tuple[str, int, int]]) -> None:
    """A call or a return of the thread with that stack."""
    builder.stack[0] = stack
    lost = chance.random() < 0.1
    if stack and (chance.random() < 0.5 or len(stack) > 8):
        if not lost:
            builder.back(chance.getrandbits(8))
            return
        stack.pop()
    builder.call(
        chance.choice(NAMES[:-1]), caller=chance.choice(PROGRAM_FUNCTIONS), words=(chance.getrandbits(8), 0, 0, 0)
    )


def repeated(path: Path, builder: TraceBuilder, times: int) -> str:
    """The records of a trace of one process whose stack is empty at the end, `times` over: millions of events in a moment."""
    import numpy as np

    from uselib.trace.reading.blocks import DTYPE

    data = builder.out.getvalue()
    head, parts, position = [data[:16]], [], 16
    while position < len(data):
        kind, size, _process, _ = struct.unpack_from("<IIII", data, position)
        body = data[position + 16 : position + 16 + size]
        if kind == ChunkKind.RECORDS:
            parts.append(body[RECORDS_HEAD.size :])
        elif kind not in (ChunkKind.END, ChunkKind.PAYLOAD):
            head.append(data[position : position + 16 + size])
        position += 16 + size
    rows = np.frombuffer(b"".join(parts), DTYPE).copy()
    events = len(rows)
    span = int(rows["time"][-1]) + 1
    is_return = rows["kind"] == EventKind.RETURN
    with path.open("wb") as out:
        out.write(b"".join(head))
        writer = ChunkWriter(out, new=False)
        for turn in range(times):
            writer.write(ChunkKind.RECORDS, RECORDS_HEAD.pack(1 + turn * events) + rows.tobytes())
            rows["time"] += span
            rows["caller"][is_return] += events
        out.write(struct.pack("<IIII", ChunkKind.END, len(body := json.dumps({"status": 0}).encode()), 0, 0) + body)
    return str(path)
