"""Signals of a process.

numbers.py      their numbers, and flags of actions
state.py        actions, masks, pending signals
host_side.py    the host's dispositions and mask while the guest runs
timers.py       the timers of a process
arrived.py      siginfo_t of signals that the host delivers
delivery.py     a pending signal enters its handler or ends the process; sigreturn
frames.py       the stack of a handler
job_control.py  a background process and its terminal
"""
