"""How `--strace` shows one argument: a renderer for each style of arguments.ArgumentKind, as strace(1) shows it."""

from __future__ import annotations

import struct
from collections.abc import Callable

from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.strace.scalars import SCALARS, SHOWN, Context, flag_names, pointer, signal_name
from uselib.emulator.kernel.strace.sockets import shown_sockaddr
from uselib.emulator.kernel.strace.structures import STRUCTS, any_struct
from uselib.emulator.kernel.strace.tables import CHOICES, SIGNALS
from uselib.emulator.kernel.strace.text import quoted

# Arrays


def _environment(context: Context, address: int) -> str:
    word, count = context.process.structs.word, 0
    while any(context.process.memory.read(address + count * word, word)):
        count += 1
    return f"{hex(address)} /* {count} var{'' if count == 1 else 's'} */"


def _fd_pair(context: Context, address: int) -> str:
    if context.failed:
        return pointer(context, address)
    data = context.process.memory.read(address, 8)
    return f"[{int.from_bytes(data[:4], 'little')}, {int.from_bytes(data[4:], 'little')}]"


def _offset(context: Context, address: int) -> str:
    if context.failed:
        return pointer(context, address)
    return f"[{int.from_bytes(context.process.memory.read(address, 8), 'little', signed=True)}]"


def _iovec(context: Context, address: int) -> str:
    """The contents of the vectors: bytes to be written, or bytes that have been read."""
    count = context.arguments[context.kind.size]
    if not 0 < count <= 1024 or context.failed:
        return pointer(context, address) if count else "[]"
    layout, memory, shown = context.process.structs["iovec"], context.process.memory, []
    left = context.result if context.kind.output else None
    for base, size in layout.array(memory.read(address, layout.size * min(count, 32))):
        filled = size if left is None else min(size, left)
        left = None if left is None else left - filled
        text = quoted(memory.read(base, min(filled, SHOWN))) + ("..." if filled > SHOWN else "")
        shown.append(f"{{iov_base={text}, iov_len={size}}}")
    return "[" + ", ".join([*shown, *(["..."] if count > 32 else [])]) + "]"


def _pollfds(context: Context, address: int) -> str:
    count = context.arguments[context.kind.size]
    layout = context.process.structs["pollfd"]
    entries = layout.array(context.process.memory.read(address, layout.size * min(count, 32)))
    return (
        "[" + ", ".join(f"{{fd={fd}, events={flag_names('poll', events & 0xFFFF)}}}" for fd, events, _ in entries) + "]"
    )


def poll_result(process: Process, address: int, count: int) -> str:
    """`[{fd=3, revents=POLLIN}]`: the descriptors that are ready."""
    layout = process.structs["pollfd"]
    entries = layout.array(process.memory.read(address, layout.size * count))
    return (
        "["
        + ", ".join(
            f"{{fd={fd}, revents={flag_names('poll', events & 0xFFFF)}}}" for fd, _, events in entries if events
        )
        + "]"
    )


def _fd_set(context: Context, address: int) -> str:
    if not address:
        return "NULL"
    count = max(min(context.arguments[context.kind.size], 4096), 0)
    bits = int.from_bytes(context.process.memory.read(address, (count + 7) // 8), "little")
    return "[" + " ".join(str(fd) for fd in range(count) if bits >> fd & 1) + "]"


def _dirents(context: Context, address: int) -> str:
    """`0x... /* 5 entries */`."""
    if context.failed or context.result is None:
        return hex(address)
    data = context.process.memory.read(address, context.result)
    at = 16 if context.row.name == "getdents64" or context.process.structs.word == 8 else 8
    count = position = 0
    while position < len(data):
        position += int.from_bytes(data[position + at : position + at + 2], "little") or len(data)
        count += 1
    return f"{hex(address)} /* {count} entr{'y' if count == 1 else 'ies'} */"


# Signals


def signal_set(mask: int) -> str:
    """`[INT TERM]`; `~[KILL STOP]` where that is shorter."""
    full = (1 << 64) - 1
    inverted = mask.bit_count() > 32
    names = []
    for number in range(1, 65):
        if (mask ^ (full if inverted else 0)) >> number - 1 & 1:
            names.append(SIGNALS.get(number, f"RT_{number - 32}" if number > 32 else "RTMIN").removeprefix("SIG"))
    return ("~" if inverted else "") + "[" + " ".join(names) + "]"


def _sigset(context: Context, address: int) -> str:
    if not address or context.failed:
        return pointer(context, address)
    size = 8 if context.row.name.startswith(("rt_", "p")) else context.process.structs.word
    return signal_set(int.from_bytes(context.process.memory.read(address, size), "little"))


def _sigaction(context: Context, address: int) -> str:
    """The kernel's struct sigaction. In that of the old call the mask comes second."""
    if not address or context.failed:
        return pointer(context, address)
    word, memory = context.process.structs.word, context.process.memory
    if context.row.name == "sigaction":
        handler, mask, flags, restorer = struct.unpack("<4I", memory.read(address, 16))
    else:
        handler, flags, restorer, mask = struct.unpack(
            "<3IQ" if word == 4 else "<4Q", memory.read(address, 3 * word + 8)
        )
    how = {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, hex(handler))
    tail = f", sa_restorer={hex(restorer)}" if flags & 0x04000000 else ""
    return f"{{sa_handler={how}, sa_mask={signal_set(mask)}, sa_flags={flag_names('sigaction', flags)}{tail}}}"


# Sockets


def _sockaddr(context: Context, address: int) -> str:
    """An address that the call reads, or the bytes of one that it has written."""
    if not address or context.failed:
        return pointer(context, address)
    memory = context.process.memory
    size = context.arguments[context.kind.size]
    if context.kind.output:
        size = int.from_bytes(memory.read(size, 4), "little") if size else 0
    return shown_sockaddr(memory.read(address, max(min(size, 128), 0)))


def _length(context: Context, address: int) -> str:
    """`[16]`: the length of an address or option."""
    if not address or context.failed:
        return pointer(context, address)
    return f"[{int.from_bytes(context.process.memory.read(address, 4), 'little', signed=True)}]"


def _option_name(context: Context, value: int) -> str:
    level = context.arguments[1]
    return CHOICES.get(f"socket_option_{level}", {}).get(value) or str(value)


def _option(context: Context, address: int) -> str:
    """The option's value, as a number if it is one."""
    if not address or context.failed:
        return pointer(context, address)
    size = context.arguments[context.kind.size]
    if context.kind.output:
        size = int.from_bytes(context.process.memory.read(size, 4), "little")
    data = context.process.memory.read(address, max(min(size, 64), 0))
    if size == 4:
        return f"[{int.from_bytes(data, 'little', signed=True)}]"
    return quoted(data)


def _wait_status(context: Context, address: int) -> str:
    if not address or not context.result or context.failed:
        return pointer(context, address)
    status = int.from_bytes(context.process.memory.read(address, 4), "little")
    if not status & 0x7F:
        return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}}}]"
    if status & 0xFF == 0x7F:
        return f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(context, status >> 8 & 0xFF)}}}]"
    return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(context, status & 0x7F)}}}]"


# Structures

_UTIMES = {0x3FFFFFFF: "UTIME_NOW", 0x3FFFFFFE: "UTIME_OMIT"}


def _struct(context: Context, address: int) -> str:
    if not address or context.failed:
        return pointer(context, address)
    name = context.kind.detail
    layout = context.process.structs[name]
    values = layout.decode(context.process.memory.read(address, layout.size))
    return STRUCTS.get(name, any_struct)(values)


def _struct_pair(context: Context, address: int) -> str:
    """Two times, as utimensat takes them: `[{tv_sec=0, tv_nsec=0}, UTIME_NOW]`."""
    if not address:
        return "NULL"
    layout = context.process.structs[context.kind.detail]
    shown = []
    for values in layout.array(context.process.memory.read(address, 2 * layout.size)):
        name = _UTIMES.get(values[1]) if context.kind.detail != "timeval" else None
        shown.append(name or STRUCTS[context.kind.detail](dict(zip(layout.names, values, strict=True))))
    return f"[{', '.join(shown)}]"


def _msghdr(context: Context, address: int) -> str:
    """What a message holds: its address and its bytes."""
    if not address or context.failed:
        return pointer(context, address)
    process = context.process
    layout, vector = process.structs["msghdr"], process.structs["iovec"]
    values = layout.decode(process.memory.read(address, layout.size))
    name = (
        "NULL"
        if not values["name"]
        else shown_sockaddr(process.memory.read(values["name"], min(values["namelen"], 128)))
    )
    left, parts = context.result if context.kind.updated else None, []
    for base, size in vector.array(process.memory.read(values["iov"], vector.size * min(values["iovlen"], 32))):
        filled = size if left is None else min(size, left)
        left = None if left is None else left - filled
        text = quoted(process.memory.read(base, min(filled, SHOWN))) + ("..." if filled > SHOWN else "")
        parts.append(f"{{iov_base={text}, iov_len={size}}}")
    return (
        f"{{msg_name={name}, msg_namelen={values['namelen']}, msg_iov=[{', '.join(parts)}], msg_iovlen={values['iovlen']}, "
        f"msg_controllen={values['controllen']}, msg_flags={flag_names('msg', values['flags'])}}}"
    )


RENDERERS: dict[str, Callable[[Context, int], str]] = {
    **SCALARS,
    "struct": _struct,
    "struct_pair": _struct_pair,
    "environment": _environment,
    "fd_pair": _fd_pair,
    "offset": _offset,
    "iovec": _iovec,
    "pollfds": _pollfds,
    "fd_set": _fd_set,
    "dirents": _dirents,
    "sigset": _sigset,
    "sigaction": _sigaction,
    "wait_status": _wait_status,
    "sockaddr": _sockaddr,
    "length": _length,
    "option_name": _option_name,
    "option": _option,
    "msghdr": _msghdr,
}
