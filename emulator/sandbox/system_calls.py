"""The system calls of an x86-64 host that the emulator makes: its own, Python's and the C library's.

A row is a group of calls with what must hold of an argument. The numbers are those of arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

from uselib.linker.quick_dataclass import dataclass


@dataclass(frozen=True)
class Condition:
    """On the low 32 bits of an argument (0: the first). `equal`: it is one of these, else it is none of them."""

    argument: int
    values: tuple[int, ...]
    equal: bool = True


@dataclass(frozen=True)
class Flags:
    """None of these bits is set in the low 32 bits of an argument."""

    argument: int
    mask: int


# Files that are open, memory, time, waiting, the process itself
ALWAYS = """
0 read, 1 write, 3 close, 5 fstat, 7 poll, 8 lseek, 9 mmap, 10 mprotect, 11 munmap, 12 brk, 13 rt_sigaction, 14 rt_sigprocmask, 15
rt_sigreturn, 17 pread64, 18 pwrite64, 19 readv, 20 writev, 22 pipe, 23 select, 24 sched_yield, 25 mremap, 26 msync, 27 mincore, 28 madvise,
32 dup, 33 dup2, 34 pause, 35 nanosleep, 36 getitimer, 37 alarm, 38 setitimer, 39 getpid, 40 sendfile, 57 fork, 60 exit, 61 wait4, 63 uname,
73 flock, 74 fsync, 75 fdatasync, 77 ftruncate, 78 getdents, 79 getcwd, 95 umask, 96 gettimeofday, 97 getrlimit, 98 getrusage, 99 sysinfo,
100 times, 102 getuid, 104 getgid, 107 geteuid, 108 getegid, 109 setpgid, 110 getppid, 111 getpgrp, 112 setsid, 115 getgroups, 118
getresuid, 120 getresgid, 121 getpgid, 124 getsid, 127 rt_sigpending, 128 rt_sigtimedwait, 130 rt_sigsuspend, 131 sigaltstack, 138 fstatfs,
149 mlock, 150 munlock, 158 arch_prctl, 186 gettid, 201 time, 202 futex, 204 sched_getaffinity, 213 epoll_create, 217 getdents64, 218
set_tid_address, 219 restart_syscall, 221 fadvise64, 228 clock_gettime, 229 clock_getres, 230 clock_nanosleep, 231 exit_group, 232
epoll_wait, 233 epoll_ctl, 247 waitid, 270 pselect6, 271 ppoll, 273 set_robust_list, 275 splice, 276 tee, 277 sync_file_range,
281 epoll_pwait, 282 signalfd, 284 eventfd, 285 fallocate, 289 signalfd4,
290 eventfd2, 291 epoll_create1, 292 dup3, 293 pipe2, 295 preadv, 296 pwritev, 309 getcpu,
253 inotify_init, 254 inotify_add_watch, 255 inotify_rm_watch, 294 inotify_init1,
318 getrandom, 319 memfd_create, 324 membarrier, 326 copy_file_range, 327 preadv2,
328 pwritev2, 334 rseq, 436 close_range, 441 epoll_pwait2
"""
# Files by name: which, Landlock decides for contents; names and attributes can be looked at everywhere
LOOKING = """
2 open, 4 stat, 6 lstat, 21 access, 89 readlink, 137 statfs, 191 getxattr, 192 lgetxattr, 193 fgetxattr, 194 listxattr, 195 llistxattr,
196 flistxattr, 257 openat, 262 newfstatat, 267 readlinkat, 269 faccessat, 332 statx,
437 openat2, 439 faccessat2
"""
# Only where something may be written; Landlock decides on names, and on nothing of attributes
CHANGING = """
76 truncate, 82 rename, 83 mkdir, 84 rmdir, 86 link, 87 unlink, 88 symlink, 90 chmod, 91 fchmod, 133 mknod, 188 setxattr, 189 lsetxattr,
190 fsetxattr, 197 removexattr, 198 lremovexattr, 199 fremovexattr, 258 mkdirat, 259 mknodat,
263 unlinkat, 264 renameat, 265 linkat, 266 symlinkat, 268 fchmodat, 280 utimensat, 316 renameat2, 452 fchmodat2
"""
# Connections that were open before (gdb, descriptors that were inherited)
SOCKETS = """
43 accept, 44 sendto, 45 recvfrom, 46 sendmsg, 47 recvmsg, 48 shutdown, 51 getsockname, 52 getpeername, 54 setsockopt, 55 getsockopt,
288 accept4
"""
# Signals: to whom, Landlock decides (Linux 6.12 and later)
SIGNALS = "62 kill, 200 tkill, 234 tgkill, 424 pidfd_send_signal, 434 pidfd_open"

NAMESPACES = 0x7E02_0080  # CLONE_NEW*
CONDITIONAL: dict[int, Condition | Flags] = {
    16: Condition(1, (0x5412, 0x541C), equal=False),  # ioctl: no characters into a terminal (TIOCSTI, TIOCLINUX)
    53: Condition(0, (1,)),  # socketpair: AF_UNIX
    56: Flags(0, NAMESPACES),  # clone
    72: Condition(1, (8, 10, 15), equal=False),  # fcntl: no signals to others (F_SETOWN, F_SETSIG, F_SETOWN_EX)
    157: Condition(
        0, (1, 2, 3, 4, 15, 16, 36, 37, 38, 39)
    ),  # prctl: death signal, dumpable, name, orphans, no_new_privs
    302: Condition(0, (0,)),  # prlimit64: of this process
}
ABSENT = (435,)  # clone3, whose flags a filter cannot see: ENOSYS, and the C library takes clone


def numbers(*groups: str) -> list[int]:
    """The numbers of groups of calls."""
    return [int(row.split()[0]) for group in groups for row in group.split(",") if row.strip()]
