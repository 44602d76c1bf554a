"""Signals of a process.

numbers.py      their numbers, and flags of actions
state.py        actions, masks, pending signals
timers.py       the timers of a process
arrived.py      siginfo_t of signals that the host delivers
frames.py       the stack of a handler
job_control.py  a background process and its terminal
"""
