"""a.out of Linux, 1991 to 1995."""
