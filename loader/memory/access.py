"""Which accesses to memory are allowed, and the exceptions for those that are not."""

from __future__ import annotations

from uselib.loader.memory.vma import PROT_EXEC, PROT_WRITE


class MemoryFault(Exception):
    """An access to memory that the guest may not make.

    access: "read", "write" or "execute". mapped: there is a mapping, but not with this permission. beyond_file: the page
    lies wholly behind the end of its file (SIGBUS). stack_overflow: just below a stack that may not grow any more.
    """

    def __init__(
        self,
        address: int,
        access: str,
        *,
        mapped: bool = False,
        beyond_file: bool = False,
        stack_overflow: bool = False,
    ) -> None:
        super().__init__(f"{access} at {address:#x}")
        self.address = address
        self.access = access
        self.mapped = mapped
        self.beyond_file = beyond_file
        self.stack_overflow = stack_overflow


class MemoryCeiling(Exception):
    """The run may not have as much memory as the guest asks for (`--max-memory`): the run ends."""


def allows(prot: int, access: str) -> bool:
    """x86 page permissions: a page that can be written or executed can be read."""
    if access == "read":
        return prot != 0
    return bool(prot & (PROT_WRITE if access == "write" else PROT_EXEC))
