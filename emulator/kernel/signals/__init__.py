"""Signals: numbers.py (and flags of actions), state.py (actions, masks, pending signals, signals of the host), arrived.py (siginfo_t of
signals that the host delivers), frames.py (the stack of a handler), job_control.py (a background process and its terminal).
"""
