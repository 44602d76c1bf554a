"""The handlers of system calls, a module a family, each with its rows for the table (ROWS; emulator/kernel/table.py). Which calls a
family has is said in emulator/kernel/families.py as well, so that a module is imported when a program makes a call of it.

files.py, fcntl.py, ioctl.py, pipes.py            descriptors; openat2.py, copies.py, advice.py
poll.py, epoll.py                                 waiting for them
splices.py, watches.py, pidfds.py                 splice and tee; inotify; processes as descriptors
sockets.py, messages.py                           sockets, and what is sent over them
ipc.py, posix_queues.py                           System V IPC; mq_open and its kin
status.py, attributes.py, directories.py          paths and inodes; xattrs.py: extended attributes
memory.py, process_memory.py                      brk, mmap and relatives; process_vm_readv
processes.py, execve.py, waits.py, clone.py        fork, exit; exec (execveat.py: by a descriptor); wait; threads
threads.py, tls.py, futexes.py                    what a thread says of itself; its own storage; waiting for words of memory
process_groups.py                                 groups and sessions
signals.py, kill.py, signal_files.py              signals: what is done with them; sent; signalfd
interval_timers.py, timers.py                     alarm and setitimer; timer_create and timerfd
credentials.py, scheduling.py                     users, groups, capabilities; policies and priorities
prctl.py, seccomp.py                              prctl, personality; calls that a program forbids itself
privileged.py                                     what only the machine's root may do, and what is not there
time.py, limits.py, system.py                     clocks; limits; names, numbers, random bytes
uselib.py                                         uselib(2)
linux_1_0.py                                      calls that only programs of the first years make
"""
