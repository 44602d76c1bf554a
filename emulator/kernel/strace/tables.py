"""Names of flags and values, as strace(1) shows them. Sources: include/uapi/**, strace's own output."""

from __future__ import annotations

from collections.abc import Mapping


def _numbered(names: str, first: int = 0) -> dict[int, str]:
    return dict(enumerate(names.split(), first))


_IPC_COMMANDS = {0: "IPC_RMID", 1: "IPC_SET", 2: "IPC_STAT", 3: "IPC_INFO"}

# Bits. A composite (O_SYNC has the bit of O_DSYNC) stands before its parts.
FLAGS: dict[str, Mapping[int, str]] = {
    "open": {
        0o20200000: "O_TMPFILE",
        0o4010000: "O_SYNC",
        0o100: "O_CREAT",
        0o200: "O_EXCL",
        0o400: "O_NOCTTY",
        0o1000: "O_TRUNC",
        0o2000: "O_APPEND",
        0o4000: "O_NONBLOCK",
        0o10000: "O_DSYNC",
        0o20000: "O_ASYNC",
        0o40000: "O_DIRECT",
        0o100000: "O_LARGEFILE",
        0o200000: "O_DIRECTORY",
        0o400000: "O_NOFOLLOW",
        0o1000000: "O_NOATIME",
        0o2000000: "O_CLOEXEC",
        0o10000000: "O_PATH",
    },
    "at": {
        0x100: "AT_SYMLINK_NOFOLLOW",
        0x200: "AT_EACCESS",
        0x400: "AT_SYMLINK_FOLLOW",
        0x800: "AT_NO_AUTOMOUNT",
        0x1000: "AT_EMPTY_PATH",
    },
    "unlinkat": {0x200: "AT_REMOVEDIR"},
    "renameat2": {1: "RENAME_NOREPLACE", 2: "RENAME_EXCHANGE", 4: "RENAME_WHITEOUT"},
    "access": {4: "R_OK", 2: "W_OK", 1: "X_OK"},
    "statx": {
        0x7FF: "STATX_BASIC_STATS",
        1: "STATX_TYPE",
        2: "STATX_MODE",
        4: "STATX_NLINK",
        8: "STATX_UID",
        0x10: "STATX_GID",
        0x20: "STATX_ATIME",
        0x40: "STATX_MTIME",
        0x80: "STATX_CTIME",
        0x100: "STATX_INO",
        0x200: "STATX_SIZE",
        0x400: "STATX_BLOCKS",
        0x800: "STATX_BTIME",
        0x1000: "STATX_MNT_ID",
    },
    "close_range": {2: "CLOSE_RANGE_UNSHARE", 4: "CLOSE_RANGE_CLOEXEC"},
    "memfd": {1: "MFD_CLOEXEC", 2: "MFD_ALLOW_SEALING"},
    "eventfd": {1: "EFD_SEMAPHORE", 0o2000000: "EFD_CLOEXEC", 0o4000: "EFD_NONBLOCK"},
    "getrandom": {1: "GRND_NONBLOCK", 2: "GRND_RANDOM", 4: "GRND_INSECURE"},
    "msg": {
        1: "MSG_OOB",
        2: "MSG_PEEK",
        4: "MSG_DONTROUTE",
        8: "MSG_CTRUNC",
        0x20: "MSG_TRUNC",
        0x40: "MSG_DONTWAIT",
        0x80: "MSG_EOR",
        0x100: "MSG_WAITALL",
        0x2000: "MSG_ERRQUEUE",
        0x4000: "MSG_NOSIGNAL",
        0x8000: "MSG_MORE",
        0x10000: "MSG_WAITFORONE",
        0x40000000: "MSG_CMSG_CLOEXEC",
    },
    "socket_flags": {0o2000000: "SOCK_CLOEXEC", 0o4000: "SOCK_NONBLOCK"},
    "timer": {1: "TIMER_ABSTIME"},
    "splice": {1: "SPLICE_F_MOVE", 2: "SPLICE_F_NONBLOCK", 4: "SPLICE_F_MORE", 8: "SPLICE_F_GIFT"},
    "inotify": {
        **{
            1 << number: f"IN_{name}"
            for number, name in enumerate(
                "ACCESS MODIFY ATTRIB CLOSE_WRITE CLOSE_NOWRITE OPEN MOVED_FROM MOVED_TO CREATE DELETE DELETE_SELF MOVE_SELF".split()
            )
        },
        0x01000000: "IN_ONLYDIR",
        0x02000000: "IN_DONT_FOLLOW",
        0x04000000: "IN_EXCL_UNLINK",
        0x10000000: "IN_MASK_CREATE",
        0x20000000: "IN_MASK_ADD",
        0x80000000: "IN_ONESHOT",
    },
    "ipc": {0o1000: "IPC_CREAT", 0o2000: "IPC_EXCL", 0o4000: "IPC_NOWAIT"},
    "shmat": {0o10000: "SHM_RDONLY", 0o20000: "SHM_RND", 0o40000: "SHM_REMAP", 0o100000: "SHM_EXEC"},
    "msgrcv": {0o4000: "IPC_NOWAIT", 0o10000: "MSG_NOERROR", 0o20000: "MSG_EXCEPT", 0o40000: "MSG_COPY"},
    "timerfd": {0o2000000: "TFD_CLOEXEC", 0o4000: "TFD_NONBLOCK"},
    "timerfd_settime": {1: "TFD_TIMER_ABSTIME", 2: "TFD_TIMER_CANCEL_ON_SET"},
    "signalfd": {0o2000000: "SFD_CLOEXEC", 0o4000: "SFD_NONBLOCK"},
    "poll": {
        1: "POLLIN",
        2: "POLLPRI",
        4: "POLLOUT",
        8: "POLLERR",
        0x10: "POLLHUP",
        0x20: "POLLNVAL",
        0x40: "POLLRDNORM",
        0x80: "POLLRDBAND",
        0x100: "POLLWRNORM",
        0x200: "POLLWRBAND",
        0x2000: "POLLRDHUP",
    },
    "sigaction": {
        0x04000000: "SA_RESTORER",
        0x08000000: "SA_ONSTACK",
        0x10000000: "SA_RESTART",
        0x80000000: "SA_RESETHAND",
        0x40000000: "SA_NODEFER",
        1: "SA_NOCLDSTOP",
        2: "SA_NOCLDWAIT",
        4: "SA_SIGINFO",
    },
    "prot": {1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC", 0x01000000: "PROT_GROWSDOWN"},
    "map": {
        3: "MAP_SHARED_VALIDATE",
        1: "MAP_SHARED",
        2: "MAP_PRIVATE",
        0x10: "MAP_FIXED",
        0x20: "MAP_ANONYMOUS",
        0x40: "MAP_32BIT",
        0x100: "MAP_GROWSDOWN",
        0x800: "MAP_DENYWRITE",
        0x1000: "MAP_EXECUTABLE",
        0x2000: "MAP_LOCKED",
        0x4000: "MAP_NORESERVE",
        0x8000: "MAP_POPULATE",
        0x10000: "MAP_NONBLOCK",
        0x20000: "MAP_STACK",
        0x40000: "MAP_HUGETLB",
        0x100000: "MAP_FIXED_NOREPLACE",
    },
    "mremap": {1: "MREMAP_MAYMOVE", 2: "MREMAP_FIXED", 4: "MREMAP_DONTUNMAP"},
    "wait": {1: "WNOHANG", 2: "WSTOPPED", 4: "WEXITED", 8: "WCONTINUED", 0x1000000: "WNOWAIT"},
    "clone": {
        0x100: "CLONE_VM",
        0x200: "CLONE_FS",
        0x400: "CLONE_FILES",
        0x800: "CLONE_SIGHAND",
        0x1000: "CLONE_PIDFD",
        0x4000: "CLONE_VFORK",
        0x8000: "CLONE_PARENT",
        0x10000: "CLONE_THREAD",
        0x40000: "CLONE_SYSVSEM",
        0x80000: "CLONE_SETTLS",
        0x100000: "CLONE_PARENT_SETTID",
        0x200000: "CLONE_CHILD_CLEARTID",
        0x400000: "CLONE_DETACHED",
        0x1000000: "CLONE_CHILD_SETTID",
    },
}

# The names of 0, where it has one.
NOTHING = {"access": "F_OK", "prot": "PROT_NONE", "open": "O_RDONLY"}

CHOICES: dict[str, Mapping[int, str]] = {
    "seek": {0: "SEEK_SET", 1: "SEEK_CUR", 2: "SEEK_END", 3: "SEEK_DATA", 4: "SEEK_HOLE"},
    "fadvise": _numbered(
        "POSIX_FADV_NORMAL POSIX_FADV_RANDOM POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED POSIX_FADV_DONTNEED"
        " POSIX_FADV_NOREUSE"
    ),
    "fcntl": {
        0: "F_DUPFD",
        1: "F_GETFD",
        2: "F_SETFD",
        3: "F_GETFL",
        4: "F_SETFL",
        5: "F_GETLK",
        6: "F_SETLK",
        7: "F_SETLKW",
        8: "F_SETOWN",
        9: "F_GETOWN",
        12: "F_GETLK64",
        13: "F_SETLK64",
        14: "F_SETLKW64",
        36: "F_OFD_GETLK",
        37: "F_OFD_SETLK",
        38: "F_OFD_SETLKW",
        1030: "F_DUPFD_CLOEXEC",
        1031: "F_SETPIPE_SZ",
        1032: "F_GETPIPE_SZ",
        1033: "F_ADD_SEALS",
        1034: "F_GET_SEALS",
    },
    "futex": {
        number | flags: f"FUTEX_{name}{suffix}"
        for number, name in enumerate(
            "WAIT WAKE FD REQUEUE CMP_REQUEUE WAKE_OP LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET WAIT_REQUEUE_PI"
            " CMP_REQUEUE_PI LOCK_PI2".split()
        )
        for flags, suffix in (
            (0, ""),
            (0x80, "_PRIVATE"),
            (0x100, "|FUTEX_CLOCK_REALTIME"),
            (0x180, "_PRIVATE|FUTEX_CLOCK_REALTIME"),
        )
    },
    "flock": {1: "LOCK_SH", 2: "LOCK_EX", 5: "LOCK_SH|LOCK_NB", 6: "LOCK_EX|LOCK_NB", 8: "LOCK_UN"},
    "ioctl": {
        0x5401: "TCGETS",
        0x5402: "TCSETS",
        0x5403: "TCSETSW",
        0x5404: "TCSETSF",
        0x540F: "TIOCGPGRP",
        0x5410: "TIOCSPGRP",
        0x5412: "TIOCSTI",
        0x5413: "TIOCGWINSZ",
        0x5414: "TIOCSWINSZ",
        0x541B: "FIONREAD",
        0x5421: "FIONBIO",
        0x5450: "FIONCLEX",
        0x5451: "FIOCLEX",
    },
    "clock": _numbered(
        "CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID CLOCK_MONOTONIC_RAW"
        " CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME CLOCK_REALTIME_ALARM CLOCK_BOOTTIME_ALARM"
    ),
    "rlimit": {
        0: "RLIMIT_CPU",
        1: "RLIMIT_FSIZE",
        2: "RLIMIT_DATA",
        3: "RLIMIT_STACK",
        4: "RLIMIT_CORE",
        5: "RLIMIT_RSS",
        6: "RLIMIT_NPROC",
        7: "RLIMIT_NOFILE",
        8: "RLIMIT_MEMLOCK",
        9: "RLIMIT_AS",
        10: "RLIMIT_LOCKS",
        11: "RLIMIT_SIGPENDING",
        12: "RLIMIT_MSGQUEUE",
        13: "RLIMIT_NICE",
        14: "RLIMIT_RTPRIO",
        15: "RLIMIT_RTTIME",
    },
    "arch_prctl": {0x1001: "ARCH_SET_GS", 0x1002: "ARCH_SET_FS", 0x1003: "ARCH_GET_FS", 0x1004: "ARCH_GET_GS"},
    "priority": {0: "PRIO_PROCESS", 1: "PRIO_PGRP", 2: "PRIO_USER"},
    "prctl": {
        1: "PR_SET_PDEATHSIG",
        2: "PR_GET_PDEATHSIG",
        3: "PR_GET_DUMPABLE",
        4: "PR_SET_DUMPABLE",
        15: "PR_SET_NAME",
        16: "PR_GET_NAME",
        38: "PR_SET_NO_NEW_PRIVS",
        39: "PR_GET_NO_NEW_PRIVS",
    },
    "socket_domain": {1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET"},
    "socket_type": {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET"},
    "socket_level": {0: "SOL_IP", 1: "SOL_SOCKET", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6"},
    "socket_option_1": {
        **_numbered(
            "SO_DEBUG SO_REUSEADDR SO_TYPE SO_ERROR SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF SO_KEEPALIVE", 1
        ),
        **_numbered(
            "SO_OOBINLINE SO_NO_CHECK SO_PRIORITY SO_LINGER SO_BSDCOMPAT SO_REUSEPORT SO_PASSCRED SO_PEERCRED", 10
        ),
        **_numbered("SO_RCVLOWAT SO_SNDLOWAT SO_RCVTIMEO_OLD SO_SNDTIMEO_OLD", 18),
        25: "SO_BINDTODEVICE",
        30: "SO_ACCEPTCONN",
        38: "SO_PROTOCOL",
        39: "SO_DOMAIN",
        66: "SO_RCVTIMEO_NEW",
        67: "SO_SNDTIMEO_NEW",
    },
    "socket_option_6": {
        **_numbered("TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2", 1),
        9: "TCP_DEFER_ACCEPT",
        11: "TCP_INFO",
        12: "TCP_QUICKACK",
        18: "TCP_USER_TIMEOUT",
    },
    "socket_option_0": {1: "IP_TOS", 2: "IP_TTL", 8: "IP_PKTINFO", 11: "IP_RECVERR"},
    "socket_option_41": {16: "IPV6_UNICAST_HOPS", 26: "IPV6_V6ONLY", 49: "IPV6_RECVPKTINFO"},
    "shutdown": {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"},
    "socketcall": _numbered(
        "SYS_SOCKET SYS_BIND SYS_CONNECT SYS_LISTEN SYS_ACCEPT SYS_GETSOCKNAME SYS_GETPEERNAME SYS_SOCKETPAIR SYS_SEND SYS_RECV"
        " SYS_SENDTO SYS_RECVFROM SYS_SHUTDOWN SYS_SETSOCKOPT SYS_GETSOCKOPT SYS_SENDMSG SYS_RECVMSG SYS_ACCEPT4 SYS_RECVMMSG"
        " SYS_SENDMMSG",
        1,
    ),
    "ipc_key": {0: "IPC_PRIVATE"},
    "shmctl": {**_IPC_COMMANDS, 11: "SHM_LOCK", 12: "SHM_UNLOCK", 13: "SHM_STAT", 14: "SHM_INFO", 15: "SHM_STAT_ANY"},
    "semctl": {
        **_IPC_COMMANDS,
        **_numbered("GETPID GETVAL GETALL GETNCNT GETZCNT SETVAL SETALL SEM_STAT SEM_INFO SEM_STAT_ANY", 11),
    },
    "msgctl": {**_IPC_COMMANDS, 11: "MSG_STAT", 12: "MSG_INFO", 13: "MSG_STAT_ANY"},
    "ipc": {
        **_numbered("SEMOP SEMGET SEMCTL SEMTIMEDOP", 1),
        **_numbered("MSGSND MSGRCV MSGGET MSGCTL", 11),
        **_numbered("SHMAT SHMDT SHMGET SHMCTL", 21),
    },
    "epoll_ctl": {1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD"},
    "sigprocmask": {0: "SIG_BLOCK", 1: "SIG_UNBLOCK", 2: "SIG_SETMASK"},
    "itimer": {0: "ITIMER_REAL", 1: "ITIMER_VIRTUAL", 2: "ITIMER_PROF"},
    "madvise": {
        0: "MADV_NORMAL",
        1: "MADV_RANDOM",
        2: "MADV_SEQUENTIAL",
        3: "MADV_WILLNEED",
        4: "MADV_DONTNEED",
        8: "MADV_FREE",
    },
}

SIGNALS = _numbered(
    "SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM"
    " SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO"
    " SIGPWR SIGSYS",
    1,
)

# si_code by signal; 0: of any signal (include/uapi/asm-generic/siginfo.h)
SIGNAL_CODES: dict[int, dict[int, str]] = {
    0: {0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -6: "SI_TKILL"},
    4: {1: "ILL_ILLOPC", 2: "ILL_ILLOPN", 5: "ILL_PRVOPC"},
    5: {1: "TRAP_BRKPT", 2: "TRAP_TRACE"},
    7: {1: "BUS_ADRALN", 2: "BUS_ADRERR", 3: "BUS_OBJERR"},
    8: _numbered("FPE_INTDIV FPE_INTOVF FPE_FLTDIV FPE_FLTOVF FPE_FLTUND FPE_FLTRES FPE_FLTINV", 1),
    11: {1: "SEGV_MAPERR", 2: "SEGV_ACCERR"},
    17: _numbered("CLD_EXITED CLD_KILLED CLD_DUMPED CLD_TRAPPED CLD_STOPPED CLD_CONTINUED", 1),
}

FILE_TYPES = {
    0o140000: "S_IFSOCK",
    0o120000: "S_IFLNK",
    0o100000: "S_IFREG",
    0o060000: "S_IFBLK",
    0o040000: "S_IFDIR",
    0o020000: "S_IFCHR",
    0o010000: "S_IFIFO",
}
