"""One guest process: the run loop, faults, limits, reports."""
