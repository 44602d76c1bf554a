"""Where a program begins: e_entry."""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, error
from uselib.linker.options import Options
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import UNDEFINED
from uselib.linker.passes.resolution import Resolution


def program_entry(resolution: Resolution, layout: Layout, options: Options) -> int:
    """e_entry of a program: the symbol or number of -e, or the start of .text with a warning. Raises LinkError."""
    symbol = resolution.symbols.get(options.entry)
    if symbol is not None and symbol.rank != UNDEFINED:
        return symbol.address
    if options.entry[:1].isdigit():
        try:
            return int(options.entry, 0)
        except ValueError:
            raise error("ld", f"the entry point `{options.entry}` is neither a symbol nor an address") from None
    text = layout.find(".text")
    address = text.address if text is not None else 0
    resolution.warnings.append(
        Diagnostic("ld", f"no entry point {options.entry}; using {address:#x}", remedy="link crt1.o or give -e")
    )
    return address
