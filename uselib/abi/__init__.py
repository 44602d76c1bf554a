"""ABI checks: the differences between two versions of a library (static), and their effects on a running program (dynamic)."""
