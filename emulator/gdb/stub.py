"""Stub: GDB's requests answered from a Target. A table of packets; no run loop here (see run.py).

Source: GDB manual, appendix E, "Remote Protocol".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uselib.emulator.gdb.registers import target_xml
from uselib.emulator.gdb.signal_numbers import linux_signal
from uselib.emulator.gdb.target import Target
from uselib.emulator.gdb.wire import BREAK, Wire, escape, unescape
from uselib.loader.memory.address_space import MemoryFault

OK, BAD_MEMORY, BAD_REQUEST = b"OK", b"E0e", b"E16"  # EFAULT, EINVAL
PACKET = 0x4000
_FEATURES = (
    b"PacketSize=%x;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;qXfer:features:read+;qXfer:auxv:read+;"
    b"qXfer:exec-file:read+;qXfer:libraries-svr4:read+;exec-events+" % PACKET
)
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


@dataclass(frozen=True)
class Go:
    """The program is to run. how: `continue`, `step`, `detach`, `kill`; signal: to deliver first (0: none); until: step on
    while the program counter is in this range; thread: which one steps (0: the one that was stopped); alone: the others do not run."""

    how: str
    signal: int = 0
    until: tuple[int, int] | None = None
    thread: int = 0
    alone: bool = False


def hexadecimal(text: bytes) -> int:
    """A number of the protocol: digits only, no sign. Raises ValueError."""
    if not _HEXADECIMAL.issuperset(text):
        raise ValueError(text)
    return int(text, 16)


class Stub:
    """`serve` answers requests until GDB lets the program run."""

    def __init__(self, wire: Wire, target: Target) -> None:
        self._wire = wire
        self.target = target
        self.last_reply = b"T05"
        self._go: Go | None = None
        self._handlers: dict[bytes, Callable[[bytes], bytes | None]] = {
            b"?": lambda _: self._stop_reply(),
            b"g": lambda _: self.target.registers.read_all().hex().encode(),
            b"G": self._write_registers,
            b"p": self._read_register,
            b"P": self._write_register,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"X": self._write_binary,
            b"Z": lambda data: self._point(data, True),
            b"z": lambda data: self._point(data, False),
            b"c": lambda data: self._resume("continue", data),
            b"s": lambda data: self._resume("step", data),
            b"C": lambda data: self._resume_with_signal("continue", data),
            b"S": lambda data: self._resume_with_signal("step", data),
            b"k": lambda _: self._let("kill"),
            b"D": self._detach,
            b"H": self._select_thread,
            b"T": lambda data: OK if hexadecimal(data) in self.target.threads.all() else BAD_REQUEST,
            b"v": self._verbose,
            b"q": self._query,
            b"Q": self._set,
        }

    def stopped(self, reply: bytes) -> None:
        """Tells GDB that the program has stopped."""
        self.last_reply = reply
        self._wire.write(self._stop_reply())

    def _stop_reply(self) -> bytes:
        reply = self.last_reply
        if reply[:1] != b"T":
            return reply
        return (
            reply
            + (b"" if len(reply) == 3 or reply.endswith(b";") else b";")
            + b"thread:%x;" % self.target.threads.running
        )

    def serve(self) -> Go:
        """Raises Closed."""
        self._go = None
        while self._go is None:
            packet = self._wire.read()
            if packet == BREAK:
                continue
            handler = self._handlers.get(packet[:1])
            try:
                answer = b"" if handler is None else handler(packet[1:])
            except (ValueError, IndexError):
                answer = BAD_REQUEST
            if answer is not None:
                self._wire.write(answer)
        return self._go

    # -- running -------------------------------------------------------------------------------------------------------

    def _let(
        self, how: str, signal: int = 0, until: tuple[int, int] | None = None, thread: int = 0, alone: bool = False
    ) -> None:
        self._go = Go(how, signal, until, thread, alone)

    def _select_thread(self, data: bytes) -> bytes:
        """Hg: whose registers are meant from now on. Hc: vCont says it."""
        if data[:1] != b"g":
            return OK
        number = self.target.threads.running if data[1:] in (b"0", b"-1") else hexadecimal(data[1:])
        return OK if self.target.threads.select(number) else BAD_REQUEST

    def _resume(self, how: str, data: bytes) -> None:
        if data:
            self._set_pc(hexadecimal(data))
        self._let(how)

    def _resume_with_signal(self, how: str, data: bytes) -> None:
        number, _, address = data.partition(b";")
        signal = linux_signal(hexadecimal(number))
        if address:
            self._set_pc(hexadecimal(address))
        self._let(how, signal)

    def _set_pc(self, address: int) -> None:
        control = self.target.control
        general = self.target.machine.cpu.general()
        general[control.pc_index] = address
        self.target.machine.cpu.set_general(general)

    def _detach(self, _data: bytes) -> None:
        self._wire.write(OK)
        self._let("detach")

    def _verbose(self, data: bytes) -> bytes | None:
        if data == b"Cont?":
            return b"vCont;c;C;s;S;r"
        if data.startswith(b"Cont;"):
            return self._continue(data[5:])
        if data.startswith(b"Kill"):
            self._wire.write(OK)
            self._let("kill")
            return None
        if data.startswith(b"File:"):
            return self._file(data[5:])
        return b""

    def _continue(self, data: bytes) -> bytes | None:
        """vCont: what the first action says, of a thread or of all. Without an action for the other threads they do not run."""
        actions = [action.partition(b":") for action in data.split(b";")]
        (action, _, number), alone = actions[0], all(which and which != b"-1" for _, _, which in actions)
        thread = hexadecimal(number) if number and number != b"-1" else 0
        kind, rest = action[:1], action[1:]
        if kind == b"r":
            begin, _, end = rest.partition(b",")
            self._let("step", until=(hexadecimal(begin), hexadecimal(end)), thread=thread, alone=alone)
        elif kind in (b"c", b"s"):
            self._let("continue" if kind == b"c" else "step", thread=thread, alone=alone)
        elif kind in (b"C", b"S"):
            self._let(
                "continue" if kind == b"C" else "step", linux_signal(hexadecimal(rest)), thread=thread, alone=alone
            )
        else:
            return BAD_REQUEST
        return None

    # -- registers and memory ------------------------------------------------------------------------------------------

    def _write_registers(self, data: bytes) -> bytes:
        self.target.registers.write_all(bytes.fromhex(data.decode()))
        return OK

    def _read_register(self, data: bytes) -> bytes:
        value = self.target.registers.read(hexadecimal(data))
        return BAD_REQUEST if value is None else value.hex().encode()

    def _write_register(self, data: bytes) -> bytes:
        number, _, value = data.partition(b"=")
        done = self.target.registers.write(hexadecimal(number), bytes.fromhex(value.decode()))
        return OK if done else BAD_REQUEST

    @staticmethod
    def _range(data: bytes) -> tuple[int, int]:
        address, _, size = data.partition(b",")
        return hexadecimal(address), hexadecimal(size)

    def _read_memory(self, data: bytes) -> bytes:
        address, size = self._range(data)
        found = self.target.read(address, min(size, PACKET // 2 - 8))
        return found.hex().encode() if found or not size else BAD_MEMORY

    def _store(self, where: bytes, data: bytes) -> bytes:
        address, size = self._range(where)
        if len(data) != size:
            return BAD_REQUEST
        return OK if self.target.write(address, data) else BAD_MEMORY

    def _write_memory(self, data: bytes) -> bytes:
        where, _, content = data.partition(b":")
        return self._store(where, bytes.fromhex(content.decode()))

    def _write_binary(self, data: bytes) -> bytes:
        where, _, content = data.partition(b":")
        return self._store(where, unescape(content))

    def _point(self, data: bytes, insert: bool) -> bytes:
        """Z and z: 0 software and 1 hardware breakpoint (the same here), 2 write watchpoint."""
        kind, address, size = data.split(b";")[0].split(b",")
        at, length = hexadecimal(address), hexadecimal(size)
        if kind in (b"0", b"1"):
            change = self.target.set_breakpoint if insert else self.target.clear_breakpoint
            change(at, kind.decode())
            return OK
        if kind != b"2":
            return b""
        if not insert:
            self.target.clear_watch(at, length)
            return OK
        try:
            self.target.set_watch(at, length)
        except MemoryFault:
            return BAD_MEMORY
        return OK

    # -- queries -------------------------------------------------------------------------------------------------------

    def _query(self, data: bytes) -> bytes:
        name, _, rest = data.partition(b":")
        if name == b"Supported":
            return _FEATURES
        if name == b"Xfer":
            return self._transfer(rest)
        threads = self.target.threads
        if name.startswith(b"ThreadExtraInfo,"):
            return threads.description(hexadecimal(name.partition(b",")[2])).encode().hex().encode()
        if name == b"fThreadInfo":
            return b"m" + b",".join(b"%x" % number for number in threads.all())
        return {b"Attached": b"1", b"C": b"QC%x" % threads.running, b"sThreadInfo": b"l"}.get(name, b"")

    def _set(self, data: bytes) -> bytes | None:
        if data != b"StartNoAckMode":
            return b""
        self._wire.write(OK)
        self._wire.acknowledge = False
        return None

    def _transfer(self, data: bytes) -> bytes:
        thing, action, annex, where = data.split(b":", 3)
        if action != b"read":
            return b""
        offset, size = self._range(where)
        sources: dict[bytes, Callable[[], bytes]] = {
            b"features": lambda: target_xml(self.target.machine.bits) if annex == b"target.xml" else b"",
            b"auxv": lambda: self.target.auxiliary,
            b"exec-file": lambda: self.target.executable.encode(),
            b"libraries-svr4": self.target.library_list,
        }
        source = sources.get(thing)
        if source is None:
            return b""
        whole = source()
        part = whole[offset : offset + min(size, PACKET // 2)]
        return (b"m" if offset + len(part) < len(whole) else b"l") + escape(part)

    def _file(self, data: bytes) -> bytes:
        """vFile: open, pread, fstat and close, of the files that are mapped."""
        name, _, rest = data.partition(b":")
        if name == b"setfs":
            return b"F0"
        if name == b"open":
            number = self.target.open_file(
                bytes.fromhex(rest.split(b",")[0].decode()).decode("utf-8", "surrogateescape")
            )
            return b"F-1,2" if number is None else b"F%x" % number
        words = [hexadecimal(word) for word in rest.split(b",")] if name in (b"pread", b"close", b"fstat") else []
        if name == b"close":
            return b"F0" if self.target.close_file(words[0]) else b"F-1,9"
        found: bytes | None
        if name == b"pread":
            found = self.target.read_file(words[0], min(words[1], PACKET // 2), words[2])
        elif name == b"fstat":
            found = self.target.file_status(words[0])
        else:
            return b""
        return b"F-1,9" if found is None else b"F%x;" % len(found) + escape(found)
