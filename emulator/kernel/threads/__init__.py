"""Threads of the guest. All threads of a process run in one engine, one at a time.

thread.py      the state of one thread; group.py: all threads of a process, and what handlers ask of the scheduler
scheduler.py   which thread runs, parked system calls; order.py: round robin, or another order for each seed
wait.py        what a thread waits for; waits.py: which waits are over
ready.py       the threads that can run, and which turns native code may take; idle.py: no thread can run
futex.py       queues of waiters; pi.py: words with an owner; host_futex.py: words shared with other processes
robust.py      what is done for others when a thread ends
sequences.py   restartable sequences (rseq)
deadlock.py    every thread waits, and nothing is left that could wake one
"""
