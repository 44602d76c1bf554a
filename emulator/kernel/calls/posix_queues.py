"""mq_open, mq_unlink, mq_timedsend, mq_timedreceive, mq_notify, mq_getsetattr."""

from __future__ import annotations

import errno
import struct
from contextlib import suppress

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.calls.ipc import ipc_of
from uselib.emulator.kernel.calls.time import read_timespec
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.ipc.posix_queues import NONE, SIGNAL, PosixQueues, QueueFile
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.run import RunShared
from uselib.emulator.kernel.shared.signal_boxes import Origin
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.kernel.signals.numbers import COUNT
from uselib.emulator.kernel.table import Syscall

_PRIORITY_MOST = 32768
_SI_MESGQ = -3
_SIGEV_SIGNAL, _SIGEV_NONE, _SIGEV_THREAD = 0, 1, 2


def _queues(process: Process) -> PosixQueues:
    def make(shared: RunShared) -> PosixQueues:
        return PosixQueues(ipc_of(process).area)

    found = process.shared.named("posix queues", make)
    process.shared.before_fork.setdefault(PosixQueues, lambda: found.before_fork(process))
    return found


def _file(process: Process, fd: int) -> QueueFile:
    file = process.files.get(fd)
    if not isinstance(file, QueueFile):
        raise GuestError(errno.EBADF)
    return file


def sys_mq_open(process: Process, name_at: int, flags: int, mode: int, attributes_at: int) -> int:
    name = process.memory.read_string(name_at, C.PATH_MAX)
    attributes = None
    if attributes_at and flags & C.O_CREAT:
        layout = process.structs["mq_attr"]
        _, most, size, _ = layout.unpack(process.memory.read(attributes_at, layout.size))
        attributes = most, size
    process.files.check_room()
    file = _queues(process).open(process, name, flags, mode, attributes)
    return process.files.add(file, bool(flags & C.O_CLOEXEC))


def sys_mq_unlink(process: Process, name_at: int) -> int:
    _queues(process).unlink(process, process.memory.read_string(name_at, C.PATH_MAX))
    return 0


def _time_left(process: Process, at: int, layout: str) -> int | None:
    """The time left until an absolute time, in ns. None: no limit."""
    return max(read_timespec(process, at, layout) - process.clock.wall_now, 0) if at else None


def _tell(process: Process, pid: int, signal: int, value: int) -> None:
    """Sends the notification of mq_notify: a message has arrived."""
    who = process.identity
    if pid == who.pid:
        process.signals.post(SignalInfo(signal, _SI_MESGQ, who.pid, who.uid, value=value))
        return
    with suppress(OSError):
        process.pids.send(pid, signal, Origin(_SI_MESGQ, who.pid, who.uid, value))


def sys_mq_timedsend(
    process: Process, fd: int, address: int, size: int, priority: int, until: int, layout: str = "timespec"
) -> int:
    left = _time_left(process, until, layout)
    if priority >= _PRIORITY_MOST:
        raise GuestError(errno.EINVAL)
    file = _file(process, fd)
    if file.flags & C.O_ACCMODE == C.O_RDONLY:
        raise GuestError(errno.EBADF)
    if size > file.queue.most_bytes:
        raise GuestError(errno.EMSGSIZE)
    text = process.memory.read(address, size) if size else b""
    file.queues.send(process, file, text, priority, left, lambda pid, signal, value: _tell(process, pid, signal, value))
    return 0


def sys_mq_timedsend64(process: Process, fd: int, address: int, size: int, priority: int, until: int) -> int:
    return sys_mq_timedsend(process, fd, address, size, priority, until, "timespec64")


def sys_mq_timedreceive(
    process: Process, fd: int, address: int, size: int, priority_at: int, until: int, layout: str = "timespec"
) -> int:
    left = _time_left(process, until, layout)
    file = _file(process, fd)
    if file.flags & C.O_ACCMODE == C.O_WRONLY:
        raise GuestError(errno.EBADF)
    if size < file.queue.most_bytes:
        raise GuestError(errno.EMSGSIZE)
    priority, text = file.queues.receive(process, file, left)
    process.memory.write(address, text)
    if priority_at:
        process.memory.write(priority_at, struct.pack("<I", priority))
    return len(text)


def sys_mq_timedreceive64(process: Process, fd: int, address: int, size: int, priority_at: int, until: int) -> int:
    return sys_mq_timedreceive(process, fd, address, size, priority_at, until, "timespec64")


def sys_mq_notify(process: Process, fd: int, event: int) -> int:
    word, pid = process.structs.word, process.identity.pid
    data = process.memory.read(event, word + 8) if event else b""
    value = int.from_bytes(data[:word], "little")
    signal, notify = struct.unpack_from("<ii", data, word) if event else (0, 0)
    if event and (notify not in (_SIGEV_SIGNAL, _SIGEV_NONE) or (notify == _SIGEV_SIGNAL and not 1 <= signal <= COUNT)):
        raise GuestError(errno.EINVAL)
    file = _file(process, fd)
    queue = file.queue
    with file.queues.area.lock:
        if not event:
            if queue.notify_pid == pid:
                queue.notify = 0
            return 0
        if queue.notify and process.pids.runs(queue.notify_pid):
            raise GuestError(errno.EBUSY)
        queue.notify = SIGNAL if notify == _SIGEV_SIGNAL else NONE
        queue.notify_pid, queue.notify_signal, queue.value = pid, signal, value
    return 0


def sys_mq_getsetattr(process: Process, fd: int, new: int, old: int) -> int:
    layout = process.structs["mq_attr"]
    wanted = layout.unpack(process.memory.read(new, layout.size))[0] if new else 0
    if wanted & ~C.O_NONBLOCK:
        raise GuestError(errno.EINVAL)
    file = _file(process, fd)
    queue = file.queue
    if old:
        values = file.flags & C.O_NONBLOCK, queue.most, queue.most_bytes, queue.count
        process.memory.write(old, layout.pack(*values))
    if new:
        file.flags = file.flags & ~C.O_NONBLOCK | wanted
    return 0


_SPEC, _SPEC64, _ATTR = a.struct_in("timespec"), a.struct_in("timespec64"), a.struct_in("mq_attr")

ROWS = (
    Syscall("mq_open", sys_mq_open, (a.PATH, a.flags("open"), a.MODE, _ATTR)),
    Syscall("mq_unlink", sys_mq_unlink, (a.PATH,)),
    Syscall("mq_timedsend", sys_mq_timedsend, (a.INT, a.data_in(2), a.SIZE, a.UINT, _SPEC)),
    Syscall("mq_timedsend_time64", sys_mq_timedsend64, (a.INT, a.data_in(2), a.SIZE, a.UINT, _SPEC64)),
    Syscall("mq_timedreceive", sys_mq_timedreceive, (a.INT, a.data_out(2), a.SIZE, a.PTR_OUT, _SPEC)),
    Syscall("mq_timedreceive_time64", sys_mq_timedreceive64, (a.INT, a.data_out(2), a.SIZE, a.PTR_OUT, _SPEC64)),
    Syscall("mq_notify", sys_mq_notify, (a.INT, a.PTR)),
    Syscall("mq_getsetattr", sys_mq_getsetattr, (a.INT, _ATTR, a.struct_out("mq_attr"))),
)
