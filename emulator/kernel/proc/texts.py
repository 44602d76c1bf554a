"""name of a synthesised file -> the function that makes its text, and what writing to it does."""

from __future__ import annotations

import errno
from collections.abc import Callable

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.proc import memory_files, process_files, system_files
from uselib.emulator.kernel.proc.facts import publish
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.vfs.places import SyntheticFile

Maker = Callable[[Process, SyntheticFile], bytes]
_own, _fixed = process_files.own, process_files.fixed


def _system(text: Callable[[Process], str]) -> Maker:
    return lambda process, special: text(process).encode("utf-8", "surrogateescape")


def _fixed_bytes(make: Callable[[], bytes]) -> Maker:
    return lambda process, special: make()


TEXTS: dict[str, Maker] = {
    # of a process
    "auxv": _own(memory_files.auxv),
    "cgroup": _fixed("0::/\n"),
    "children": process_files.children,
    "cmdline": lambda process, special: (
        process_files.command_line(process, special) if special.pid else b"root=/dev/root ro\n"
    ),
    "comm": process_files.name,
    "coredump_filter": _fixed("00000033\n"),
    "cpuset": _fixed("/\n"),
    "environ": _own(memory_files.environ),
    "fdinfo": process_files.descriptor_facts,
    "gid_map": _fixed("         0          0 4294967295\n"),
    "io": _own(lambda process: process_files.IO.encode()),
    "limits": _own(process_files.limits),
    "loginuid": lambda process, special: str(process.settings.login_uid).encode(),
    "maps": _own(memory_files.maps),
    "mountinfo": _system(system_files.mountinfo),
    "mounts": _system(system_files.mounts),
    "mountstats": _system(system_files.mountstats),
    "oom_adj": lambda process, special: b"%d\n" % (process.settings.oom_score_adj * 17 // 1000),
    "oom_score": _fixed("666\n"),
    "oom_score_adj": lambda process, special: b"%d\n" % process.settings.oom_score_adj,
    "pagemap": _own(lambda process: b""),
    "personality": _own(lambda process: b"%08x\n" % process.settings.personality),
    "sched": process_files.facts_only(lambda facts: f"{facts.name} ({facts.pid}, #threads: {facts.threads})\n"),
    "schedstat": process_files.facts_only(lambda facts: f"{facts.cpu} 0 1\n"),
    "sessionid": _fixed("4294967295"),
    "setgroups": _fixed("allow\n"),
    "smaps": _own(memory_files.smaps),
    "smaps_rollup": _own(memory_files.smaps_rollup),
    "stack": _own(lambda process: b""),
    "statm": process_files.statm,
    "status": process_files.status,
    "syscall": _own(lambda process: b"running\n"),
    "timerslack_ns": lambda process, special: b"%d\n" % process.settings.timer_slack,
    "uid_map": _fixed("         0          0 4294967295\n"),
    "wchan": _fixed("0"),
    # of the machine
    "config.gz": _fixed_bytes(system_files.config),
    "cpuinfo": _system(system_files.cpuinfo),
    "devices": _fixed(system_files.DEVICES),
    "filesystems": _fixed(system_files.FILESYSTEMS),
    "loadavg": _system(system_files.loadavg),
    "meminfo": _system(system_files.meminfo),
    "stat": lambda process, special: (
        process_files.stat(process, special) if special.pid else system_files.stat(process).encode()
    ),
    "swaps": _fixed("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    "tty/drivers": _fixed(system_files.DRIVERS),
    "uptime": _system(system_files.uptime),
    "version": _system(system_files.version),
    "sysvipc/msg": _fixed(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n"
    ),
    "sysvipc/sem": _fixed("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"),
    "sysvipc/shm": _fixed(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime"
        "      ctime                   rss                  swap\n"
    ),
    **{f"net/{name}": _fixed(text) for name, text in system_files.NET.items()},
}


def text_of(process: Process, special: SyntheticFile) -> bytes:
    """The present contents of a file. Raises GuestError(EACCES, ESRCH, ENOENT)."""
    if special.name.startswith("sys/"):
        return system_files.sysctl(process, special.name.removeprefix("sys/")).encode()
    maker = TEXTS.get(special.name)
    return b"" if maker is None else maker(process, special)


# Writing


def _number(data: bytes, low: int, high: int) -> int:
    """Raises GuestError(EINVAL)."""
    try:
        value = int(data.split()[0])
    except (ValueError, IndexError):
        raise GuestError(errno.EINVAL) from None
    if not low <= value <= high:
        raise GuestError(errno.EINVAL)
    return value


def _set_name(process: Process, data: bytes) -> None:
    process.identity.name = data.split(b"\n")[0][:15].decode("utf-8", "surrogateescape")
    publish(process)


def _set_score(process: Process, data: bytes) -> None:
    value = _number(data, -1000, 1000)
    if value < process.settings.oom_score_adj and not process.identity.can(24):  # CAP_SYS_RESOURCE
        raise GuestError(errno.EACCES)
    process.settings.oom_score_adj = value


def _set_login(process: Process, data: bytes) -> None:
    process.settings.login_uid = _number(data, 0, 0xFFFFFFFF)


def _set_slack(process: Process, data: bytes) -> None:
    process.settings.timer_slack = _number(data, 0, 1 << 62) or 50000


def _nothing(process: Process, data: bytes) -> None:
    """The value is accepted and has no effect."""


SETTERS: dict[str, Callable[[Process, bytes], None]] = {
    "comm": _set_name,
    "oom_score_adj": _set_score,
    "oom_adj": _nothing,
    "loginuid": _set_login,
    "timerslack_ns": _set_slack,
    "coredump_filter": _nothing,
}


def store_text(process: Process, special: SyntheticFile, data: bytes) -> None:
    """write(2) to a file that may be written. Raises GuestError."""
    if special.name.startswith("sys/"):
        name = special.name.removeprefix("sys/")
        value = data.rstrip(b"\n\0").decode("utf-8", "surrogateescape")
        if name == "kernel/hostname":
            process.settings.host = value.encode()[:64]
        elif name == "kernel/domainname":
            process.settings.domain = value.encode()[:64]
        else:
            process.settings.values[name] = value
        return
    setter = SETTERS.get(special.name)
    if setter is None or special.pid not in (0, process.identity.pid):
        raise GuestError(errno.EPERM)
    setter(process, data)
