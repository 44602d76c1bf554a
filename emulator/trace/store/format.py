"""The trace file, version 1: what `uselib trace record` writes and every reader of traces works on. Little-endian.

A file is a header and chunks, appended as the program runs, so that it can be read after a crash: a reader takes chunks
until one is missing or cut short.

    header   8 bytes "USELIBTR", u32 version (1), u32 reserved (0)
    chunk    u32 kind, u32 size of the body, u32 process (its index, from 0), u32 reserved (0), body

    kind 1 META      JSON object: uselib version, command line, options, clock ("calls" or "blocks"), seed
    kind 2 PROCESS   JSON: pid (guest), parent (index or null), program, machine, forked_at (sequence in the parent or null)
    kind 3 TABLE     JSON: one range of functions that events refer to: first (function index), names, addresses,
                     slots (numbers from 1, or null for functions that are no slots), file, library ("" for the program), version
    kind 4 FILE      JSON: a mapped file: path, base, end, digest, and its functions as parallel lists addresses, sizes, names:
                     callers are named from this, without the file itself. since: of a file that is mapped later, how many events came before
    kind 5 RECORDS   u64 sequence of the first event, then n records of RECORD.size bytes
    kind 6 PAYLOAD   what pointers pointed to at call time: rows of u64 sequence, u8 word index, u8 flags (1: cut), u16 size,
                     bytes (not padded). Word index 64: the arguments on the stack, 65: xmm0 to xmm7, 8 bytes each; for a
                     RETURN 0: what the result points to. Comes before the RECORDS chunk of its events
    kind 7 END       JSON: status (exit status, or null), signal (0: none), events, filtered (calls that the filters left out),
                     replaced (true: an exec ended this program)
    kind 8 THREADS   JSON: first (sequence numbers, ascending), thread (guest thread numbers): from that event on it is that
                     thread's. Before the first of all it is the thread with the number of the process. Comes before the
                     RECORDS chunk of its events; a program with one thread has none
    kind 9 BINDINGS  JSON: symbol bindings, a list for each field of bindings.py. `after` says how many events came before; the
                     chunk may come after the RECORDS chunk of later ones

Processes: fork's child starts with the TABLE and FILE chunks its parent had written before; exec is a new PROCESS whose
parent has the same pid, and it starts with none. A parent takes its child's index before it forks; chunks of processes that
run at the same time lie in the file in any order, those of one process in their own.

A record is one event; MORE records continue the one before them. Sequence numbers count the events of one process from 1 and
are not stored: within a chunk they are consecutive (MORE records do not count), and chunks of a process come in their order.
64 bytes, a cache line:

     0 u64 time        in the clock of META
     8 u64 caller      CALL: return address; RETURN: sequence of its call (0: before a fork); SYSCALL, SIGNAL: pc
    16 u64 sp          stack pointer at the event
    24 u64 words[4]    CALL: the first argument words (i386: stack; x86-64: rdi rsi rdx rcx)
                       RETURN: rax, rdx, low half of xmm0 (i386: the double that st0 holds), duration in the clock
                       SYSCALL: the first arguments; SYSCALL_RESULT: the result, 0, 0, 0; SIGNAL: number, address, 0, 0
    56 u32 function    index into the tables; SYSCALL, SYSCALL_RESULT: number; MORE: how many of its words count (1 to 7)
    60 u16 depth       CALL: calls that have not returned, 0 at the bottom; RETURN: that of its call; else: calls open
    62 u8  kind        1 CALL, 2 RETURN, 3 SYSCALL, 4 SYSCALL_RESULT, 5 SIGNAL, 6 INNER_CALL (a function that is not a slot),
                       7 INNER_RETURN, 8 MORE: bytes 0..55 are up to seven further words of the event before (r8 r9 and the
                       stack, or arguments 5 and 6 of a system call)
    63 u8  flags       1 tail call (jumped to), 2 return seen late (longjmp, or a frame that was skipped), 4 payload follows
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.quick_dataclass import dataclass

MAGIC = b"USELIBTR"
VERSION = 1
HEADER = struct.Struct("<8sII")
CHUNK = struct.Struct("<IIII")
RECORD = struct.Struct("<QQQ4QIHBB")
RECORDS_HEAD = struct.Struct("<Q")  # sequence of the first event
PAYLOAD_ROW = struct.Struct("<QBBH")
assert RECORD.size == 64
MAXIMUM_CHUNK = 1 << 28


class ChunkKind(enum.IntEnum):
    META = 1
    PROCESS = 2
    TABLE = 3
    FILE = 4
    RECORDS = 5
    PAYLOAD = 6
    END = 7
    THREADS = 8
    BINDINGS = 9


class EventKind(enum.IntEnum):
    """Kinds of event."""

    CALL = 1
    RETURN = 2
    SYSCALL = 3
    SYSCALL_RESULT = 4
    SIGNAL = 5
    INNER_CALL = 6
    INNER_RETURN = 7
    MORE = 8


TAIL_CALL, LATE, HAS_PAYLOAD = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Records (RECORD) and payload rows (PAYLOAD_ROW) in bulk, from a recorder's backend to a sink. first: sequence number of the
    first record's event."""

    first: int
    records: bytes | memoryview
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: kind (unknown kinds are passed over by readers), process index, body."""

    kind: int
    process: int
    body: bytes

    def json(self, where: str) -> dict[str, Any]:
        """The body as a JSON object. Raises FormatError."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise FormatError(Diagnostic(where, f"trace chunk of kind {self.kind} is not a JSON object"))
        return value


class ChunkWriter:
    """Appends chunks to a file. Each chunk is one write, so a crash leaves whole chunks and at most one cut short."""

    def __init__(self, file: BinaryIO, *, new: bool = True) -> None:
        self._file = file
        if new:
            file.write(HEADER.pack(MAGIC, VERSION, 0))

    @staticmethod
    def json_chunk(kind: ChunkKind, value: dict[str, Any], process: int = 0) -> bytes:
        """Keys sorted, no spaces: the same value gives the same bytes."""
        body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return CHUNK.pack(kind, len(body), process, 0) + body

    def write(self, kind: ChunkKind, body: bytes | memoryview, process: int = 0) -> None:
        self._file.write(CHUNK.pack(kind, len(body), process, 0) + bytes(body))

    def write_json(self, kind: ChunkKind, value: dict[str, Any], process: int = 0) -> None:
        self._file.write(self.json_chunk(kind, value, process))


def read_chunks(file: BinaryIO, where: str) -> Iterator[Chunk]:
    """The chunks of a trace file, up to the first that is cut short. Raises FormatError for another kind of file."""
    head = file.read(HEADER.size)
    if len(head) < HEADER.size or head[:8] != MAGIC:
        raise FormatError(
            Diagnostic(where, "this is not a trace file", remedy="make one with `uselib trace record -o FILE PROG`")
        )
    version = HEADER.unpack(head)[1]
    if version != VERSION:
        raise FormatError(Diagnostic(where, f"trace format {version}; this version reads format {VERSION}"))
    while len(head := file.read(CHUNK.size)) == CHUNK.size:
        kind, size, process, _ = CHUNK.unpack(head)
        if size > MAXIMUM_CHUNK:
            raise FormatError(Diagnostic(where, f"a trace chunk of {size} bytes; the file is damaged"))
        body = file.read(size)
        if len(body) < size:
            return
        yield Chunk(kind, process, body)
