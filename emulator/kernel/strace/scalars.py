"""A system call's argument that is a number or a string, as strace(1) prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import ArgumentKind
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.strace.tables import CHOICES, FLAGS, NOTHING, SIGNALS
from uselib.emulator.kernel.strace.text import quoted
from uselib.emulator.kernel.table import Syscall

SHOWN = 32  # bytes of a buffer


@dataclass(frozen=True)
class Context:
    """One argument in its call. result is None before the call."""

    process: Process
    row: Syscall
    arguments: Sequence[int]
    kind: ArgumentKind
    result: int | None = None

    @property
    def failed(self) -> bool:
        return self.result is not None and self.result < 0


def pointer(context: Context, value: int) -> str:
    return hex(value) if value else "NULL"


def _decimal(context: Context, value: int) -> str:
    return str(value)


def _hexadecimal(context: Context, value: int) -> str:
    return hex(value) if value else "0"


def _dirfd(context: Context, value: int) -> str:
    return "AT_FDCWD" if value == C.AT_FDCWD else str(value)


def _mode(context: Context, value: int) -> str:
    return f"0{value:o}" if value else "000"


def _uid(context: Context, value: int) -> str:
    return "-1" if value == 0xFFFFFFFF else str(value)


def signal_name(context: Context, value: int) -> str:
    return SIGNALS.get(value) or (f"SIGRT_{value - 32}" if 32 <= value <= 64 else str(value))


def _string(context: Context, address: int) -> str:
    if not address or (context.failed and context.kind.output):
        return pointer(context, address)
    return quoted(context.process.memory.read_string(address, C.PATH_MAX))


def _cut(data: bytes) -> str:
    return quoted(data[:SHOWN]) + ("..." if len(data) > SHOWN else "")


def _strings(context: Context, address: int) -> str:
    """A NULL-terminated array of strings."""
    if not address:
        return "NULL"
    word, memory, shown = context.process.structs.word, context.process.memory, []
    for index in range(33):
        string = int.from_bytes(memory.read(address + index * word, word), "little")
        if not string:
            break
        shown.append("..." if index == 32 else _cut(memory.read_string(string)))
    return "[" + ", ".join(shown) + "]"


def _data(context: Context, address: int) -> str:
    """A buffer: what the call read, or the bytes that it wrote."""
    if not address or context.failed:
        return pointer(context, address)
    size = context.arguments[context.kind.size]
    if context.kind.output:
        size = min(size, context.result or 0)
    text = quoted(context.process.memory.read(address, min(size, SHOWN)))
    return text + ("..." if size > SHOWN else "")


def flag_names(table: str, value: int) -> str:
    """`A|B|0x8`: bits without a name come last, in hexadecimal."""
    names = []
    rest = value & 0xFFFFFFFF
    if table == "open":
        names.append(("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[rest & 3])
        rest &= ~3
    for bits, name in FLAGS.get(table, {}).items():
        if rest & bits == bits:
            names.append(name)
            rest &= ~bits
    if rest or not names:
        names.append(hex(rest) if rest else NOTHING.get(table, "0"))
    return "|".join(names)


def _flags(context: Context, value: int) -> str:
    if context.kind.detail == "clone":
        signal = value & 0xFF
        names = flag_names("clone", value & ~0xFF)
        return ("" if names == "0" else names + "|") + (signal_name(context, signal) if signal else "0")
    if context.kind.detail == "open" and context.row.name in ("pipe2", "dup3", "epoll_create1"):
        return flag_names("open", value).removeprefix("O_RDONLY|").replace("O_RDONLY", "0")
    return flag_names(context.kind.detail, value)


def _choice(context: Context, value: int) -> str:
    names = CHOICES.get(context.kind.detail, {})
    if value in names:
        return names[value]
    if context.kind.detail == "socket_type":
        return names.get(value & 0xF, hex(value & 0xF)) + "".join(
            f"|{name}"
            for bits, name in ((C.O_CLOEXEC, "SOCK_CLOEXEC"), (C.O_NONBLOCK, "SOCK_NONBLOCK"))
            if value & bits
        )
    return hex(value) if value > 0xFF else str(value)


def _fcntl(context: Context, value: int) -> str:
    command = context.arguments[1]
    if command in (0, 1030):
        return str(value)
    if command == 2:
        return "FD_CLOEXEC" if value == 1 else str(value)
    if command == 4:
        return flag_names("open", value)
    return hex(value)


def _ioctl(context: Context, value: int) -> str:
    return pointer(context, value)


SCALARS: dict[str, Callable[[Context, int], str]] = {
    "pointer": pointer,
    "int": _decimal,
    "fd": _decimal,
    "hex": _hexadecimal,
    "dirfd": _dirfd,
    "mode": _mode,
    "uid": _uid,
    "signal": signal_name,
    "string": _string,
    "strings": _strings,
    "data": _data,
    "flags": _flags,
    "choice": _choice,
    "fcntl": _fcntl,
    "ioctl": _ioctl,
}
