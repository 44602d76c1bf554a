"""The Linux kernel interface of one guest process. Where things are:

calls/       the system calls, a file a family: a new call is a handler and a row of its family's ROWS there, and its name
             in families.py, by which a family is imported when a program needs it
vfs/         files: the part of the host's tree that the guest sees, path operations, open files, descriptors
proc/        /proc: the list of its files, and their texts
sockets/     sockets between the processes of a run
ipc/         System V IPC and POSIX message queues
shared/      memory, a lock and a store of descriptors that all processes of a run have
signals/     numbers, pending and blocked signals, the frame of a handler
threads/     several threads: the state of each, the scheduler, futexes
strace/      how calls and their arguments are shown; what a call changes, in one line

table.py     the row of a call (name, handler, kinds of arguments, effect, undo, restart), and numbers -> rows
arguments.py kinds of arguments; structs.py: structures that programs and kernel exchange, on both machines
dispatch.py  from a number and registers to a handler and a result; core.py: the kernel that the machine calls
process.py   what handlers work on: the parts above, and clock, limits, identity, pids and waiting
native_answers.py  which calls native code of the machine may answer, and when
seccomp.py   calls that a program has forbidden itself
vsyscall.py  the page of old system calls; legacy_calls.py: calls of i386 in a 64-bit program
settings.py  values that a process can set and read back; terminals.py: the guest's terminals
host_calls.py  host calls that Python's modules do not have
eras.py      differences between kernels of different years; constants.py: Linux's numbers; errors.py: errors of calls
"""
