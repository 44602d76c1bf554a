"""Disassembly of slots and of the code behind them, and of other functions, from the file if it is still the one that was traced."""

from __future__ import annotations

import hashlib
from pathlib import Path

from uselib.linker.errors import ToolError
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import Image, Machine

_MAXIMUM_FILE = 256 << 20
_PAGE = 4096
Line = tuple[str, str, str]  # address, bytes, text


class LibraryCode:
    """The code of one file. base: where it was mapped; addresses are those of the process. `problem` says why there is none."""

    def __init__(self, path: str, digest: str, base: int = 0) -> None:
        self.problem = ""
        self._bias = 0
        self._image: Image | None = None
        try:
            if Path(path).stat().st_size > _MAXIMUM_FILE:
                raise OSError("too large")
            self._data = Path(path).read_bytes()
            if digest and hashlib.sha256(self._data).hexdigest() != digest:
                self.problem = "the file has changed since"
                return
            self._image = read_image(self._data, path, relative=True)
            if self._image.relative:
                self._bias = (
                    base - min((segment.address for segment in self._image.segments), default=0) // _PAGE * _PAGE
                )
        except (OSError, ToolError):
            self.problem = "the file is not there any more"

    def implementation(self, slot: int) -> tuple[int, int]:
        """Address and size of the code behind a slot; (0, 0) if that is not known."""
        for export in self._image.exports if self._image is not None else ():
            if export.slot == slot:
                return export.implementation, export.size
        return 0, 0

    def lines(self, address: int, size: int, most: int) -> list[Line]:
        """The instructions of a range, at most so many."""
        if self._image is None:
            return []
        import capstone

        mode = capstone.CS_MODE_32 if self._image.machine is Machine.I386 else capstone.CS_MODE_64
        engine = capstone.Cs(capstone.CS_ARCH_X86, mode)
        rows = engine.disasm_lite(self._bytes(address, min(size, 16 * most)), address, count=most)
        names = (
            {s.address + self._bias: s.name for s in self._image.symbols if s.function}
            if not hasattr(self, "_names")
            else self._names
        )
        self._names: dict[int, str] = names
        out = []
        for at, length, mnemonic, operands in rows:
            raw = self._bytes(at, length).hex(" ")
            target = names.get(int(operands, 16)) if operands.startswith("0x") else None
            out.append((f"{at:#x}", raw, f"{mnemonic} {operands}".strip() + (f"  <{target}>" if target else "")))
        return out

    def _bytes(self, address: int, size: int) -> bytes:
        assert self._image is not None
        for segment in self._image.segments:
            offset = address - self._bias - segment.address
            if 0 <= offset < segment.file_size:
                start = segment.offset + offset
                return self._data[start : min(start + size, segment.offset + segment.file_size)]
        return b""
