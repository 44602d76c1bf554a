"""The handlers of system calls: one module for each family, with its rows for the table (ROWS; emulator/kernel/table.py).
emulator/kernel/families.py lists the calls of each family too, so that a module is imported only when a program makes one of its calls.

files.py, fcntl.py, ioctl.py, pipes.py            descriptors; openat2.py, copies.py, advice.py
poll.py, epoll.py                                 waiting for descriptors
splices.py, watches.py, pidfds.py                 splice and tee; inotify; processes as descriptors
sockets.py, messages.py                           sockets, and what is sent over them
ipc.py, posix_queues.py                           System V IPC; mq_open and related calls
status.py, attributes.py, directories.py          paths and inodes; xattrs.py: extended attributes
memory.py, process_memory.py                      brk, mmap and related calls; process_vm_readv
processes.py, execve.py, waits.py, clone.py        fork, exit; exec (execveat.py: by a descriptor); wait; threads
threads.py, tls.py, futexes.py                    what a thread tells the kernel; thread-local storage; waiting for words of memory
process_groups.py                                 groups and sessions
signals.py, kill.py, signal_files.py              signals: actions and masks; sending; signalfd
interval_timers.py, timers.py                     alarm and setitimer; timer_create and timerfd
credentials.py, scheduling.py                     users, groups, capabilities; policies and priorities
prctl.py, seccomp.py                              prctl, personality; calls that a program has forbidden itself
privileged.py                                     what only the machine's root may do, and calls that this kernel lacks
time.py, limits.py, system.py                     clocks; limits; names, numbers, random bytes
uselib.py                                         uselib(2)
linux_1_0.py                                      calls that only programs of the first years make
"""
