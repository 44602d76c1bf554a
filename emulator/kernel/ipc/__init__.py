"""System V IPC and POSIX message queues, between the processes of one run.

The host's own objects are never used. The objects lie in the memory that all processes of the run share (shared/run.py), under the run's
lock. A call that has to wait looks again from time to time.

area.py         the part of the memory, holdings of processes, notification of changes
table.py        slots for objects: keys, identifiers, permissions
segments.py     shared memory: its bytes are files in memory, kept in the run's store
semaphores.py   sets of semaphores, what is undone at a process's end
messages.py     queues of System V messages;  posix_queues.py: those of mq_open
"""
