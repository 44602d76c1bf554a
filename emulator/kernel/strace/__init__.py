"""--strace: calls in the words of strace(1)."""
