"""System V IPC and POSIX message queues, between the processes of one run.

The host's own objects are never used. What the guest's kernel would keep lies in the memory that all processes of the run share
(shared/run.py), under the run's lock; a call that has to wait looks again from time to time.

area.py         the part of the memory, who holds what, how a change is told
table.py        slots for objects: keys, identifiers, permissions
segments.py     shared memory: its bytes are files in memory, kept in the run's store
semaphores.py   sets of semaphores, what is undone at a process's end
messages.py     queues of System V messages;  posix_queues.py: those of mq_open
"""
