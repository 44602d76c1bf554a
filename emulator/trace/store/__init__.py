"""Where records go.

    format   the trace file: header, chunks, records, payload rows (the contract with every reader)
    bindings a symbol binding, and its chunk
    sinks    TraceSink; a trace file, and the flight recorder that keeps the last events
    writer   large writes in a thread

The sink of `uselib trace PROG` is live/live_sink.py, that of the ABI check in uselib/abi/dynamic/run.
"""
