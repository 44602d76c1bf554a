"""The files of /proc that describe the machine: one processor, 1 GiB of memory, a kernel with the release of its era. All values are fixed,
except those that depend on the guest's clock or on its own files. Source: proc(5), fs/proc/*.c.
"""

from __future__ import annotations

from collections.abc import Callable

from uselib.emulator.kernel.clock import EPOCH, SECOND
from uselib.emulator.kernel.identity import LAST_CAPABILITY
from uselib.emulator.kernel.proc.cpu_flags import cpu_lines
from uselib.emulator.kernel.process import Process

MEMORY = 1 << 30  # bytes of memory that the guest is told of
_KIB = 1024
_BOOT = "6d9f2c1e-4b7a-4c0d-9a55-0c5a1e7b3d42"  # the same in each run, unless --realtime is given


def system_name(process: Process) -> tuple[bytes, ...]:
    """sysname, nodename, release, version, machine, domainname."""
    era, settings = process.era, process.settings
    return b"Linux", settings.host, era.release, b"#1 uselib", era.machine_name[process.machine], settings.domain


def processes(process: Process) -> int:
    """How many processes the guest has."""
    return len(process.pids.all())


# KiB, in this order; MemTotal, MemFree and the values computed from them are filled in
_MEMINFO = """
MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) Inactive(anon) Active(file) Inactive(file)
Unevictable Mlocked SwapTotal SwapFree Zswap Zswapped Dirty Writeback AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim
KernelStack PageTables SecPageTables NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS VmallocTotal VmallocUsed VmallocChunk Percpu
AnonHugePages ShmemHugePages ShmemPmdMapped FileHugePages FilePmdMapped HugePages_Total HugePages_Free HugePages_Rsvd HugePages_Surp
Hugepagesize Hugetlb DirectMap4k DirectMap2M
""".split()
_FILLED = {
    "MemTotal": MEMORY // _KIB,
    "MemFree": MEMORY // 2 // _KIB,
    "MemAvailable": MEMORY // 4 * 3 // _KIB,
    "Buffers": 16384,
    "Cached": MEMORY // 4 // _KIB,
    "Active": 131072,
    "Inactive": 131072,
    "Active(file)": 131072,
    "Inactive(file)": 131072,
    "AnonPages": 65536,
    "Mapped": 32768,
    "Slab": 32768,
    "SReclaimable": 16384,
    "SUnreclaim": 16384,
    "KReclaimable": 16384,
    "KernelStack": 1024,
    "PageTables": 1024,
    "CommitLimit": MEMORY // 2 // _KIB,
    "Committed_AS": 131072,
    "VmallocTotal": 34359738367,
    "Hugepagesize": 2048,
    "DirectMap2M": MEMORY // _KIB,
}


def meminfo(process: Process) -> str:
    """The text of meminfo. Counts of pages have no unit; all other values are in kB."""
    rows = ((name, _FILLED.get(name, 0), "" if name.startswith("HugePages_") else " kB") for name in _MEMINFO)
    return "".join(f"{name + ':':<16}{value:>8}{unit}\n" for name, value, unit in rows)


def cpuinfo(process: Process) -> str:
    """What the CPUID instruction says."""
    rows = cpu_lines(process.cpu.cpuid)
    return "".join(f"{name}{chr(9) * ((23 - len(name)) // 8)}: {value}\n" for name, value in rows) + "\n"


def stat(process: Process) -> str:
    used = process.clock.now * 100 // SECOND
    cpu = f"{used} 0 0 {used} 0 0 0 0 0 0"
    boot = EPOCH // SECOND
    return (
        f"cpu  {cpu}\ncpu0 {cpu}\nintr 0\nctxt {processes(process)}\nbtime {boot}\nprocesses {processes(process)}\n"
        f"procs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
    )


def uptime(process: Process) -> str:
    hundredths = process.clock.now * 100 // SECOND
    text = f"{hundredths // 100}.{hundredths % 100:02}"
    return f"{text} {text}\n"


def loadavg(process: Process) -> str:
    last = max(process.pids.all())
    return f"0.00 0.00 0.00 1/{processes(process)} {last}\n"


def version(process: Process) -> str:
    system, _, release, what, _, _ = (part.decode() for part in system_name(process))
    return f"{system} version {release} (uselib@uselib) (gcc) {what}\n"


FILESYSTEMS = "nodev\tproc\nnodev\tdevtmpfs\nnodev\ttmpfs\nnodev\tdevpts\nnodev\tsysfs\n\text4\n"

# device, place, type, options
_MOUNTS = (
    ("/dev/root", "/", "ext4", "rw,relatime"),
    ("proc", "/proc", "proc", "rw,nosuid,nodev,noexec,relatime"),
    ("devtmpfs", "/dev", "devtmpfs", "rw,nosuid,relatime"),
    ("devpts", "/dev/pts", "devpts", "rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666"),
    ("tmpfs", "/dev/shm", "tmpfs", "rw,nosuid,nodev"),
)


def mounts(process: Process) -> str:
    """One file system for all files, as statfs(2) tells it."""
    return "".join(f"{device} {place} {kind} {options} 0 0\n" for device, place, kind, options in _MOUNTS)


def mountinfo(process: Process) -> str:
    lines = []
    for number, (device, place, kind, options) in enumerate(_MOUNTS):
        own, _, rest = options.partition(",gid=")
        parent = 1 if number == 0 else 25
        tail = f"rw,gid={rest}" if rest else "rw"
        lines.append(
            f"{25 + number} {parent} 0:{37 + number} / {place} {own} shared:{number + 1} - {kind} {device} {tail}\n"
        )
    return "".join(lines)


def mountstats(process: Process) -> str:
    return "".join(f"device {device} mounted on {place} with fstype {kind}\n" for device, place, kind, _ in _MOUNTS)


DEVICES = "Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n  8 sd\n"
DRIVERS = (
    "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
    "/dev/ptmx            /dev/ptmx       5       2 system\n"
    "pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
)
_SOCKETS = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
NET = {
    "arp": "IP address       HW type     Flags       HW address            Mask     Device\n",
    "dev": "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
    "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n",
    "if_inet6": "",
    "raw": _SOCKETS,
    "route": "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n",
    "tcp": _SOCKETS,
    "tcp6": _SOCKETS,
    "udp": _SOCKETS,
    "udp6": _SOCKETS,
    "unix": "Num       RefCount Protocol Flags    Type St Inode Path\n",
}


# What the guest's kernel has, and what programs look for that it does not have (Kconfig's names)
_HAS = """
64BIT X86 X86_64 MULTIUSER SYSVIPC SYSVIPC_SYSCTL POSIX_MQUEUE POSIX_MQUEUE_SYSCTL POSIX_TIMERS PRINTK FUTEX FUTEX_PI EPOLL SIGNALFD TIMERFD
EVENTFD SHMEM ADVISE_SYSCALLS MEMBARRIER RSEQ IKCONFIG IKCONFIG_PROC INOTIFY_USER FILE_LOCKING MMU NET UNIX INET IPV6 TMPFS TMPFS_XATTR
PROC_FS PROC_SYSCTL SYSFS SECCOMP SECCOMP_FILTER BINFMT_ELF BINFMT_SCRIPT COREDUMP HIGH_RES_TIMERS UNIX98_PTYS TTY IA32_EMULATION
CROSS_MEMORY_ATTACH FHANDLE MEMFD_CREATE
""".split()
_HAS_NOT = """
SMP NUMA SWAP HUGETLBFS NAMESPACES UTS_NS TIME_NS IPC_NS USER_NS PID_NS NET_NS CGROUPS AIO IO_URING BPF_SYSCALL USERFAULTFD
CHECKPOINT_RESTORE BLOCK BLK_DEV_LOOP BLK_DEV_RAM DNOTIFY FANOTIFY BSD_PROCESS_ACCT QUOTA KEYS AUDIT PREEMPT_RT MEMORY_FAILURE TRACING MODULES
NETFILTER TLS FS_VERITY
""".split()


def config() -> bytes:
    """/proc/config.gz: the configuration of a kernel that can do what the guest's kernel can."""
    import zlib

    lines = [f"CONFIG_{name}=y" for name in _HAS] + [f"# CONFIG_{name} is not set" for name in _HAS_NOT]
    packer = zlib.compressobj(wbits=31)  # gzip's format, without a time
    return packer.compress(("\n".join(lines) + "\n").encode()) + packer.flush()


def _random_uuid(process: Process) -> str:
    """Version 4 of RFC 9562."""
    digits = bytearray(process.random.take(16))
    digits[6], digits[8] = digits[6] & 0x0F | 0x40, digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _name(index: int) -> Callable[[Process], str]:
    return lambda process: system_name(process)[index].decode()


# sys/NAME -> value. A name that is not here has the value 0.
SYSCTL: dict[str, str | Callable[[Process], str]] = {
    "fs/aio-max-nr": "65536",
    "fs/dentry-state": "1000\t500\t45\t0\t100\t0",
    "fs/file-max": "9223372036854775807",
    "fs/file-nr": lambda process: f"{len(process.files.descriptors)}\t0\t9223372036854775807",
    "fs/inode-nr": "1000\t100",
    "fs/inode-state": "1000\t100\t0\t0\t0\t0\t0",
    "fs/inotify/max_queued_events": "16384",
    "fs/inotify/max_user_instances": "128",
    "fs/inotify/max_user_watches": "8192",
    "fs/lease-break-time": "45",
    "fs/leases-enable": "1",
    "fs/mqueue/msg_default": "10",
    "fs/mqueue/msg_max": "10",
    "fs/mqueue/msgsize_default": "8192",
    "fs/mqueue/msgsize_max": "8192",
    "fs/mqueue/queues_max": "256",
    "fs/nr_open": "1048576",
    "fs/overflowgid": "65534",
    "fs/overflowuid": "65534",
    "fs/pipe-max-size": "1048576",
    "fs/pipe-user-pages-soft": "16384",
    "fs/protected_hardlinks": "1",
    "fs/protected_symlinks": "1",
    "kernel/acct": "4\t2\t30",
    "kernel/cap_last_cap": str(LAST_CAPABILITY),
    "kernel/core_pattern": "core",
    "kernel/domainname": _name(5),
    "kernel/hostname": _name(1),
    "kernel/io_uring_disabled": "2",
    "kernel/kptr_restrict": "1",
    "kernel/max_lock_depth": "1024",
    "kernel/msgmax": "8192",
    "kernel/msgmnb": "16384",
    "kernel/msgmni": "32000",
    "kernel/ngroups_max": "65536",
    "kernel/osrelease": _name(2),
    "kernel/ostype": _name(0),
    "kernel/overflowgid": "65534",
    "kernel/overflowuid": "65534",
    "kernel/perf_event_max_sample_rate": "100000",
    "kernel/perf_event_paranoid": "3",
    "kernel/pid_max": "33768",
    "kernel/printk": "4\t4\t1\t7",
    "kernel/pty/max": "4096",
    "kernel/pty/nr": lambda process: str(len(process.terminals.numbers())),
    "kernel/pty/reserve": "1024",
    "kernel/random/boot_id": lambda process: _random_uuid(process) if process.clock.realtime else _BOOT,
    "kernel/random/entropy_avail": "256",
    "kernel/random/poolsize": "256",
    "kernel/random/uuid": _random_uuid,
    "kernel/random/write_wakeup_threshold": "256",
    "kernel/randomize_va_space": "0",
    "kernel/sched_rr_timeslice_ms": "100",
    "kernel/sched_rt_period_us": "1000000",
    "kernel/sched_rt_runtime_us": "950000",
    "kernel/sem": "32000\t1024000000\t500\t32000",
    "kernel/shmall": "18446744073692774399",
    "kernel/shmmax": "18446744073692774399",
    "kernel/shmmni": "4096",
    "kernel/threads-max": "7823",
    "kernel/unprivileged_bpf_disabled": "2",
    "kernel/version": _name(3),
    "kernel/yama/ptrace_scope": "3",
    "net/core/rmem_default": "212992",
    "net/core/rmem_max": "212992",
    "net/core/somaxconn": "4096",
    "net/core/wmem_default": "212992",
    "net/core/wmem_max": "212992",
    "net/ipv4/ip_local_port_range": "32768\t60999",
    "net/ipv4/tcp_rmem": "4096\t131072\t6291456",
    "net/ipv4/tcp_wmem": "4096\t16384\t4194304",
    "net/unix/max_dgram_qlen": "512",
    "vm/dirty_background_ratio": "10",
    "vm/dirty_ratio": "20",
    "vm/max_map_count": "65530",
    "vm/min_free_kbytes": "4096",
    "vm/mmap_min_addr": "65536",
    "vm/overcommit_ratio": "50",
    "vm/swappiness": "60",
    "vm/vfs_cache_pressure": "100",
}


def sysctl(process: Process, name: str) -> str:
    """The text of /proc/sys/NAME."""
    value = process.settings.values.get(name) or SYSCTL.get(name, "0")
    return (value if isinstance(value, str) else value(process)) + "\n"
