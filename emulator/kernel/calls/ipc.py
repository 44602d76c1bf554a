"""System V shared memory, semaphores and message queues, and i386's ipc, which combines all of them in one call.

Source: ipc/shm.c, ipc/sem.c, ipc/msg.c, ipc/syscall.c of Linux. The objects are in emulator/kernel/ipc/.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.calls.time import read_timespec
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.ipc import messages, segments, semaphores
from uselib.emulator.kernel.ipc.area import Area
from uselib.emulator.kernel.ipc.messages import MessageQueues
from uselib.emulator.kernel.ipc.segments import Segments
from uselib.emulator.kernel.ipc.semaphores import Operation, Semaphores
from uselib.emulator.kernel.ipc.table import (
    IPC_64,
    IPC_INFO,
    IPC_RMID,
    IPC_SET,
    IPC_STAT,
    READ,
    WRITE,
    allowed,
    check_owner,
    seconds,
)
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.run import RunShared
from uselib.emulator.kernel.table import Syscall
from uselib.linker.image import Machine

_MOST_MESSAGE = (1 << 31) - 1


class Ipc(NamedTuple):
    """All objects of a run."""

    area: Area
    segments: Segments
    semaphores: Semaphores
    messages: MessageQueues


def _make(shared: RunShared) -> Ipc:
    area = Area(shared)
    return Ipc(area, Segments(area), Semaphores(area), MessageQueues(area))


def ipc_of(process: Process) -> Ipc:
    found = process.shared.part(_make)
    process.shared.in_child.setdefault(_make, lambda: found.segments.in_child(process))
    process.shared.after_exec.setdefault(_make, lambda: found.segments.after_exec(process))
    return found


# -- commands that all kinds have -----------------------------------------------------------------------------------------


class _IpcKind(NamedTuple):
    """layout: the structure of IPC_STAT. stat: commands that take a slot's number (and one that needs no permission). info: the command for
    the numbers in use.
    """

    layout: str
    stat: tuple[int, int]
    info: int
    limits: Callable[[Process, Any], bytes]
    usage: Callable[[Process, Any], bytes]


def _control(process: Process, kind: _IpcKind, holder: Any, identifier: int, command: int, address: int) -> int | None:
    """IPC_STAT, IPC_SET, IPC_RMID, IPC_INFO and similar commands. Returns None for another command."""
    ipc = ipc_of(process)
    objects, layout = holder.objects, process.structs[kind.layout]
    with ipc.area.lock:
        for part in (ipc.segments, ipc.semaphores):
            part.reap(process)
        if command in (IPC_INFO, kind.info):
            data = (kind.limits if command == IPC_INFO else kind.usage)(process, holder)
            process.memory.write(address, data)
            return max((number for number, _ in objects.all()), default=0)
        if command in kind.stat:
            if not 0 <= identifier < objects.count or not objects.at(identifier).used:
                raise GuestError(errno.EINVAL)
            number, slot, result = identifier, objects.at(identifier), objects.identifier(identifier)
            if command == kind.stat[0] and not allowed(process, slot, READ):
                raise GuestError(errno.EACCES)
        elif command == IPC_STAT:
            number, slot = objects.get(process, identifier, READ)
            result = 0
        elif command in (IPC_SET, IPC_RMID):
            number, slot = objects.get(process, identifier, 0)
            if command == IPC_SET:
                values = layout.decode(process.memory.read(address, layout.size))
                check_owner(process, slot)
                if kind.layout == "msqid64_ds":
                    if values["qbytes"] > messages.QUEUE_BYTES and process.identity.effective_uid:
                        raise GuestError(errno.EPERM)
                    slot.limit = min(values["qbytes"], messages.QUEUE_BYTES * 4)
                    ipc.area.changed()
                slot.uid, slot.gid, slot.mode = values["perm_uid"], values["perm_gid"], values["perm_mode"] & 0o777
                slot.changed = seconds(process)
                return 0
            check_owner(process, slot)
            holder.remove(number)
            return 0
        else:
            return None
        process.memory.write(address, layout.encode(holder.status(number)))
        return int(result)


# -- shared memory --------------------------------------------------------------------------------------------------------


def _shm_limits(process: Process, holder: Segments) -> bytes:
    """struct shminfo64"""
    word = "<9Q" if process.structs.word == 8 else "<9I"
    most = (process.structs.word_mask >> 1) & ~0xFFF
    return struct.pack(word, min(segments.MOST_BYTES, most), 1, segments.MOST, segments.MOST, 1 << 20, 0, 0, 0, 0)


def _shm_usage(process: Process, holder: Segments) -> bytes:
    """struct shm_info"""
    pages = [(slot.size + 4095) // 4096 for _, slot in holder.objects.all()]
    total = sum(pages)
    return struct.pack("<i4x5Q" if process.structs.word == 8 else "<i5I", len(pages), total, total, 0, 0, 0)


_SHM = _IpcKind("shmid64_ds", (13, 15), 14, _shm_limits, _shm_usage)
_SHM_LOCK, _SHM_UNLOCK = 11, 12


def sys_shmget(process: Process, key: int, size: int, flags: int) -> int:
    return ipc_of(process).segments.get(process, key, size, flags)


def sys_shmat(process: Process, identifier: int, address: int, flags: int) -> int:
    return ipc_of(process).segments.attach(process, identifier, address, flags)


def sys_shmdt(process: Process, address: int) -> int:
    ipc_of(process).segments.detach(process, address)
    return 0


def sys_shmctl(process: Process, identifier: int, command: int, address: int) -> int:
    ipc = ipc_of(process)
    command &= ~IPC_64
    if identifier < 0 or command < 0:
        raise GuestError(errno.EINVAL)
    result = _control(process, _SHM, ipc.segments, identifier, command, address)
    if result is not None:
        return result
    if command not in (_SHM_LOCK, _SHM_UNLOCK):
        raise GuestError(errno.EINVAL)
    with ipc.area.lock:
        _, segment = ipc.segments.objects.get(process, identifier, 0)
        check_owner(process, segment)
        segment.locked = int(command == _SHM_LOCK)
    return 0


# -- semaphores -----------------------------------------------------------------------------------------------------------

_SAID = 32000  # sets, semaphores in a set and queues, as Linux and /proc/sys say; there is room for fewer, then ENOSPC
_GETPID, _GETVAL, _GETALL, _GETNCNT, _GETZCNT, _SETVAL, _SETALL = range(11, 18)


def _sem_limits(process: Process, holder: Semaphores) -> bytes:
    """struct seminfo"""
    sets, all_ = _SAID, _SAID * _SAID
    calls = semaphores.PER_CALL
    return struct.pack(
        "<10i", all_, sets, all_, all_, sets, calls, calls, 20, semaphores.VALUE_MOST, semaphores.ADJUST_MOST
    )


def _sem_usage(process: Process, holder: Semaphores) -> bytes:
    sizes = [slot.size for _, slot in holder.objects.all()]
    values = list(struct.unpack("<10i", _sem_limits(process, holder)))
    values[7], values[9] = len(sizes), sum(sizes)
    return struct.pack("<10i", *values)


_SEM = _IpcKind("semid64_ds", (18, 20), 19, _sem_limits, _sem_usage)


def sys_semget(process: Process, key: int, count: int, flags: int) -> int:
    return ipc_of(process).semaphores.get(process, key, count, flags)


def sys_semop(process: Process, identifier: int, array: int, count: int) -> int:
    return sys_semtimedop(process, identifier, array, count, 0)


def sys_semtimedop(
    process: Process, identifier: int, array: int, count: int, timeout: int, layout: str = "timespec"
) -> int:
    if count < 1 or identifier < 0:
        raise GuestError(errno.EINVAL)
    if count > semaphores.PER_CALL:
        raise GuestError(errno.E2BIG)
    data = process.memory.read(array, 6 * count)
    operations = [Operation(*fields) for fields in struct.iter_unpack("<Hhh", data)]
    limit = read_timespec(process, timeout, layout) if timeout else None
    ipc_of(process).semaphores.operate(process, identifier, operations, limit)
    return 0


def sys_semtimedop64(process: Process, identifier: int, array: int, count: int, timeout: int) -> int:
    return sys_semtimedop(process, identifier, array, count, timeout, "timespec64")


def sys_semctl(process: Process, identifier: int, index: int, command: int, argument: int) -> int:
    ipc = ipc_of(process)
    command &= ~IPC_64
    if identifier < 0:
        raise GuestError(errno.EINVAL)
    result = _control(process, _SEM, ipc.semaphores, identifier, command, argument)
    if result is not None:
        return result
    if command not in range(_GETPID, _SETALL + 1):
        raise GuestError(errno.EINVAL)
    sems = ipc.semaphores
    with ipc.area.lock:
        number, found = sems.objects.get(process, identifier, 0)
        if command in (_GETALL, _SETALL):
            return _all_values(process, sems, number, command, argument)
        if not allowed(process, found, WRITE if command == _SETVAL else READ):
            raise GuestError(errno.EACCES)
        if not 0 <= index < found.size:
            raise GuestError(errno.EINVAL)
        semaphore = found.semaphores[index]
        if command == _SETVAL:
            value = argument & 0xFFFF_FFFF
            if value > semaphores.VALUE_MOST:
                raise GuestError(errno.ERANGE)
            sems.set_values(process, number, {index: value})
            return 0
        values = {
            _GETPID: semaphore.pid,
            _GETVAL: semaphore.value,
            _GETNCNT: semaphore.rising,
            _GETZCNT: semaphore.zero,
        }
        return values[command]


def _all_values(process: Process, sems: Semaphores, number: int, command: int, address: int) -> int:
    found = sems.objects.at(number)
    if not allowed(process, found, WRITE if command == _SETALL else READ):
        raise GuestError(errno.EACCES)
    layout = struct.Struct(f"<{found.size}H")
    if command == _GETALL:
        process.memory.write(address, layout.pack(*(found.semaphores[n].value for n in range(found.size))))
        return 0
    values = layout.unpack(process.memory.read(address, layout.size))
    if max(values) > semaphores.VALUE_MOST:
        raise GuestError(errno.ERANGE)
    sems.set_values(process, number, dict(enumerate(values)))
    return 0


# -- messages -------------------------------------------------------------------------------------------------------------


def _msg_limits(process: Process, holder: MessageQueues) -> bytes:
    """struct msginfo"""
    most, bytes_, queues = messages.MOST_BYTES, messages.QUEUE_BYTES, _SAID
    return struct.pack("<7iH2x", queues * bytes_ // 1024, bytes_, most, bytes_, queues, 16, bytes_, 0xFFFF)


def _msg_usage(process: Process, holder: MessageQueues) -> bytes:
    queues = [slot for _, slot in holder.objects.all()]
    values = list(struct.unpack("<7iH2x", _msg_limits(process, holder)))
    values[0], values[1] = len(queues), sum(queue.count for queue in queues)
    values[6] = sum(queue.total for queue in queues)
    return struct.pack("<7iH2x", *values)


_MSG = _IpcKind("msqid64_ds", (11, 13), 12, _msg_limits, _msg_usage)


def sys_msgget(process: Process, key: int, flags: int) -> int:
    return ipc_of(process).messages.get(process, key, flags)


def sys_msgsnd(process: Process, identifier: int, address: int, size: int, flags: int) -> int:
    word = process.structs.word
    kind = int.from_bytes(process.memory.read(address, word), "little", signed=True)
    if size > messages.MOST_BYTES or identifier < 0 or kind < 1:
        raise GuestError(errno.EINVAL)
    text = process.memory.read(address + word, size) if size else b""
    ipc_of(process).messages.send(process, identifier, kind, text, flags)
    return 0


def sys_msgrcv(process: Process, identifier: int, address: int, size: int, kind: int, flags: int) -> int:
    if identifier < 0 or size > process.structs.word_mask >> 1:
        raise GuestError(errno.EINVAL)
    if flags & messages.MSG_COPY and (flags & messages.MSG_EXCEPT or not flags & 0o4000):
        raise GuestError(errno.EINVAL)
    found, text = ipc_of(process).messages.receive(process, identifier, min(size, _MOST_MESSAGE), kind, flags)
    word = process.structs.word
    process.memory.write(address, (found & process.structs.word_mask).to_bytes(word, "little") + text)
    return len(text)


def sys_msgctl(process: Process, identifier: int, command: int, address: int) -> int:
    command &= ~IPC_64
    if identifier < 0 or command < 0:
        raise GuestError(errno.EINVAL)
    result = _control(process, _MSG, ipc_of(process).messages, identifier, command, address)
    if result is None:
        raise GuestError(errno.EINVAL)
    return result


# -- i386 -----------------------------------------------------------------------------------------------------------------


def _signed(value: int) -> int:
    return value - (value >> 31 << 32)


def _word(process: Process, address: int) -> int:
    return int.from_bytes(process.memory.read(address, 4), "little")


def _old_shmat(process: Process, identifier: int, flags: int, out: int, address: int) -> int:
    where = sys_shmat(process, identifier, address, flags)
    process.memory.write(out, where.to_bytes(4, "little"))
    return 0


def _old_msgrcv(process: Process, version: int, identifier: int, size: int, flags: int, pointer: int, kind: int) -> int:
    """Before version 1 the pointer is to the pointer to the message, and to the type."""
    if not version:
        if not pointer:
            raise GuestError(errno.EINVAL)
        pointer, kind = _word(process, pointer), _signed(_word(process, pointer + 4))
    return sys_msgrcv(process, identifier, pointer, size, kind, flags)


def sys_ipc(process: Process, call: int, first: int, second: int, third: int, pointer: int, fifth: int) -> int:
    """All of System V IPC (ipc/syscall.c)."""
    version, number = call >> 16, call & 0xFFFF
    calls: dict[int, Callable[[], int]] = {
        1: lambda: sys_semop(process, first, pointer, second),
        2: lambda: sys_semget(process, first, _signed(second), third),
        3: lambda: sys_semctl(process, first, _signed(second), third, _word(process, pointer)),
        4: lambda: sys_semtimedop(process, first, pointer, second, fifth),
        11: lambda: sys_msgsnd(process, first, pointer, second, third),
        12: lambda: _old_msgrcv(process, version, first, second, third, pointer, _signed(fifth)),
        13: lambda: sys_msgget(process, first, second),
        14: lambda: sys_msgctl(process, first, _signed(second), pointer),
        21: lambda: _old_shmat(process, first, second, third, pointer),
        22: lambda: sys_shmdt(process, pointer),
        23: lambda: sys_shmget(process, first, second, third),
        24: lambda: sys_shmctl(process, first, _signed(second), pointer),
    }
    if number not in calls:
        raise GuestError(errno.ENOSYS)
    if number in (3,) and not pointer:
        raise GuestError(errno.EINVAL)
    return calls[number]()


_GET, _SHMAT = a.flags("ipc"), a.flags("shmat")
_KEY, _MSG_FLAGS = a.choice("ipc_key"), a.flags("msgrcv")

ROWS = (
    Syscall("shmget", sys_shmget, (_KEY, a.SIZE, _GET)),
    Syscall("shmat", sys_shmat, (a.INT, a.PTR, _SHMAT)),
    Syscall("shmdt", sys_shmdt, (a.PTR,)),
    Syscall("shmctl", sys_shmctl, (a.INT, a.choice("shmctl"), a.PTR_UPDATED)),
    Syscall("semget", sys_semget, (_KEY, a.INT, _GET)),
    Syscall("semop", sys_semop, (a.INT, a.PTR, a.UINT), restarts=False),
    Syscall("semtimedop", sys_semtimedop, (a.INT, a.PTR, a.UINT, a.struct_in("timespec")), restarts=False),
    Syscall("semtimedop_time64", sys_semtimedop64, (a.INT, a.PTR, a.UINT, a.struct_in("timespec64")), restarts=False),
    Syscall("semctl", sys_semctl, (a.INT, a.INT, a.choice("semctl"), a.PTR_UPDATED)),
    Syscall("msgget", sys_msgget, (_KEY, _GET)),
    Syscall("msgsnd", sys_msgsnd, (a.INT, a.PTR, a.SIZE, _MSG_FLAGS), restarts=False),
    Syscall("msgrcv", sys_msgrcv, (a.INT, a.PTR_OUT, a.SIZE, a.LONG, _MSG_FLAGS), restarts=False),
    Syscall("msgctl", sys_msgctl, (a.INT, a.choice("msgctl"), a.PTR_UPDATED)),
    Syscall("ipc", sys_ipc, (a.choice("ipc"), a.INT, a.UINT, a.UINT, a.PTR, a.UINT), Machine.I386, restarts=False),
)
