"""What a system call changes, as one line of text: the arguments that two runs of a program have in common.

Paths, numbers, names of flags and values of times are shown. Addresses are left out. So are the directories that relative paths start from,
since two runs may have opened them under different numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import TARGET, ArgumentKind
from uselib.emulator.kernel.strace.scalars import flag_names
from uselib.emulator.kernel.strace.tables import SIGNALS
from uselib.emulator.kernel.structs import KernelStructs
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.loader.memory.access import MemoryFault
from uselib.loader.memory.address_space import AddressSpace


def changes(call: Syscall, arguments: Sequence[int]) -> bool:
    """Whether a call with these arguments changes, or tries to change, something that other processes can see. The arguments are those that
    its handler gets.
    """
    if call.effect is not Effect.OPENED:
        return call.effect is not Effect.NONE
    flags = _open_flags(call, arguments)
    return flags & C.O_ACCMODE != C.O_RDONLY or bool(flags & (C.O_CREAT | C.O_TRUNC))


def target(call: Syscall, arguments: Sequence[int]) -> int:
    """The descriptor that a call with Effect.OUTPUT writes to."""
    return arguments[call.arguments.index(TARGET)]


def effect_text(call: Syscall, arguments: Sequence[int], memory: AddressSpace, structs: KernelStructs) -> str:
    """`mkdir("x", 0o755)`. Memory that cannot be read is shown as `?`."""
    shown = []
    for kind, value in zip(call.arguments, arguments, strict=True):
        if kind.style == "mode" and call.effect is Effect.OPENED and not _creates(_open_flags(call, arguments)):
            continue  # the call does not read it
        if kind.style in _MEMORY:
            try:
                shown.append(_MEMORY[kind.style](kind, value, memory, structs))
            except (MemoryFault, OSError):
                shown.append("?")
        elif kind.style in _NUMBERS:
            shown.append(_NUMBERS[kind.style](kind, value))
    return f"{call.name}({', '.join(shown)})"


def _open_flags(call: Syscall, arguments: Sequence[int]) -> int:
    """The flags of openat2 lie in memory, so it is taken to do anything."""
    pairs = zip(call.arguments, arguments, strict=True)
    return next((value for kind, value in pairs if kind.detail == "open"), C.O_RDWR | C.O_CREAT)


def _creates(flags: int) -> bool:
    return bool(flags & C.O_CREAT) or flags & C.O_TMPFILE == C.O_TMPFILE


def _string(kind: ArgumentKind, address: int, memory: AddressSpace, structs: KernelStructs) -> str:
    return json.dumps(memory.read_string(address, C.PATH_MAX).decode("utf-8", "backslashreplace"))


def _struct(kind: ArgumentKind, address: int, memory: AddressSpace, structs: KernelStructs) -> str:
    """One structure, or the pair that the kind says."""
    if not address:
        return "NULL"
    layout = structs[kind.detail]
    data = memory.read(address, layout.size * (2 if kind.style == "struct_pair" else 1))
    return ", ".join(f"{{{', '.join(map(str, values))}}}" for values in layout.array(data))


_MEMORY: dict[str, Callable[[ArgumentKind, int, AddressSpace, KernelStructs], str]] = {
    "string": _string,
    "struct": _struct,
    "struct_pair": _struct,
}
_NUMBERS: dict[str, Callable[[ArgumentKind, int], str]] = {
    "int": lambda kind, value: str(value),
    "fd": lambda kind, value: str(value),
    "uid": lambda kind, value: str(value),
    "mode": lambda kind, value: f"{value:#o}",
    "flags": lambda kind, value: flag_names(kind.detail, value),
    "signal": lambda kind, value: SIGNALS.get(value, str(value)),
}
