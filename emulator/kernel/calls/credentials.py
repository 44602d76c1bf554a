"""Users, groups and capabilities of a process.

`--user 0` is root of its own tree. It has all capabilities, and they concern the guest alone. Other users have none.
Source: kernel/sys.c, kernel/groups.c, kernel/capability.c, security/commoncap.c of Linux; credentials(7), capabilities(7).
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from uselib.emulator.kernel.arguments import INT, PTR, PTR_OUT, PTR_UPDATED, SIZE, UID
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.proc.facts import facts_of, publish
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.settings import PR_SET_KEEPCAPS
from uselib.emulator.kernel.table import Handler, Syscall, Undo
from uselib.linker.image import Machine

CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 6, 7, 8
_OF_FILES = sum(1 << capability for capability in (0, 1, 2, 3, 4, 9, 27, 32))  # CAP_FS_SET
_KEEP = 0xFFFFFFFF  # an id of -1: leave it unchanged
_KEEP16 = 0xFFFF
_OVERFLOW = 65534  # what 16-bit calls return for a larger id
_GROUPS_MOST = 65536

Ids = tuple[int, int, int, int]  # real, effective, saved, of the file system


def _uids(who: ProcessIdentity) -> Ids:
    return who.uid, who.effective_uid, who.saved_uid, who.file_uid


def _gids(who: ProcessIdentity) -> Ids:
    return who.gid, who.effective_gid, who.saved_gid, who.file_gid


def _set_uids(process: Process, new: Ids) -> None:
    """cap_emulate_setxuid: a process that stops being root loses its capabilities."""
    who = process.identity
    old = _uids(who)
    inheritable, permitted, effective, bounding = who.capabilities
    if 0 in old[:3] and 0 not in new[:3]:
        permitted = permitted if process.settings.controls.get(PR_SET_KEEPCAPS) else 0
        effective = 0
    if old[1] == 0 and new[1] != 0:
        effective = 0
    elif old[1] != 0 and new[1] == 0:
        effective = permitted
    elif old[3] == 0 and new[3] != 0:  # setfsuid
        effective &= ~_OF_FILES
    elif old[3] != 0 and new[3] == 0:
        effective |= permitted & _OF_FILES
    who.capabilities = inheritable, permitted, effective, bounding
    who.uid, who.effective_uid, who.saved_uid, who.file_uid = new
    publish(process)


def _set_gids(process: Process, new: Ids) -> None:
    who = process.identity
    who.gid, who.effective_gid, who.saved_gid, who.file_gid = new
    publish(process)


class _Kind:
    """Users or groups: how the ids are read and set, and the capability that may set any."""

    def __init__(
        self, get: Callable[[ProcessIdentity], Ids], store: Callable[[Process, Ids], None], capability: int
    ) -> None:
        self.get, self.store, self.capability = get, store, capability


_USERS, _GROUPS = _Kind(_uids, _set_uids, CAP_SETUID), _Kind(_gids, _set_gids, CAP_SETGID)


def _set_one(process: Process, kind: _Kind, wanted: int) -> int:
    """setuid, setgid"""
    real, _, saved, _ = kind.get(process.identity)
    if wanted == _KEEP:
        raise GuestError(errno.EINVAL)
    if process.identity.can(kind.capability):
        kind.store(process, (wanted, wanted, wanted, wanted))
    elif wanted in (real, saved):
        kind.store(process, (real, wanted, saved, wanted))
    else:
        raise GuestError(errno.EPERM)
    return 0


def _set_two(process: Process, kind: _Kind, new_real: int, new_effective: int) -> int:
    """setreuid, setregid"""
    real, effective, saved, _ = kind.get(process.identity)
    free = process.identity.can(kind.capability)
    if not free and (new_real not in (_KEEP, real, effective) or new_effective not in (_KEEP, real, effective, saved)):
        raise GuestError(errno.EPERM)
    after = effective if new_effective == _KEEP else new_effective
    if new_real != _KEEP or new_effective not in (_KEEP, real):
        saved = after
    kind.store(process, (real if new_real == _KEEP else new_real, after, saved, after))
    return 0


def _set_three(process: Process, kind: _Kind, *wanted: int) -> int:
    """setresuid, setresgid"""
    old = kind.get(process.identity)
    if not process.identity.can(kind.capability) and any(value not in (_KEEP, *old[:3]) for value in wanted):
        raise GuestError(errno.EPERM)
    real, effective, saved = (before if value == _KEEP else value for before, value in zip(old, wanted, strict=False))
    kind.store(process, (real, effective, saved, effective))
    return 0


def _set_file(process: Process, kind: _Kind, wanted: int) -> int:
    """setfsuid, setfsgid: returns the old id, whether the new one is set or not."""
    old = kind.get(process.identity)
    if wanted in old or (wanted != _KEEP and process.identity.can(kind.capability)):
        kind.store(process, (*old[:3], wanted))
    return old[3]


_Setter = Callable[..., int]


def _setter(function: _Setter, kind: _Kind, narrow: bool = False) -> Handler:
    """narrow: the call is one of i386's first, whose ids have 16 bits."""
    if not narrow:
        return lambda process, *ids: function(process, kind, *ids)
    return lambda process, *ids: function(process, kind, *(_KEEP if i & 0xFFFF == _KEEP16 else i & 0xFFFF for i in ids))


def _narrow(value: int, width: int) -> int:
    return _OVERFLOW if width == 2 and value > 0xFFFF else value


def _getter(kind: _Kind, index: int, width: int = 4) -> Handler:
    return lambda process: _narrow(kind.get(process.identity)[index], width)


def _three(kind: _Kind, width: int = 4) -> Handler:
    """getresuid, getresgid"""

    def get(process: Process, *addresses: int) -> int:
        for address, value in zip(addresses, kind.get(process.identity), strict=False):
            process.memory.write(address, _narrow(value, width).to_bytes(width, "little"))
        return 0

    return get


# Supplementary groups


def _get_groups(width: int) -> Handler:
    def get(process: Process, size: int, address: int) -> int:
        groups = process.identity.groups
        if size < 0 or 0 < size < len(groups):
            raise GuestError(errno.EINVAL)
        if size:
            process.memory.write(address, b"".join(_narrow(g, width).to_bytes(width, "little") for g in groups))
        return len(groups)

    return get


def _set_groups(width: int) -> Handler:
    def put(process: Process, size: int, address: int) -> int:
        if not process.identity.can(CAP_SETGID):
            raise GuestError(errno.EPERM)
        if size > _GROUPS_MOST:
            raise GuestError(errno.EINVAL)
        data = process.memory.read(address, size * width) if size else b""
        found = [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]
        if any(group == (_KEEP if width == 4 else _KEEP16) for group in found):
            raise GuestError(errno.EINVAL)
        process.identity.groups = tuple(sorted(found))
        publish(process)
        return 0

    return put


# Capabilities

_VERSIONS = {0x19980330: 1, 0x20071026: 2, 0x20080522: 2}  # version -> elements of the data array
_NEWEST = 0x20080522


def _header(process: Process, header: int, data: int) -> tuple[int, int] | None:
    """The number of elements in the data array, and the process. None: the caller asks for the version only."""
    layout = process.structs["cap_header"]
    version, pid = layout.unpack(process.memory.read(header, layout.size))
    count = _VERSIONS.get(version)
    if count is None:
        process.memory.write(header, _NEWEST.to_bytes(4, "little"))
        if data:
            raise GuestError(errno.EINVAL)
        return None
    if pid < 0:
        raise GuestError(errno.EINVAL)
    return count, pid


def sys_capget(process: Process, header: int, data: int) -> int:
    found = _header(process, header, data)
    if found is None:
        return 0
    count, pid = found
    sets = process.identity.capabilities
    if pid not in (0, process.identity.pid, process.thread.tid):
        sets = facts_of(process, pid).capabilities
    if data:
        inheritable, permitted, effective, _ = sets
        words = []
        for shift in range(0, 32 * count, 32):
            words += [value >> shift & 0xFFFFFFFF for value in (effective, permitted, inheritable)]
        process.memory.write(data, b"".join(word.to_bytes(4, "little") for word in words))
    return 0


def sys_capset(process: Process, header: int, data: int) -> int:
    found = _header(process, header, 1)
    assert found is not None
    count, pid = found
    if pid not in (0, process.identity.pid, process.thread.tid):
        raise GuestError(errno.EPERM)
    layout = process.structs["cap_data"]
    effective = permitted = inheritable = 0
    for index, row in enumerate(layout.array(process.memory.read(data, layout.size * count))):
        effective |= row[0] << 32 * index
        permitted |= row[1] << 32 * index
        inheritable |= row[2] << 32 * index
    old_inheritable, old_permitted, _, bounding = process.identity.capabilities
    known = bounding | old_permitted
    effective, permitted, inheritable = effective & known, permitted & known, inheritable & known
    allowed = old_inheritable | (bounding if process.identity.can(CAP_SETPCAP) else old_permitted)
    if inheritable & ~allowed or permitted & ~old_permitted or effective & ~permitted:
        raise GuestError(errno.EPERM)
    process.identity.capabilities = inheritable, permitted, effective, bounding
    publish(process)
    return 0


_I386, _X86_64 = Machine.I386, Machine.X86_64


def _rows(kind: _Kind, letter: str) -> list[Syscall]:
    """letter: `u` or `g`. i386 has each call twice: with ids of 16 bits, and of 32 under a name that ends in 32."""
    pointers, found = (PTR_OUT, PTR_OUT, PTR_OUT), []
    for name, index in ((f"get{letter}id", 0), (f"gete{letter}id", 1)):
        found += [
            Syscall(name, _getter(kind, index), (), _X86_64, undo=Undo.MEMORY),
            Syscall(name, _getter(kind, index, 2), (), _I386, undo=Undo.MEMORY),
            Syscall(f"{name}32", _getter(kind, index), undo=Undo.MEMORY),
        ]
    name = f"getres{letter}id"
    found += [
        Syscall(name, _three(kind), pointers, _X86_64),
        Syscall(name, _three(kind, 2), pointers, _I386),
        Syscall(f"{name}32", _three(kind), pointers),
    ]
    setters: tuple[tuple[str, _Setter, int], ...] = (
        (f"set{letter}id", _set_one, 1),
        (f"setre{letter}id", _set_two, 2),
        (f"setres{letter}id", _set_three, 3),
        (f"setfs{letter}id", _set_file, 1),
    )
    for name, function, count in setters:
        found += [
            Syscall(name, _setter(function, kind), (UID,) * count, _X86_64),
            Syscall(name, _setter(function, kind, narrow=True), (UID,) * count, _I386),
            Syscall(f"{name}32", _setter(function, kind), (UID,) * count),
        ]
    return found


ROWS: tuple[Syscall, ...] = (
    *_rows(_USERS, "u"),
    *_rows(_GROUPS, "g"),
    Syscall("getgroups", _get_groups(4), (INT, PTR_OUT), _X86_64),
    Syscall("getgroups", _get_groups(2), (INT, PTR_OUT), _I386),
    Syscall("getgroups32", _get_groups(4), (INT, PTR_OUT)),
    Syscall("setgroups", _set_groups(4), (SIZE, PTR), _X86_64),
    Syscall("setgroups", _set_groups(2), (SIZE, PTR), _I386),
    Syscall("setgroups32", _set_groups(4), (SIZE, PTR)),
    Syscall("capget", sys_capget, (PTR_UPDATED, PTR_OUT)),
    Syscall("capset", sys_capset, (PTR_UPDATED, PTR)),
)
