"""Threads of the guest: what each has of its own. A process has one; clone with CLONE_THREAD is refused."""
