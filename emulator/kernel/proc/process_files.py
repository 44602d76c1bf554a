"""The files of /proc/PID that describe a process, except those about its memory. Source: fs/proc/array.c, fs/proc/base.c, fs/proc/fd.c."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.limits import INFINITY
from uselib.emulator.kernel.proc import asking, memory_files
from uselib.emulator.kernel.proc.facts import ProcessFacts, facts_of
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.places import SyntheticFile
from uselib.linker.image import PAGE

_TICK = 10_000_000  # ns: USER_HZ is 100
_STATES = {"R": "running", "S": "sleeping", "D": "disk sleep", "T": "stopped", "Z": "zombie"}
_OF_OPENING = 0o1700  # O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, which the kernel does not keep
_NO_DESCRIPTORS = 64  # FDSize of a process that is not this one


def status(process: Process, special: SyntheticFile) -> bytes:
    f = facts_of(process, special.pid)
    tid = special.tid or f.pid
    size, resident = f.size >> 10, f.resident >> 10
    open_files = process.files.descriptors if f.pid == process.identity.pid else ()
    room = max(_NO_DESCRIPTORS, *(1 << fd.bit_length() for fd in open_files)) if open_files else _NO_DESCRIPTORS
    pending, blocked, ignored, caught = f.signals
    inheritable, permitted, effective, bounding = f.capabilities
    rows: list[tuple[str, object]] = [
        ("Name", f.name),
        ("Umask", f"{process.fs.umask():04o}"),
        ("State", f"{f.state} ({_STATES[f.state]})"),
        ("Tgid", f.pid),
        ("Ngid", 0),
        ("Pid", tid),
        ("PPid", f.parent),
        ("TracerPid", 0),
        ("Uid", "\t".join(map(str, f.uids))),
        ("Gid", "\t".join(map(str, f.gids))),
        ("FDSize", room),
        ("Groups", " ".join(map(str, f.groups)) + " "),
        ("NStgid", f.pid),
        ("NSpid", tid),
        ("NSpgid", f.group),
        ("NSsid", f.session),
    ]
    if f.state != "Z":
        rows += [
            (name, f"{value:>8} kB")
            for name, value in (
                ("VmPeak", size),
                ("VmSize", size),
                ("VmLck", f.locked >> 10),
                ("VmPin", 0),
                ("VmHWM", resident),
                ("VmRSS", resident),
                ("RssAnon", resident // 2),
                ("RssFile", resident - resident // 2),
                ("RssShmem", 0),
                ("VmData", size // 2),
                ("VmStk", 132),
                ("VmExe", size // 4),
                ("VmLib", 0),
                ("VmPTE", 48),
                ("VmSwap", 0),
                ("HugetlbPages", 0),
            )
        ]
    rows += [
        ("CoreDumping", 0),
        ("THP_enabled", 1),
        ("Threads", f.threads),
        ("SigQ", "0/3900"),
        ("SigPnd", f"{pending:016x}"),
        ("ShdPnd", f"{0:016x}"),
        ("SigBlk", f"{blocked:016x}"),
        ("SigIgn", f"{ignored:016x}"),
        ("SigCgt", f"{caught:016x}"),
        ("CapInh", f"{inheritable:016x}"),
        ("CapPrm", f"{permitted:016x}"),
        ("CapEff", f"{effective:016x}"),
        ("CapBnd", f"{bounding:016x}"),
        ("CapAmb", f"{0:016x}"),
        ("NoNewPrivs", int(process.settings.no_new_privileges)),
        ("Seccomp", 0),
        ("Seccomp_filters", 0),
        ("Speculation_Store_Bypass", "not vulnerable"),
        ("SpeculationIndirectBranch", "not affected"),
        ("Cpus_allowed", 1),
        ("Cpus_allowed_list", 0),
        ("Mems_allowed", 1),
        ("Mems_allowed_list", 0),
        ("voluntary_ctxt_switches", 1),
        ("nonvoluntary_ctxt_switches", 0),
    ]
    return "".join(f"{name}:\t{value}\n" for name, value in rows).encode("utf-8", "surrogateescape")


def _device(number: int) -> int:
    """new_encode_dev"""
    major, minor = os.major(number), os.minor(number)
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def stat(process: Process, special: SyntheticFile) -> bytes:
    """The 52 fields of proc(5)."""
    f = facts_of(process, special.pid)
    ticks = f.cpu // _TICK
    own = f.pid == process.identity.pid and process.identity.uid == process.identity.effective_uid
    arguments, environment = process.identity.arguments, process.identity.environment
    brk = process.memory.brk_start if own else 0
    places = (*arguments, *environment) if own else (0, 0, 0, 0)
    stack = arguments[0] & -PAGE if own else 0
    pending, blocked, ignored, caught = (mask & 0x7FFFFFFF for mask in f.signals)
    terminal = _device(f.terminal)
    fields = [
        *(f.parent, f.group, f.session, terminal, f.foreground, 0x400000, 100, 0, 0, 0),
        *(ticks, 0, 0, 0, 20 + f.nice, f.nice, f.threads, 0, f.started // _TICK, f.size, f.resident // PAGE),
        *(INFINITY, 0, 0, stack, 0, 0, pending, blocked, ignored, caught, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0),
        *(0, 0, brk, *places, 0),
    ]
    head = f"{special.tid or f.pid} ({f.name}) {f.state} "
    return (head + " ".join(map(str, fields)) + "\n").encode("utf-8", "surrogateescape")


def statm(process: Process, special: SyntheticFile) -> bytes:
    f = facts_of(process, special.pid)
    size, resident = f.size // PAGE, f.resident // PAGE
    return f"{size} {resident} {resident // 2} {size // 4} 0 {size // 2} 0\n".encode()


def command_line(process: Process, special: SyntheticFile) -> bytes:
    if special.pid == process.identity.pid:
        return memory_files.command_line(process)
    facts = facts_of(process, special.pid)
    return b"" if facts.state == "Z" else b"".join(word + b"\0" for word in facts.command_line)


def name(process: Process, special: SyntheticFile) -> bytes:
    return facts_of(process, special.pid).name.encode("utf-8", "surrogateescape") + b"\n"


def own(text: Callable[[Process], bytes]) -> Callable[[Process, SyntheticFile], bytes]:
    """Makes a file of which only the process itself knows. Other processes ask it, as far as ptrace(2)'s rules let them."""

    def make(process: Process, special: SyntheticFile) -> bytes:
        if special.pid != process.identity.pid:
            return asking.text(process, special)
        return text(process)

    return make


def fixed(text: str) -> Callable[[Process, SyntheticFile], bytes]:
    return lambda process, special: text.encode()


_LIMITS = (  # name, unit, in the order of RLIMIT_*
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
)


def limits(process: Process) -> bytes:
    lines = [f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}{'Units':<10}"]
    for number, (label, unit) in enumerate(_LIMITS):
        soft, hard = ("unlimited" if value == INFINITY else str(value) for value in process.limits.values[number])
        lines.append(f"{label:<26}{soft:<21}{hard:<21}" + (f"{unit:<10}" if unit else ""))
    return ("\n".join(lines) + "\n").encode()


def descriptor_facts(process: Process, special: SyntheticFile) -> bytes:
    """/proc/PID/fdinfo/N"""
    if special.pid != process.identity.pid:
        return asking.text(process, special)
    try:
        entry = process.files.descriptor(special.number)
    except GuestError:
        raise GuestError(errno.ENOENT) from None
    file = entry.description
    position, flags = 0, file.flags & ~_OF_OPENING
    if file.fd >= 0:
        if not flags & 0o10000000:  # O_PATH has neither
            flags = flags & ~0o6003 | fcntl.fcntl(file.fd, fcntl.F_GETFL) & 0o6003
        try:
            position = os.lseek(file.fd, 0, os.SEEK_CUR)
        except OSError:
            position = 0
    if entry.cloexec:
        flags |= 0o2000000
    return f"pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t25\nino:\t{_inode(file.fd)}\n".encode()


def _inode(fd: int) -> int:
    return os.fstat(fd).st_ino if fd >= 0 else 0


def children(process: Process, special: SyntheticFile) -> bytes:
    """/proc/PID/task/TID/children"""
    return b"".join(b"%d " % pid for pid in process.pids.all() if process.pids.parent(pid) == special.pid)


IO = "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"


def facts_only(make: Callable[[ProcessFacts], str]) -> Callable[[Process, SyntheticFile], bytes]:
    return lambda process, special: make(facts_of(process, special.pid)).encode("utf-8", "surrogateescape")
