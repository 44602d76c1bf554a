"""The Linux kernel interface of one guest process. Where things are:

calls/       the system calls, a file a family: a new call is a handler and a row of its family's ROWS there, and its name
             in families.py, by which a family is imported when a program needs it
vfs/         files: what the guest sees of the host (grants, namespace), path operations, open files, descriptors
proc/        /proc: which files there are, and what they say
sockets/     sockets between the processes of a run
ipc/         System V IPC and POSIX message queues
shared/      memory, a lock and a store of descriptors that all processes of a run have
signals/     numbers, pending and blocked signals, the frame of a handler
threads/     several threads: what each has of its own, whose turn it is, futexes
strace/      how calls and their arguments are shown; what a call changes, in one line

table.py     what a row says (name, handler, kinds of arguments, effect, undo, restart), and numbers -> rows
arguments.py kinds of arguments; structs.py: structures that programs and kernel exchange, on both machines
dispatch.py  from a number and registers to a handler and a result; core.py: the kernel that the machine calls
process.py   what handlers work on, put together of the parts above and of clock, limits, identity, pids and waiting
native_answers.py  what native code of the machine may answer of them, and when
seccomp.py   what a program forbids itself
vsyscall.py  the page of old system calls; legacy_calls.py: calls of i386 in a 64-bit program
settings.py  what a process can set of itself and its kernel; terminals.py: the guest's terminals
host_calls.py calls of the host's that Python's modules do not have
eras.py      what kernels of other years did differently; constants.py: Linux's numbers; errors.py: errors of calls
"""
