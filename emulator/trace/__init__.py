"""Call tracing, from a run to the trace file. uselib/trace reads it.

record/       while the program runs: which functions there are, and records of their calls
native/       recorder.c, data_watch.c: what is called for each event
store/        the trace file, and where else records go
live/         `uselib trace PROG`: records as lines, while the program runs
prototypes/   what functions take and give, and how to show it
symbols       from an address in guest memory to a name, while the program runs
"""
