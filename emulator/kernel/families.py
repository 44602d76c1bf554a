"""FAMILIES: which module of `emulator/kernel/calls/` has which system calls.

A module is imported when a program makes the first call of its family (table.py). Each has its rows in `ROWS`; a test compares the names
there with those here.
"""

from __future__ import annotations

FAMILIES: dict[str, str] = {
    "files": """
        _llseek close close_range creat dup dup2 dup3 fallocate ftruncate ftruncate64 lseek memfd_create open openat
        pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readv truncate truncate64 write writev
    """,
    "copies": "copy_file_range sendfile sendfile64",
    "openat2": "openat2",
    "advice": "fadvise64 fadvise64_64 fdatasync fsync readahead sync sync_file_range syncfs",
    "fcntl": "fcntl fcntl64 flock",
    "ioctl": "ioctl",
    "directories": """
        chdir chroot fchdir getcwd getdents getdents64 link linkat mkdir mkdirat mknod mknodat readdir readlink
        readlinkat rename renameat renameat2 rmdir symlink symlinkat umask unlink unlinkat
    """,
    "status": """
        access faccessat faccessat2 fstat fstat64 fstatat64 fstatfs fstatfs64 lstat lstat64 newfstatat stat stat64
        statfs statfs64 statx
    """,
    "attributes": """
        chmod chown chown32 fchmod fchmodat fchmodat2 fchown fchown32 fchownat futimesat lchown lchown32 utime
        utimensat utimensat_time64 utimes
    """,
    "xattrs": """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
        removexattr setxattr
    """,
    "pipes": "eventfd eventfd2 pipe pipe2",
    "splices": "splice tee vmsplice",
    "watches": "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch",
    "pidfds": "pidfd_getfd pidfd_open pidfd_send_signal",
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen setsockopt shutdown socket socketpair
    """,
    "messages": "recvfrom recvmmsg recvmmsg_time64 recvmsg sendmmsg sendmsg sendto socketcall",
    "ipc": """
        ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
    """,
    "posix_queues": """
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
        mq_unlink
    """,
    "poll": "_newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select",
    "epoll": "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait",
    "signal_files": "signalfd signalfd4",
    "time": """
        clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
        clock_settime clock_settime64 getrusage gettimeofday nanosleep settimeofday stime time times
    """,
    "system": "getpid getppid getrandom gettid sysinfo uname",
    "credentials": """
        capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
        getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
        setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid
        setuid32
    """,
    "scheduling": """
        getcpu getpriority ioprio_get ioprio_set nice sched_get_priority_max sched_get_priority_min sched_getaffinity
        sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
        sched_setaffinity sched_setattr sched_setparam sched_setscheduler setpriority
    """,
    "prctl": "personality prctl",
    "limits": "getrlimit prlimit64 setrlimit ugetrlimit",
    "memory": """
        brk madvise mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap msync munlock munlockall munmap
        remap_file_pages
    """,
    "process_memory": "process_vm_readv process_vm_writev",
    "signals": """
        pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_sigtimedwait_time64 sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend
    """,
    "kill": "kill rt_sigqueueinfo rt_tgsigqueueinfo tgkill tkill",
    "interval_timers": "alarm getitimer setitimer",
    "timers": """
        timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
        timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
    """,
    "processes": "exit exit_group fork vfork",
    "execve": "execve",
    "execveat": "execveat",
    "seccomp": "seccomp",
    "waits": "wait4 waitid waitpid",
    "process_groups": "getpgid getpgrp getsid setpgid setsid",
    "clone": "clone clone3",
    "threads": "get_robust_list rseq sched_yield set_robust_list set_tid_address",
    "tls": "arch_prctl get_thread_area set_thread_area",
    "futexes": "futex futex_time64 futex_waitv",
    "uselib": "uselib",
    "linux_1_0": """
        acct delete_module init_module ioperm iopl mount oldfstat oldlstat oldolduname oldstat olduname quotactl
        reboot sgetmask ssetmask swapoff swapon umount umount2 ustat
    """,
    "privileged": """
        add_key bpf cachestat epoll_ctl_old epoll_wait_old fanotify_init fanotify_mark finit_module fsconfig fsmount
        fsopen fspick get_mempolicy io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load
        keyctl landlock_add_rule landlock_create_ruleset landlock_restrict_self lookup_dcookie map_shadow_stack
        membarrier migrate_pages modify_ldt mount_setattr move_mount move_pages name_to_handle_at open_tree
        perf_event_open pivot_root pkey_alloc pkey_free pkey_mprotect process_madvise ptrace quotactl_fd request_key
        set_mempolicy setdomainname sethostname setns sysfs syslog unshare uretprobe userfaultfd vhangup
    """,
}
