"""Processes: fork, exec, exit, wait; and the per-thread calls that a program with one thread makes.

A guest fork is a fork of the host process: memory, descriptors and the CPU's state are inherited by the host's own
copy-on-write. vfork is fork. Threads (clone with a shared address space) are refused.
Source: kernel/fork.c, kernel/exit.c, fs/exec.c, kernel/futex, arch/x86/kernel/tls.c of Linux.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from typing import TYPE_CHECKING

from emulator.interfaces import ProcessEnded, ProgramReplaced
from emulator.kernel import arguments as a
from emulator.kernel import constants as C
from emulator.kernel import waiting
from emulator.kernel.errors import GuestError
from emulator.kernel.signals import state
from emulator.kernel.table import Row
from linker.image import Machine
from loader.address_space import AddressSpace, MemoryFault
from loader.exec import StartInfo, script_interpreter, start_program

if TYPE_CHECKING:
    from emulator.kernel.process import Process

CLONE_VM, CLONE_VFORK, CLONE_THREAD = 0x100, 0x4000, 0x10000
CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_SETTLS = 0x100000, 0x200000, 0x1000000, 0x80000
ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS = 0x1001, 0x1002, 0x1003, 0x1004
WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT = 1, 2, 4, 8, 0x1000000
P_ALL, P_PID, P_PGID = 0, 1, 2
FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = (
    0,
    1,
    3,
    4,
    5,
    9,
    10,
)
FUTEX_COMMAND = 0x7F
TLS_FIRST, TLS_COUNT = 12, 3  # GDT_ENTRY_TLS_MIN
ELIBEXEC = 83  # "Cannot exec a shared library directly"
_SCRIPT_DEPTH = 5
_HEAD = 4096


# -- exit -----------------------------------------------------------------------------------------------------------------


def sys_exit(process: Process, status: int) -> int:
    raise ProcessEnded(status & 0xFF)


# -- fork and clone -------------------------------------------------------------------------------------------------------


def host_pid(process: Process, pid: int) -> int | None:
    """The host process behind a guest pid."""
    return process.pids.host(pid)


def own_group(process: Process) -> list[int]:
    """Pids that a signal to the process's own group goes to. Groups are not kept apart: every process of the guest."""
    return process.pids.all()


def sys_fork(process: Process) -> int:
    return _fork(process)


def sys_vfork(process: Process) -> int:
    return _fork(process, borrow=True)


def give_back(process: Process) -> None:
    """A vfork child has called execve or is about to end: its parent goes on."""
    if process.borrowed >= 0:
        os.close(process.borrowed)
        process.borrowed = -1


def _fork(process: Process, *, borrow: bool = False) -> int:
    """borrow: vfork's order of events, the parent waiting for the child's execve or end. Memory is not shared."""
    child = process.pids.reserve()
    for action in process.before_fork:
        action()
    sys.stdout.flush()
    sys.stderr.flush()
    process.clock.shared = True
    started, go = os.pipe2(os.O_CLOEXEC)  # the child runs once its number is in the table
    wait, done = os.pipe2(os.O_CLOEXEC) if borrow else (-1, -1)
    host = os.fork()
    if host:
        os.close(started)
        process.pids.assign(child, host)
        os.close(go)
        if borrow:
            os.close(done)
            os.read(wait, 1)
            os.close(wait)
        return child
    os.close(go)
    give_back(process)  # our parent's, if that is a vfork child itself
    if borrow:
        os.close(wait)
        process.borrowed = done
    os.read(started, 1)
    os.close(started)
    who = process.identity
    who.parent, who.pid = who.pid, child
    process.random.reseed(child)
    process.forked = True
    state(process).after_fork()
    for action in process.on_fork:
        action()
    return 0


def sys_clone_64(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    return _clone(process, flags, stack, parent, child, tls)


def sys_clone_32(process: Process, flags: int, stack: int, parent: int, tls: int, child: int) -> int:
    return _clone(process, flags, stack, parent, child, tls)


def _clone(process: Process, flags: int, stack: int, parent: int, child: int, tls: int) -> int:
    if flags & CLONE_THREAD or (flags & CLONE_VM and not flags & CLONE_VFORK):
        process.talk.once("the program wants to start a thread, which is not supported: it gets ENOSYS")
        raise GuestError(errno.ENOSYS)
    pid = _fork(process, borrow=bool(flags & CLONE_VFORK))
    if pid:
        if flags & CLONE_PARENT_SETTID:
            process.memory.write(parent, pid.to_bytes(4, "little"))
        return pid
    if flags & CLONE_CHILD_SETTID:
        process.memory.write(child, process.identity.pid.to_bytes(4, "little"))
    if flags & CLONE_SETTLS and process.machine is Machine.X86_64:
        process.cpu.set_fs_base(tls)
    if stack:
        registers = process.cpu.general()
        registers[7] = stack
        process.cpu.set_general(registers)
    return 0


# -- exec -----------------------------------------------------------------------------------------------------------------


def read_strings(process: Process, address: int) -> list[bytes]:
    """A NULL-terminated array of strings. Raises MemoryFault, GuestError(E2BIG)."""
    word, found, total = process.machine.word, [], 0
    while address:
        pointer = int.from_bytes(process.memory.read(address, word), "little")
        if not pointer:
            break
        text = process.memory.read_string(pointer, 32 * 4096)
        total += len(text) + 1 + word
        if total > process.memory.stack_limit // 4:
            raise GuestError(errno.E2BIG)
        found.append(text)
        address += word
    return found


def sys_execve(process: Process, path: int, argv: int, envp: int) -> int:
    name = process.memory.read_string(path, C.PATH_MAX)
    return execute(process, name, read_strings(process, argv) or [b""], read_strings(process, envp))


def execute(process: Process, name: bytes, arguments: list[bytes], environment: list[bytes]) -> int:
    """Loads a program into a new address space; does not return if that succeeds. Raises GuestError, OSError."""
    from linker.errors import FormatError
    from loader.headers import library_header, read_headers

    shown = name
    for _ in range(_SCRIPT_DEPTH):
        found = process.fs.existing(None, name)
        if found.directory is not None:
            raise GuestError(errno.EACCES)
        opened = process.fs.open(None, name, C.O_RDONLY | C.O_CLOEXEC, 0)
        try:
            status = os.fstat(opened.fd) if opened.fd >= 0 else None
            if status is None or not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
                raise GuestError(errno.EACCES)
            head = os.pread(opened.fd, _HEAD, 0)
            script = script_interpreter(head)
            if script is None:
                try:
                    image = read_headers(head, name.decode("utf-8", "replace"))
                except FormatError:
                    raise GuestError(errno.ENOEXEC) from None
                if library_header(head, "") is not None:
                    raise GuestError(ELIBEXEC)
                if image.interpreter:
                    process.talk.once(
                        f"{name.decode(errors='replace')}: is linked dynamically; only static programs run here"
                    )
                    raise GuestError(errno.ENOENT)
                old = process.memory
                space = AddressSpace(
                    8 * image.machine.word, limit=old.limit, ceiling=old.ceiling, stack_limit=old.stack_limit
                )
                try:
                    who = process.identity
                    info = StartInfo(shown, process.random.take(16), who.uid, who.gid)
                    label = opened.path.decode("utf-8", "surrogateescape")
                    started = start_program(space, image, opened.fd, label, arguments, environment, info)
                except (OSError, MemoryFault) as failure:
                    space.release()
                    raise GuestError(
                        failure.errno or errno.ENOEXEC if isinstance(failure, OSError) else errno.ENOEXEC
                    ) from None
                who.name = os.path.basename(shown)[:15].decode("utf-8", "replace")
                who.executable = label
                who.command_line = tuple(arguments)
                give_back(process)
                process.files.close_on_exec()
                process.descriptors.clear()
                state(process).after_exec()
                raise ProgramReplaced(space, image, started)
            interpreter, option = script
            arguments = [interpreter, *([option] if option else []), name, *arguments[1:]]
            name = interpreter
        finally:
            if opened.fd >= 0:
                os.close(opened.fd)
    raise GuestError(errno.ELOOP)


# -- wait -----------------------------------------------------------------------------------------------------------------


def _host_target(process: Process, pid: int) -> int:
    if pid == -1 or pid == 0 or pid < -1:
        return -1
    host = process.pids.host(pid)
    if host is None:
        raise GuestError(errno.ECHILD)
    return host


def _wait_interruptibly(process: Process, id_type: int, target: int, flags: int) -> os.waitid_result | None:
    """waitid of the host, which a signal with a guest handler ends (EINTR)."""
    wakeup = process.signals.wakeup_fd
    if flags & WNOHANG or (wakeup < 0 and process.clock.alarm_at is None):
        return os.waitid(id_type, target, flags)
    delay = 1_000_000
    while True:
        result = os.waitid(id_type, target, flags | os.WNOHANG)
        if result is not None:
            return result
        if process.signals.deliverable():
            raise GuestError(errno.EINTR)
        host_wait(process, delay)
        delay = min(delay * 2, 20_000_000)


def host_wait(process: Process, nanoseconds: int) -> None:
    """Waits for real: for a signal, or the time given."""
    import select

    poller = select.poll()
    if process.signals.wakeup_fd >= 0:
        poller.register(process.signals.wakeup_fd, select.POLLIN)
    poller.poll(nanoseconds / 1_000_000)
    process.clock.advance(nanoseconds)


def _wait(process: Process, id_type: int, target: int, flags: int) -> os.waitid_result | None:
    return _wait_interruptibly(process, id_type, target, flags)


def sys_wait4(process: Process, pid: int, status_at: int, options: int, usage: int) -> int:
    if options & 0x1FFF_FFFF & ~(WNOHANG | WUNTRACED | WCONTINUED):  # __WCLONE and its kin are accepted
        raise GuestError(errno.EINVAL)
    target = _host_target(process, pid)
    flags = os.WEXITED | (os.WNOHANG if options & WNOHANG else 0)
    flags |= (os.WSTOPPED if options & WUNTRACED else 0) | (os.WCONTINUED if options & WCONTINUED else 0)
    result = _wait(process, os.P_ALL if target == -1 else os.P_PID, max(target, 0), flags)
    if result is None:
        return 0
    child = process.pids.guest(result.si_pid) or 0
    status = _status_word(result)
    if result.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
        process.pids.assign(child, 0)
    if status_at:
        process.memory.write(status_at, struct.pack("<I", status))
    if usage:
        process.memory.write(usage, process.abi["rusage"].encode({}))
    return child


def _status_word(result: os.waitid_result) -> int:
    """wait(2)'s status from waitid's fields."""
    code, status = result.si_code, result.si_status
    if code == os.CLD_EXITED:
        return (status & 0xFF) << 8
    if code in (os.CLD_KILLED, os.CLD_DUMPED):
        return status & 0x7F | (0x80 if code == os.CLD_DUMPED else 0)
    if code == os.CLD_CONTINUED:
        return 0xFFFF
    return status << 8 | 0x7F


def sys_waitpid(process: Process, pid: int, status_at: int, options: int) -> int:
    return sys_wait4(process, pid, status_at, options, 0)


def sys_waitid(process: Process, id_type: int, target: int, info: int, options: int, usage: int) -> int:
    if id_type not in (P_ALL, P_PID, P_PGID) or not options & (WEXITED | WUNTRACED | WCONTINUED):
        raise GuestError(errno.EINVAL)
    host = _host_target(process, target) if id_type == P_PID else 0
    flags = options & (WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT)
    result = _wait(process, os.P_PID if id_type == P_PID else os.P_ALL, host, flags)
    data = bytes(128)
    if result is not None:
        from emulator.kernel.signal_frames import SignalInfo

        child = process.pids.guest(result.si_pid) or 0
        data = SignalInfo(17, result.si_code, child, process.identity.uid, status=result.si_status).encode(
            process.machine.word
        )
        if not options & WNOWAIT and result.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
            process.pids.assign(child, 0)
    if info:
        process.memory.write(info, data)
    if usage:
        process.memory.write(usage, process.abi["rusage"].encode({}))
    return 0


# -- thread-local storage, futexes ----------------------------------------------------------------------------------------


def sys_arch_prctl(process: Process, code: int, address: int) -> int:
    cpu = process.cpu
    if code in (ARCH_SET_FS, ARCH_SET_GS):
        if address >= process.memory.layout.top:
            raise GuestError(errno.EPERM)
        (cpu.set_fs_base if code == ARCH_SET_FS else cpu.set_gs_base)(address)
        return 0
    if code in (ARCH_GET_FS, ARCH_GET_GS):
        base = cpu.fs_base() if code == ARCH_GET_FS else cpu.gs_base()
        process.memory.write(address, base.to_bytes(8, "little"))
        return 0
    raise GuestError(errno.EINVAL)


_USER_DESC = struct.Struct("<IIII")  # entry_number, base_addr, limit, flags


def _descriptor(base: int, limit: int, flags: int) -> int:
    """fill_ldt: a data or code segment for ring 3 from struct user_desc."""
    wide, contents, read_only, pages, absent, usable = (
        flags & 1, flags >> 1 & 3, flags >> 3 & 1, flags >> 4 & 1, flags >> 5 & 1, flags >> 6 & 1,
    )  # fmt: skip
    kind = (0 if read_only else 2) | contents << 2 | 1
    access = kind | 0x10 | 0x60 | (0 if absent else 0x80)
    bits = usable | wide << 2 | pages << 3
    return (
        limit & 0xFFFF
        | (base & 0xFFFFFF) << 16
        | access << 40
        | (limit >> 16 & 0xF) << 48
        | bits << 52
        | (base >> 24) << 56
    )


def sys_set_thread_area(process: Process, address: int) -> int:
    entry, base, limit, flags = _USER_DESC.unpack(process.memory.read(address, 16))
    tls = process.descriptors
    if entry == 0xFFFF_FFFF:
        free = [number for number in range(TLS_FIRST, TLS_FIRST + TLS_COUNT) if number not in tls]
        if not free:
            raise GuestError(errno.ESRCH)
        entry = free[0]
        process.memory.write(address, entry.to_bytes(4, "little"))
    if not TLS_FIRST <= entry < TLS_FIRST + TLS_COUNT:
        raise GuestError(errno.EINVAL)
    empty = not base and not limit and flags & 0x28 == 0x28
    if empty:
        tls.pop(entry, None)
    else:
        tls[entry] = (base, limit, flags)
    process.cpu.set_descriptor(entry, 0 if empty else _descriptor(base, limit, flags))
    return 0


def sys_get_thread_area(process: Process, address: int) -> int:
    (entry,) = struct.unpack("<I", process.memory.read(address, 4))
    if not TLS_FIRST <= entry < TLS_FIRST + TLS_COUNT:
        raise GuestError(errno.EINVAL)
    base, limit, flags = process.descriptors.get(entry, (0, 0, 0x28))
    process.memory.write(address, _USER_DESC.pack(entry, base, limit, flags))
    return 0


def sys_set_tid_address(process: Process, address: int) -> int:
    """The address is cleared when a thread ends; with one thread nobody looks."""
    return process.identity.pid


def sys_set_robust_list(process: Process, head: int, size: int) -> int:
    if size != 3 * process.machine.word:
        raise GuestError(errno.EINVAL)
    return 0


def sys_futex(
    process: Process, address: int, operation: int, value: int, timeout: int, address2: int, value3: int
) -> int:
    """With one thread a wait whose value matches could only be ended by a signal, its time limit, or another process
    that shares the page."""
    command = operation & FUTEX_COMMAND
    if command in (FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP):
        process.memory.check(address, 4, "read")
        return 0
    if command not in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        raise GuestError(errno.ENOSYS)
    if int.from_bytes(process.memory.read(address, 4), "little") != value & 0xFFFF_FFFF:
        raise GuestError(errno.EAGAIN)
    limit = None
    if timeout:
        layout = process.abi["timespec"]
        seconds, nanoseconds = layout.unpack(process.memory.read(timeout, layout.size))
        limit = seconds * 1_000_000_000 + nanoseconds
        if command == FUTEX_WAIT_BITSET:  # an absolute time
            now = process.clock.wall() if operation & 0x100 else process.clock.monotonic()
            limit = max(limit - now, 0)
    elif not process.clock.shared:
        process.talk.once("deadlock: the program waits on a futex that nobody can wake")
    waiting.poll(process, [], limit)
    raise GuestError(errno.ETIMEDOUT)


def sys_sched_yield(process: Process) -> int:
    if process.clock.sleeps:
        os.sched_yield()
    return 0


PROCESSES = (
    Row("exit", sys_exit, (a.INT,)),
    Row("exit_group", sys_exit, (a.INT,)),
    Row("fork", sys_fork),
    Row("vfork", sys_vfork),
    Row("clone", sys_clone_64, (a.flags("clone", a.Width.WORD), a.PTR, a.PTR, a.PTR, a.PTR), Machine.X86_64),
    Row("clone", sys_clone_32, (a.flags("clone", a.Width.WORD), a.PTR, a.PTR, a.PTR, a.PTR), Machine.I386),
    Row("execve", sys_execve, (a.PATH, a.STRINGS, a.ENVIRONMENT)),
    Row("wait4", sys_wait4, (a.PID, a.WAIT_STATUS, a.flags("wait"), a.struct_out("rusage"))),
    Row("waitpid", sys_waitpid, (a.PID, a.WAIT_STATUS, a.flags("wait")), Machine.I386),
    Row("waitid", sys_waitid, (a.INT, a.PID, a.PTR, a.flags("wait"), a.PTR)),
    Row("arch_prctl", sys_arch_prctl, (a.choice("arch_prctl"), a.PTR), Machine.X86_64),
    Row("set_thread_area", sys_set_thread_area, (a.PTR,), Machine.I386),
    Row("get_thread_area", sys_get_thread_area, (a.PTR,), Machine.I386),
    Row("set_tid_address", sys_set_tid_address, (a.PTR,)),
    Row("set_robust_list", sys_set_robust_list, (a.PTR, a.SIZE)),
    Row("futex", sys_futex, (a.PTR, a.INT, a.UINT, a.PTR, a.PTR, a.UINT)),
    Row("futex_time64", sys_futex, (a.PTR, a.INT, a.UINT, a.PTR, a.PTR, a.UINT)),
    Row("sched_yield", sys_sched_yield),
)
