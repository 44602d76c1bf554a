"""The change of the library behind a divergence, in words: by slot and address, from the exports of both versions.

Looked at in this order: what start-up checks; a wrong binding at or before the divergence; the function in which it shows; the
last calls before it, latest first, for one whose code has changed. None of these proves the cause; the text only says what changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from uselib.abi.dynamic.run.bindings import Bound, LibraryExport, LibraryVersion
from uselib.abi.dynamic.run.result import Divergence, WrongBinding
from uselib.linker.image import Identity


def explained(
    divergence: Divergence,
    bound: Bound,
    old: LibraryVersion,
    new: LibraryVersion,
    wrong: Sequence[WrongBinding] = (),
    linked: Identity | None = None,
) -> Divergence:
    """The divergence with its explanation, if there is one."""
    if divergence.kind == "start-up":
        return replace(divergence, explanation=_refused(linked or old.identity, new.identity))
    for row in _wrong_near(divergence, wrong):
        text = (
            changed_data(row.bound, old, new) if row.kind == "data" else changed_slot(row.address, row.bound, old, new)
        )
        if text:
            return replace(divergence, explanation=text, function=divergence.function or row.bound)
    for name in names_near(divergence):
        text = changed_name(name, bound, old, new)
        if text:
            return replace(divergence, explanation=text)
    return divergence


def names_near(divergence: Divergence, wrong: Sequence[WrongBinding] = ()) -> tuple[str, ...]:
    """Functions and data that may be its cause, the most likely first: wrong bindings up to it, its own name, the last calls before it."""
    names = [row.bound for row in _wrong_near(divergence, wrong)]
    names += [_own(divergence), *(_function_in(text) for text in reversed(divergence.context))]
    return tuple(dict.fromkeys(name for name in names if name))


def _own(divergence: Divergence) -> str:
    """The name `table` in `table+0x8`."""
    return divergence.function.partition("+")[0]


def _wrong_near(divergence: Divergence, wrong: Sequence[WrongBinding]) -> list[WrongBinding]:
    """Wrong bindings of the new version up to the divergence: that of the name it shows in first, then the earliest."""
    limit, own = divergence.new_call or 1 << 62, _own(divergence)
    rows = [row for row in wrong if row.side == "new" and row.first_call <= limit]
    return sorted(rows, key=lambda row: (row.bound != own, row.first_call))


def _function_in(text: str) -> str:
    """The function `add` in `#5 add(a=2, b=3)  from main+0x1c`."""
    return text.partition(" ")[2].partition("(")[0]


def _refused(linked: Identity, new: Identity) -> str:
    have, want = new.version, linked.version
    if have.major != want.major:
        return f"the program was linked with {want}, and {have} is another major version"
    if have.minor < want.minor:
        return f"the program was linked with {want}, and {have} is an older minor version"
    if new.slot_count < linked.slot_count:
        return f"the jump table had {linked.slot_count} slots when the program was linked, and has {new.slot_count} now"
    return ""


def changed_slot(address: int, bound: str, old: LibraryVersion, new: LibraryVersion) -> str:
    """`slot 7 was open_db when the program was linked; it is now close_db`."""
    number = new.slot_number(address) or old.slot_number(address)
    was = f"slot {number} was {bound} when the program was linked" if number else f"{bound} was at {address:#x}"
    place = new.slots.get(address)
    if place is not None:
        now = f"it is now {place.name}"
    elif new.slot_number(address):
        now = "it is now empty and traps"
    else:
        now = f"the jump table ends before it now ({new.identity.slot_count} slots)"
    moved = new.addresses.get(bound)
    if moved is None:
        return f"{was}; {now}, and {bound} is gone"
    there = new.slot_number(moved)
    return f"{was}; {now}, and {bound} is {f'slot {there}' if there else f'at {moved:#x}'}"


def changed_data(name: str, old: LibraryVersion, new: LibraryVersion) -> str:
    """`limit was at 0x6000a010 (4 bytes); it is now at 0x6000a018, and the old address belongs to table`."""
    before = next((place for place in old.exported_data if place.name == name), None)
    after = next((place for place in new.exported_data if place.name == name), None)
    if before is None:
        return ""
    if after is None:
        return f"{name} was at {before.address:#x} ({before.size} bytes); it is gone{_lies_there(before, new)}"
    if after.address != before.address:
        return f"{name} was at {before.address:#x}; it is now at {after.address:#x}{_lies_there(before, new)}"
    if after.size != before.size:
        return f"{name} had {before.size} bytes; it now has {after.size}"
    return ""


def _lies_there(place: LibraryExport, new: LibraryVersion) -> str:
    there = new.datum_at(place.address)
    return f", and {there.name} lies where it was" if there is not None and there.name != place.name else ""


def changed_name(name: str, bound: Bound, old: LibraryVersion, new: LibraryVersion) -> str:
    """What has changed of an exported function, if anything."""
    address = old.addresses.get(name)
    if address is None:
        return ""
    if not old.slot_number(address):
        return changed_data(name, old, new)
    place = new.slots.get(address)
    if place is None or place.name != name:
        return changed_slot(address, name, old, new)
    if old.code(name) != new.code(name):
        return f"the code of {name} (slot {old.slot_number(address)}) has changed"
    return ""
