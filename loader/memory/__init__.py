"""Address spaces: mappings, the host memory behind them, access.

address_space.py  the memory of one process: access, heap and stack
mappings.py       mmap, munmap, mprotect with Linux's rules; remapping.py: mremap; residence.py: madvise, msync, mlock
lending.py        private memory that a child has as well (vfork, CLONE_VM)
listener.py       who is told of changes
vma.py            one mapping, and the ordered list of them; gaps.py: where a search for a free range begins
layout.py         where stack, heap and mappings go
access.py         which accesses are allowed, and what comes of the others
host_memory.py    windows of guest addresses over memory of the host;  windows.py: those of an address space
"""
