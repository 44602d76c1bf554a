"""Which files there are in /proc and /dev/pts, as nodes of the guest's tree. Source: fs/proc/base.c, fs/proc/root.c; proc(5)."""

from __future__ import annotations

from functools import cache, partial

from uselib.emulator.kernel.vfs.places import Node, ProcView, SyntheticFile

_PRIVATE, _READ, _OWN, _SETTABLE = 0o400, 0o444, 0o600, 0o644

# Of a process and of each of its threads: name -> permission bits
_TASK_FILES: dict[str, int] = {
    "auxv": _PRIVATE,
    "cgroup": _READ,
    "cmdline": _READ,
    "comm": _SETTABLE,
    "cpuset": _READ,
    "environ": _PRIVATE,
    "gid_map": _SETTABLE,
    "io": _PRIVATE,
    "limits": _READ,
    "loginuid": _SETTABLE,
    "maps": _READ,
    "mem": _OWN,
    "mountinfo": _READ,
    "mounts": _READ,
    "oom_adj": _SETTABLE,
    "oom_score": _READ,
    "oom_score_adj": _SETTABLE,
    "pagemap": _PRIVATE,
    "personality": _PRIVATE,
    "sched": _SETTABLE,
    "schedstat": _READ,
    "sessionid": _READ,
    "setgroups": _SETTABLE,
    "smaps": _READ,
    "smaps_rollup": _READ,
    "stack": _PRIVATE,
    "stat": _READ,
    "statm": _READ,
    "status": _READ,
    "syscall": _PRIVATE,
    "uid_map": _SETTABLE,
    "wchan": _READ,
}
_PROCESS_FILES: dict[str, int] = {"coredump_filter": _SETTABLE, "mountstats": _PRIVATE, "timerslack_ns": 0o666}
_LINKS = ("cwd", "exe", "root")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")

# Of the machine. A name that ends in `/` is a directory.
_SYSTEM = """
buddyinfo cgroups cmdline config.gz consoles cpuinfo crypto devices diskstats execdomains filesystems interrupts iomem ioports loadavg locks
meminfo misc modules partitions slabinfo softirqs stat swaps uptime version vmstat zoneinfo
"""
_SYSCTL = """
fs/aio-max-nr fs/aio-nr fs/dentry-state fs/file-max fs/file-nr fs/inode-max-links fs/inode-nr fs/inode-state fs/inotify/max_queued_events
fs/inotify/max_user_instances fs/inotify/max_user_watches fs/lease-break-time fs/leases-enable fs/mqueue/msg_default fs/mqueue/msg_max
fs/mqueue/msgsize_default fs/mqueue/msgsize_max fs/mqueue/queues_max fs/nr_open fs/overflowgid fs/overflowuid fs/pipe-max-size
fs/pipe-user-pages-hard fs/pipe-user-pages-soft fs/protected_fifos fs/protected_hardlinks fs/protected_regular fs/protected_symlinks
fs/suid_dumpable
kernel/acct kernel/cap_last_cap kernel/core_pattern kernel/core_uses_pid kernel/ctrl-alt-del kernel/dmesg_restrict kernel/domainname
kernel/hostname kernel/hung_task_timeout_secs kernel/io_uring_disabled kernel/kptr_restrict kernel/max_lock_depth kernel/msgmax
kernel/msgmnb kernel/msgmni kernel/ngroups_max kernel/osrelease kernel/ostype kernel/overflowgid kernel/overflowuid kernel/panic
kernel/perf_event_max_sample_rate kernel/perf_event_paranoid kernel/pid_max kernel/printk kernel/pty/max kernel/pty/nr kernel/pty/reserve
kernel/random/boot_id kernel/random/entropy_avail kernel/random/poolsize kernel/random/uuid kernel/random/write_wakeup_threshold
kernel/randomize_va_space kernel/sched_autogroup_enabled kernel/sched_child_runs_first kernel/sched_rr_timeslice_ms
kernel/sched_rt_period_us kernel/sched_rt_runtime_us kernel/sem kernel/shm_rmid_forced kernel/shmall kernel/shmmax kernel/shmmni kernel/tainted
kernel/threads-max kernel/unprivileged_bpf_disabled kernel/version kernel/yama/ptrace_scope
net/core/rmem_default net/core/rmem_max net/core/somaxconn net/core/wmem_default net/core/wmem_max net/ipv4/ip_local_port_range
net/ipv4/tcp_rmem net/ipv4/tcp_wmem net/unix/max_dgram_qlen
vm/dirty_background_ratio vm/dirty_ratio vm/drop_caches vm/max_map_count vm/min_free_kbytes vm/mmap_min_addr vm/nr_hugepages
vm/overcommit_memory vm/overcommit_ratio vm/swappiness vm/vfs_cache_pressure
"""
_NET = "arp dev if_inet6 raw route tcp tcp6 udp udp6 unix"
_SYSVIPC = "msg sem shm"


def _file(name: str, mode: int = _READ, pid: int = 0, tid: int = 0) -> Node:
    return Node(special=SyntheticFile(name, pid=pid, tid=tid, mode=mode))


def _link(name: str, pid: int = 0, tid: int = 0, number: int = 0) -> Node:
    return Node(special=SyntheticFile(name, link=True, number=number, pid=pid, tid=tid))


@cache
def _system() -> dict[bytes, Node]:
    """The files that are the same for every process."""
    found = {name.encode(): _file(name) for name in _SYSTEM.split()}
    found |= {name: _link(name.decode()) for name in (b"self", b"thread-self", b"mounts", b"net")}
    found[b"sysvipc"] = Node({name.encode(): _file(f"sysvipc/{name}") for name in _SYSVIPC.split()})
    found[b"sys"] = top = Node()
    for path in _SYSCTL.split():
        *directories, last = path.split("/")
        node = top
        for part in directories:
            node = node.children.setdefault(part.encode(), Node())
        node.children[last.encode()] = _file(f"sys/{path}", _SETTABLE)
    found[b"tty"] = Node({b"drivers": _file("tty/drivers")})
    return found


def entries(view: ProcView) -> dict[bytes, Node]:
    """The contents of /proc."""
    return _system() | {b"%d" % pid: Node(lister=partial(_process, pid)) for pid in view.processes()}


def _process(pid: int, view: ProcView) -> dict[bytes, Node]:
    """/proc/PID; empty when the process has ended."""
    if not view.threads(pid):
        return {}
    found = {name.encode(): _file(name, mode, pid) for name, mode in _PROCESS_FILES.items()}
    return found | _task(pid, 0, view) | {b"task": Node(lister=partial(_tasks, pid))}


def _tasks(pid: int, view: ProcView) -> dict[bytes, Node]:
    """/proc/PID/task"""
    return {b"%d" % tid: Node(lister=partial(_task, pid, tid)) for tid in view.threads(pid)}


def _task(pid: int, tid: int, view: ProcView) -> dict[bytes, Node]:
    """The files that /proc/PID and /proc/PID/task/TID have in common."""
    found = {name.encode(): _file(name, mode, pid, tid) for name, mode in _TASK_FILES.items()}
    found |= {name.encode(): _link(name, pid, tid) for name in _LINKS}
    if not tid:
        found[b"net"] = Node({name.encode(): _file(f"net/{name}") for name in _NET.split()})
    else:
        found[b"children"] = _file("children", _READ, pid, tid)
    found[b"fd"] = Node(lister=partial(_descriptors, pid), mode=0o500)
    found[b"fdinfo"] = Node(lister=partial(_descriptor_facts, pid), mode=0o500)
    found[b"ns"] = Node({name.encode(): _link(f"ns/{name}", pid) for name in _NAMESPACES}, mode=0o511)
    return found


def _descriptors(pid: int, view: ProcView) -> dict[bytes, Node]:
    """/proc/PID/fd. Those of another process are links to the paths."""
    name = "descriptor" if pid == view.pid else "descriptor-of-other"
    return {b"%d" % fd: _link(name, pid, number=fd) for fd in view.descriptors(pid)}


def _descriptor_facts(pid: int, view: ProcView) -> dict[bytes, Node]:
    """/proc/PID/fdinfo"""
    files = {fd: SyntheticFile("fdinfo", number=fd, pid=pid, mode=_PRIVATE) for fd in view.descriptors(pid)}
    return {b"%d" % fd: Node(special=special) for fd, special in files.items()}


def terminals(view: ProcView) -> dict[bytes, Node]:
    """The contents of /dev/pts."""
    found = {b"%d" % number: Node(special=SyntheticFile("pts", number=number)) for number in view.terminals()}
    return found | {b"ptmx": Node(special=SyntheticFile("ptmx"))}
