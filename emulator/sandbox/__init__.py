"""A second line of defence: what the host's kernel holds back from this process, should the emulator itself be subverted.

    landlock.py      which files may be opened, what is scoped to this process and its children
    system_calls.py  the table of system calls that the emulator makes
    seccomp.py       the filter that lets these through, and no others
    sandbox.py       the policy of a run, and putting all of it in force

The first line is the emulator: a guest's system call reaches the host only where emulator/kernel/ makes one for it.
Only commands that own their process use this: it cannot be taken off again.
"""
