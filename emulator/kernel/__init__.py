"""The Linux kernel interface: one file per family of system calls, one table that drives dispatch and strace."""
