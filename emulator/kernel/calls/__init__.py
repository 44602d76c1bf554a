"""The handlers of system calls, a module a family, each with its rows for the table."""
