"""What the host's kernel refuses to this process, in case a guest subverts the emulator.

    landlock.py      which files may be opened, what is scoped to this process and its children
    system_calls.py  the table of system calls that the emulator makes
    seccomp.py       the filter that lets these through, and no others
    sandbox.py       the policy of a run, and putting all of it in force

The emulator itself is the first protection: a guest's system call reaches the host only where emulator/kernel/ makes one for it.
Only commands that own their process use this: it cannot be taken off again.
"""
