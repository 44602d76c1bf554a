"""Signals: numbers.py (and flags of actions), state.py (actions, masks, pending ones, the host's), arrived.py (what there is to say of
those that the host brings), frames.py (the stack of a handler), job_control.py (what a process in the background gets from its terminal)."""
