"""The hash tables of .dynsym: in C where that was built (linker/native/hash_tables.c), else as formats/dynamic_tables.py has them."""

from __future__ import annotations

from uselib.linker.formats import dynamic_tables
from uselib.linker.formats.dynamic_tables import BLOOM_SHIFT, bloom_words, buckets_for
from uselib.linker.passes import native


def hash_order(names: list[str]) -> list[int]:
    """The order in which .gnu.hash wants its symbols: positions in `names`."""
    if native.AVAILABLE:
        from uselib.linker import _native

        return _native.hash_order(names, buckets_for(len(names)))
    return dynamic_tables.in_hash_order(names)


def gnu_hash(names: list[str], first: int, word: int) -> bytes:
    """names: of the defined symbols, in hash order; first: the number of the first of them; word: bytes in a pointer."""
    if native.AVAILABLE and names:
        from uselib.linker import _native

        count = len(names)
        return _native.gnu_hash(names, first, word, buckets_for(count), bloom_words(count, word), BLOOM_SHIFT)
    return dynamic_tables.gnu_hash_table(names, first, word)


def sysv_hash(names: list[str]) -> bytes:
    """names: of all dynamic symbols but number 0."""
    if native.AVAILABLE:
        from uselib.linker import _native

        return _native.sysv_hash(names, dynamic_tables.sysv_buckets_for(len(names)))
    return dynamic_tables.sysv_hash_table(names)
