"""ABI checks: what changed between two versions of a library (static), and what that does to a program that runs (dynamic)."""
