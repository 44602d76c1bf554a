"""Two outcomes of the same call -> the first difference, in the order that says most: how it ended, its result, memory that it wrote
through its pointers, exported data, output, errno.

Pointers are compared by what they point to in terms that both versions share (an argument, an exported name, the heap, a string's
characters), because a new version's own text and data may lie anywhere.
"""

from __future__ import annotations

import signal
import struct
from collections.abc import Iterator

from uselib.abi.dynamic.probe.argument_layout import PreparedArguments
from uselib.abi.dynamic.probe.call import CallOutcome, ProbedLibrary
from uselib.abi.dynamic.probe.spec import CallDifference
from uselib.abi.dynamic.probe.values import Region, c_number, c_string
from uselib.emulator.api.values import from_extended
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    EnumerationView,
    FloatingView,
    IntegerView,
    PointerView,
    Prototype,
    StructureView,
    TypeView,
    VoidView,
)

_SHOWN = 64  # bytes of a buffer or string in a message


def first_difference(
    prototype: Prototype,
    ready: PreparedArguments,
    old: tuple[ProbedLibrary, CallOutcome],
    new: tuple[ProbedLibrary, CallOutcome],
    errno: bool = True,
) -> CallDifference | None:
    """The first difference, or None. errno: compare errno too, if both report an error."""
    (library, before), (other, after) = old, new
    if (before.end, before.detail) != (after.end, after.detail):
        return CallDifference("end", "the call", ending(prototype, library, before), ending(prototype, other, after))
    if before.end == "returned":
        found = _result(prototype.result, old, new) or _memory(ready, old, new) or _data(old, new)
        if found is not None:
            return found
    for name, one, two in (
        ("standard output", before.stdout, after.stdout),
        ("standard error", before.stderr, after.stderr),
    ):
        if one != two:
            return CallDifference("output", name, _bytes(one), _bytes(two))
    if errno and before.end == "returned" and before.errno is not None and after.errno is not None:
        failed = _failed(prototype.result, before.result)
        if failed and before.errno != after.errno:
            return CallDifference("errno", "errno", _errno(before.errno), _errno(after.errno))
    return None


def ending(prototype: Prototype, library: ProbedLibrary, outcome: CallOutcome) -> str:
    """The end of a call, in words."""
    if outcome.end == "returned":
        if isinstance(prototype.result, VoidView):
            return "returns"
        return f"returns {shown(prototype.result, outcome.result, library)}"
    if outcome.end == "exit":
        return f"ends the process with exit status {outcome.detail}"
    if outcome.end == "limit":
        return f"does not end within {library.limit:,} instructions"
    if outcome.end == "lost":
        return outcome.report
    return f"{_signal(outcome.detail)}{_where(outcome.report)}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _where(report: str) -> str:
    """The rest of a fault's line after the signal: ` (read of unmapped address 0x8 at crash$impl+0x4)`."""
    _, found, rest = report.partition("killed by SIG")
    rest = rest.partition(": ")[2] if found else report
    return f" ({rest})" if rest else ""


def _errno(number: int) -> str:
    import errno

    return errno.errorcode.get(number, str(number)) if number else "0"


def _failed(type_: TypeView, result: bytes) -> bool:
    """Whether the result means an error by convention. Only then is errno defined."""
    if isinstance(type_, PointerView):
        return not any(result)
    return isinstance(type_, IntegerView) and type_.signed and bool(result) and result[-1] >> 7 == 1


# -- parts -------------------------------------------------------------------------------------------------------------


def leaves(type_: TypeView, offset: int, label: str) -> Iterator[tuple[int, TypeView, str]]:
    """The scalars of a type with their offsets and names. A union counts as bytes, since the member in use is not known."""
    if isinstance(type_, StructureView) and not type_.union:
        done: set[int] = set()
        for field in type_.fields:
            if field.bits is not None:
                for at in range(field.offset, field.offset + -(-sum(field.bits) // 8)):
                    if at not in done:
                        done.add(at)
                        yield offset + at, _BYTE, f"{label}.{field.name}"
                continue
            yield from leaves(field.type, offset + field.offset, f"{label}.{field.name}")
    elif isinstance(type_, ArrayView):
        for n in range(type_.count):
            yield from leaves(type_.element, offset + n * type_.element.size, f"{label}[{n}]")
    elif isinstance(type_, ComplexView):
        yield offset, type_.part, f"real({label})"
        yield offset + type_.part.size, type_.part, f"imag({label})"
    elif isinstance(type_, IntegerView | FloatingView | EnumerationView | PointerView):
        yield offset, type_, label
    else:
        for at in range(type_.size):
            yield offset + at, _BYTE, label


_BYTE = IntegerView("unsigned char", 1, False, 1)


def _scalar_differs(type_: TypeView, one: bytes, two: bytes, old: ProbedLibrary, new: ProbedLibrary) -> bool:
    if one == two:
        return False
    if isinstance(type_, FloatingView):
        return not _same_float(type_, one, two)
    if isinstance(type_, PointerView):
        a, b = int.from_bytes(one, "little"), int.from_bytes(two, "little")
        if not a or not b or old.pointer_target(a) != new.pointer_target(b):
            return True
        return type_.string and old.string(a) != new.string(b)
    return True


def _same_float(type_: FloatingView, one: bytes, two: bytes) -> bool:
    """All NaNs are equal, whatever their sign and payload. The padding of long double does not count."""
    if type_.size > 8:
        one, two = one[:10], two[:10]
    a, b = _float(type_, one), _float(type_, two)
    return one == two or (a != a and b != b)


def _float(type_: FloatingView, data: bytes) -> float:
    if type_.size > 8:
        return from_extended(data[:10])
    return float(struct.unpack("<d" if type_.size == 8 else "<f", data[: type_.size])[0])


def _result(
    type_: TypeView, old: tuple[ProbedLibrary, CallOutcome], new: tuple[ProbedLibrary, CallOutcome]
) -> CallDifference | None:
    one, two = old[1].result, new[1].result
    for at, leaf, label in leaves(type_, 0, ""):
        a, b = one[at : at + leaf.size], two[at : at + leaf.size]
        if _scalar_differs(leaf, a, b, old[0], new[0]):
            what = f"result{label}" if label else "result"
            return CallDifference("result", what, shown(leaf, a, old[0]), shown(leaf, b, new[0]))
    return _result_target(type_, old, new)


def _result_target(
    type_: TypeView, old: tuple[ProbedLibrary, CallOutcome], new: tuple[ProbedLibrary, CallOutcome]
) -> CallDifference | None:
    """Compares the targets of pointer results, in the library's own memory or in the heap."""
    if not isinstance(type_, PointerView) or not any(old[1].result):
        return None
    target, addresses = type_.target, [int.from_bytes(side[1].result, "little") for side in (old, new)]
    if type_.string:
        texts = [side[0].string(address) for side, address in zip((old, new), addresses, strict=True)]
        if texts[0] != texts[1]:
            return CallDifference("result", "result", *(_string(text) for text in texts))
        return None
    if not target.size:
        return None
    blocks = [side[0].read(address, target.size) for side, address in zip((old, new), addresses, strict=True)]
    if blocks[0] is None or blocks[1] is None:
        return None
    for at, leaf, label in leaves(target, 0, "(*result)"):
        a, b = blocks[0][at : at + leaf.size], blocks[1][at : at + leaf.size]
        if _scalar_differs(leaf, a, b, old[0], new[0]):
            return CallDifference("result", label, shown(leaf, a, old[0]), shown(leaf, b, new[0]))
    return None


def _memory(
    ready: PreparedArguments, old: tuple[ProbedLibrary, CallOutcome], new: tuple[ProbedLibrary, CallOutcome]
) -> CallDifference | None:
    """Compares the memory that arguments point to, and the bytes behind it."""
    one, two = old[1].memory, new[1].memory
    if one == two:
        return None
    ends = [region.address for region in ready.regions[1:]] + [ready.base + len(one)]
    for region, end in zip(ready.regions, ends, strict=True):
        start = region.address - ready.base
        behind = slice(start + region.size, end - ready.base)
        if region.string or region.type.size <= 1:
            inside = slice(start, start + region.size)
            found = _bytes_of_region(region, one[inside], two[inside])
        else:
            found = None
        found = found or _elements(region, start, old, new) or _behind(region, one[behind], two[behind])
        if found is not None:
            return found
    return None


def _bytes_of_region(region: Region, a: bytes, b: bytes) -> CallDifference | None:
    """The first difference in a string or in bytes."""
    if a == b:
        return None
    at = _first_other(a, b)
    if region.string and b"\0" in a and b"\0" in b and at <= min(a.index(0), b.index(0)):
        return CallDifference("memory", region.label, _string(a[: a.index(0)]), _string(b[: b.index(0)]))
    return CallDifference("memory", f"{region.label}[{at}]", _bytes(a[at:]), _bytes(b[at:]))


def _elements(
    region: Region, start: int, old: tuple[ProbedLibrary, CallOutcome], new: tuple[ProbedLibrary, CallOutcome]
) -> CallDifference | None:
    """The first difference in the elements of a region, if they are more than bytes. start: where it lies in the memory."""
    one, two = old[1].memory, new[1].memory
    for n in range(region.count if region.type.size > 1 else 0):
        label = f"{region.label}[{n}]" if region.count > 1 else f"(*{region.label})"
        for at, leaf, name in leaves(region.type, start + n * region.type.size, label):
            a, b = one[at : at + leaf.size], two[at : at + leaf.size]
            if _scalar_differs(leaf, a, b, old[0], new[0]):
                return CallDifference("memory", name, shown(leaf, a, old[0]), shown(leaf, b, new[0]))
    return None


def _behind(region: Region, a: bytes, b: bytes) -> CallDifference | None:
    """The first difference in the bytes after a region."""
    if a == b:
        return None
    at = _first_other(a, b)
    what = f"memory {at} bytes behind the end of {region.label}"
    return CallDifference("memory", what, _bytes(a[at : at + 8]), _bytes(b[at : at + 8]))


def _first_other(a: bytes, b: bytes) -> int:
    return next(n for n in range(len(a)) if a[n] != b[n])


def _data(old: tuple[ProbedLibrary, CallOutcome], new: tuple[ProbedLibrary, CallOutcome]) -> CallDifference | None:
    """Exported variables that both versions have and at least one of the calls has changed."""
    sides = (old, new)
    known = [{name for name, _, _ in library.exported_data} for library, _ in sides]
    for name in sorted((old[1].data.keys() | new[1].data.keys()) & known[0] & known[1]):
        one, two = (outcome.data.get(name, library.initial(name)) for library, outcome in sides)
        if one == two:
            continue
        word = old[0].bits // 8
        for at in range(0, min(len(one), len(two)), word):
            a, b = one[at : at + word], two[at : at + word]
            if a == b:
                continue
            targets = [
                library.pointer_target(int.from_bytes(part, "little"))
                for (library, _), part in zip(sides, (a, b), strict=True)
            ]
            if targets[0] == targets[1] and targets[0][0] != "number":
                continue
            place = f"{name}" if len(one) <= word else f"{name} (offset {at})"
            return CallDifference("data", f"exported variable {place}", _number(a), _number(b))
    return None


# -- words -------------------------------------------------------------------------------------------------------------


def shown(type_: TypeView, data: bytes, library: ProbedLibrary) -> str:
    """A value as C, as far as C has a form for it."""
    if isinstance(type_, IntegerView | EnumerationView):
        return c_number(type_, int.from_bytes(data[: type_.size], "little", signed=type_.signed))
    if isinstance(type_, FloatingView):
        return f"{_float(type_, data)!r}"
    if isinstance(type_, PointerView):
        address = int.from_bytes(data[: type_.size], "little")
        if not address:
            return "NULL"
        text = library.string(address) if type_.string else None
        return _string(text) if text is not None else _target_text(library.pointer_target(address))
    if isinstance(type_, StructureView) and not type_.union:
        inner = ", ".join(
            f".{f.name} = {shown(f.type, data[f.offset :], library)}" for f in type_.fields if f.bits is None
        )
        return f"{{{inner}}}"
    if isinstance(type_, ArrayView) and type_.count:
        size = type_.element.size
        return "{" + ", ".join(shown(type_.element, data[n * size :], library) for n in range(type_.count)) + "}"
    return _bytes(data)


def _target_text(target: tuple[str, ...]) -> str:
    kind, name = target[0], target[1] if len(target) > 1 else ""
    texts = {
        "argument": "a pointer into an argument's memory",
        "library": "a pointer into the library",
        "[heap]": "a pointer to the heap",
        "[stack]": "a pointer to the stack",
        "data": f"a pointer to {name}",
        "number": f"the address {name}",
    }
    return texts.get(kind, f"a pointer into {kind}")


def _string(data: bytes | None) -> str:
    if data is None:
        return "no string"
    return c_string(data[:_SHOWN]) + ("..." if len(data) > _SHOWN else "")


def _bytes(data: bytes) -> str:
    if data and all(32 <= b < 127 or b in b"\n\t" for b in data):
        return _string(data)
    return (data[:16].hex(" ") + (" ..." if len(data) > 16 else "")) if data else "nothing"


def _number(data: bytes) -> str:
    value = int.from_bytes(data, "little", signed=True)
    return str(value) if abs(value) < 1 << 20 else hex(int.from_bytes(data, "little"))
