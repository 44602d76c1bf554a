"""The CPU: Unicorn behind a thin layer of our own (engine.py), registers, memory windows, run loop."""
