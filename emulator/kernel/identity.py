"""Who the guest is: numbers and names of a process."""

from __future__ import annotations

from uselib.linker.quick_dataclass import dataclass


@dataclass
class ProcessIdentity:
    """Fixed numbers, so that runs are the same for every user; files of the host's user appear as the guest's (calls/status.py)."""

    pid: int = 1000
    parent: int = 1
    group: int = 1000  # process group
    session: int = 1000
    uid: int = 1000
    gid: int = 1000
    nice: int = 0
    name: str = ""  # comm, at most 15 bytes
    executable: str = ""  # guest path of the program: /proc/self/exe
    command_line: tuple[bytes, ...] = ()
