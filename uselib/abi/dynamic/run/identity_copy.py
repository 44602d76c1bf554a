"""A private copy of a library that start-up accepts: its note carries the identity that the program wants."""

from __future__ import annotations

import struct

from uselib.abi.dynamic.run.bindings import LibraryVersion
from uselib.linker.formats import notes
from uselib.linker.image import Identity
from uselib.linker.library.digest import digest_offset

_VERSION = struct.Struct("<3H")
_VERSION_AT, _SLOTS_AT = 8, 52  # in the NT_LIBRARY descriptor (formats/notes.py)


def with_identity(library: LibraryVersion, wanted: Identity) -> bytes | None:
    """The file with the wanted version and at least as many slots. None if that is impossible: another name or base."""
    mine = library.identity
    if mine.name != wanted.name or mine.base != wanted.base:
        return None
    data = bytearray(library.data)
    at = digest_offset(bytes(data), library.path) - notes.DIGEST_OFFSET
    version = wanted.version
    _VERSION.pack_into(data, at + _VERSION_AT, version.major, version.minor, version.patch)
    struct.pack_into("<I", data, at + _SLOTS_AT, max(mine.slot_count, wanted.slot_count))
    return bytes(data)
