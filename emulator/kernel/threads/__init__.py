"""Threads of the guest: one engine, one thread at a time.

thread.py      what each has of its own; group.py: all of a process, and what handlers ask of the scheduler
scheduler.py   whose turn it is, parked system calls; order.py: round robin, or another order for each seed; wait.py: what is waited for
ready.py       the threads that can run, and which turns native code may take; idle.py: none can run
futex.py       queues of waiters; pi.py: words with an owner; host_futex.py: those of other processes
robust.py      what is done for others when a thread ends
sequences.py   restartable sequences (rseq)
deadlock.py    every thread waits, and nobody is left who could wake one
"""
