"""Facts that several kinds of file have: identities of libraries, segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uselib.linker.image import EXEC, READ, WRITE, Identity, Segment

Facts = dict[str, Any]


def _flags(flags: int) -> str:
    return "".join(letter if flags & flag else "-" for letter, flag in (("R", READ), ("W", WRITE), ("X", EXEC)))


def segment_facts(segments: Iterable[Segment]) -> list[Facts]:
    return [
        {
            "address": s.address,
            "memory_size": s.memory_size,
            "offset": s.offset,
            "file_size": s.file_size,
            "flags": _flags(s.flags),
        }
        for s in segments
    ]


def identity_facts(who: Identity) -> Facts:
    return {
        "name": who.name,
        "version": str(who.version),
        "base": who.base,
        "size": who.size,
        "digest": who.digest.hex(),
        "slots": who.slot_count,
    }
