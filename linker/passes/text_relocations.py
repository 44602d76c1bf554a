"""Relocations that the dynamic linker would make in sections that are not writable: where they come from, and whether they are allowed.

GNU ld makes them and warns; lld refuses. Here they are an error, as in lld, unless -z notext allows them or --warn-textrel asks for GNU ld's
warnings.
"""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.elf import SHF_WRITE
from uselib.linker.options import Options
from uselib.linker.passes.dynamic_scan import DynamicNeeds, drop_writable
from uselib.linker.passes.layout import default_place
from uselib.linker.passes.resolution import Resolution


def report_text_relocations(needs: DynamicNeeds, resolution: Resolution, options: Options, kind: str) -> None:
    """kind: what the output is called. Raises LinkError, with a line for each symbol of each section of a file."""
    if not needs.text_relocations:
        return
    sections = resolution.allocated()
    drop_writable(
        needs, {place.name for s in sections if s.flags & SHF_WRITE and (place := default_place(s.name)) is not None}
    )
    allowed = bool(options.keywords & {"notext", "textoff"})
    if not needs.text_relocations or (allowed and not options.warn_textrel):
        return
    warns = options.warn_textrel and "text" not in options.keywords
    remedy = "" if warns else "compile with -fPIC, or allow text relocations with -z notext"
    found: dict[tuple[int, str], Diagnostic] = {}
    for site, name in needs.text_relocations:
        if (id(site.section), name) not in found:
            where = site.file.place(site.section, site.offset)
            text = f"relocation against symbol `{name}' in read-only section `{site.section.name}'"
            found[id(site.section), name] = Diagnostic(where, text, "", remedy)
    if not warns:
        raise LinkError(*found.values())
    resolution.warnings += [*found.values(), Diagnostic("ld", f"creating DT_TEXTREL in {kind}", options.output)]
