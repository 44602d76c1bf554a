"""Remapping: mremap(2). Mappings grow, shrink, move, and are shown a second time.

Source: mm/mremap.c of Linux; mremap(2).
"""

from __future__ import annotations

import errno

from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.layout import page_up
from uselib.loader.memory.mappings import Mappings, os_error
from uselib.loader.memory.vma import PAGE, Vma


class Remapping(Mappings):
    """The mappings of an address space, which may be resized and moved."""

    def remap(
        self,
        address: int,
        old_size: int,
        new_size: int,
        *,
        may_move: bool,
        new_address: int | None = None,
        keep: bool = False,
    ) -> int:
        """mremap(2): returns the new address. new_address: MREMAP_FIXED; keep: MREMAP_DONTUNMAP. An old size of 0 shows a shared mapping a
        second time. Raises OSError (EINVAL, EFAULT, ENOMEM, EAGAIN)."""
        old_size, new_size = page_up(old_size), page_up(new_size)
        self._check_places(address, old_size, new_size, new_address)
        if keep and (old_size != new_size or not (may_move or new_address is not None)):
            raise os_error(errno.EINVAL)
        vma = self._mapping(address)
        if not old_size and not (vma.shared and may_move):
            raise os_error(errno.ENOMEM if vma.shared else errno.EINVAL)
        if new_size < old_size:  # what is too much goes first, in whatever mappings it lies
            self.unmap(address + new_size, old_size - new_size)
            old_size = new_size
            vma = self.vmas.find(address) or vma
        stays = new_address is None and not keep and old_size > 0
        if stays and new_size == old_size:
            return address
        self._check_growth(vma, address + old_size, new_size - old_size)
        if stays and self._grow(vma, address + old_size, address + new_size):
            return address
        if stays and not may_move:
            raise os_error(errno.ENOMEM)
        target = self._target(new_size, new_address)
        return self._move(self._mapping(address), address, old_size, target, new_size, keep or not old_size)

    def _mapping(self, address: int) -> Vma:
        """The mapping at an address. Raises OSError (EFAULT)."""
        vma = self.vmas.find(address)
        if vma is None:
            raise os_error(errno.EFAULT)
        return vma

    def _grow(self, vma: Vma, end: int, grown: int) -> bool:
        """Extends the mapping in its place, if `end` is where it ends and what follows is free."""
        if vma.end != end or not self.is_free(end, grown):
            return False
        self._extend(vma, grown)
        return True

    def _target(self, size: int, address: int | None) -> int:
        """Where a mapping goes that moves: to the address, from which all else is taken away, or to a gap. Raises OSError."""
        if address is None:
            return self.find_gap(size)
        target = self._place(address, size, "fixed")
        self.unmap(target, size)
        return target

    def _check_places(self, address: int, old_size: int, new_size: int, target: int | None) -> None:
        """Raises OSError (EINVAL)."""
        if address % PAGE or not new_size or new_size > self.layout.top:
            raise os_error(errno.EINVAL)
        if target is None:
            return
        outside = target % PAGE or target + new_size > self.layout.top
        if outside or (target < address + old_size and address < target + new_size):
            raise os_error(errno.EINVAL)

    def _check_growth(self, vma: Vma, end: int, more: int) -> None:
        """end: where the part ends that is remapped; more: bytes that it grows by, if any. Raises OSError (EFAULT, ENOMEM, EAGAIN)."""
        if end > vma.end:
            raise os_error(errno.EFAULT)
        if more <= 0:
            return
        if vma.locked and self.lock_limit is not None and self.locked + more > self.lock_limit:
            raise os_error(errno.EAGAIN)
        self._room(more)
        if vma.is_data:
            self._data_room(more)

    def _move(self, vma: Vma, address: int, old_size: int, target: int, new_size: int, keep: bool) -> int:
        """keep: the old range stays mapped; what was private is empty there."""
        part = vma.cut(address, address + old_size) if old_size else replace(vma.cut(address, vma.end), end=address)
        moved = replace(part, start=target, end=target + new_size)
        self._ensure(target, target + new_size)
        if vma.shared:
            self._back(moved)
            if not keep:
                self._return(address, address + old_size)
        else:
            self._move_pages(address, target, old_size)
            self._moved(address, target, old_size)
            if new_size > old_size:
                self._back(moved.cut(target + old_size, moved.end))
            if keep:
                self._back(part)
        if old_size:
            self._changed(address, address + old_size)
        if not keep:
            self.vmas.remove(address, address + old_size)
            self._freed(address + old_size)
        elif part.locked:  # the lock goes along
            self.vmas.remove(address, address + old_size)
            self.vmas.insert(replace(part, locked=False))
        self.vmas.insert(moved)
        self.listener.mapped(moved)
        return target

    def _move_pages(self, address: int, target: int, size: int) -> None:
        for source, low, high in self.windows.pieces(address, address + size):
            for destination, start, end in self.windows.pieces(target + low - address, target + high - address):
                source.move(start - target + address, destination.delta + start, end - start)

    def rearrange(self, address: int, size: int, offset: int) -> None:
        """remap_file_pages(2): a part of a shared mapping shows another part of its memory. Raises OSError (EINVAL)."""
        vma = self.vmas.find(address)
        if not size or vma is None or not vma.shared or address + size > vma.end or offset + size > 1 << 63:
            raise os_error(errno.EINVAL)
        part = replace(vma.cut(address, address + size), offset=offset)
        if vma.memory is not None and all(other.offset > offset for other in self.vmas.shared(vma.memory.identity)):
            raise os_error(errno.EINVAL)  # it is mapped nowhere any more, and lost
        self._back(part)
        self.vmas.remove(address, address + size)
        self._changed(address, address + size)
        self.vmas.insert(part)
        self.listener.mapped(part)
