"""Trace files: the format, its writer, the sinks that records go to."""
