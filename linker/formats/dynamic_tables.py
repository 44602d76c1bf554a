"""The tables by which a dynamic linker finds symbols: .gnu.hash, .hash, .gnu.version_d, .gnu.version_r.

Source: gABI, chapter 5 ("Hash Table"); LSB core, "Symbol Versioning"; for .gnu.hash the layout that glibc's dl-lookup.c reads:
nbuckets, symndx, maskwords, shift2; Bloom filter; buckets; chain values whose lowest bit ends a chain.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from uselib.linker.formats.shared_object import VER_FLG_BASE, VER_FLG_WEAK
from uselib.linker.quick_dataclass import NamedTuple

BLOOM_SHIFT = 26
_BITS_A_SYMBOL = 12  # of the Bloom filter: about one false answer in fifty
_SYMBOLS_A_BUCKET = 4


def gnu_hash(name: str) -> int:
    """h = h * 33 + c, from 5381."""
    value = 5381
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def sysv_hash(name: str) -> int:
    """gABI, figure 5-13. Versions are hashed by it too."""
    value = 0
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value


def buckets_for(count: int) -> int:
    """How many buckets .gnu.hash has for that many symbols."""
    return max(1, count // _SYMBOLS_A_BUCKET | 1)


def bloom_words(count: int, word: int) -> int:
    """How many words its Bloom filter has for that many symbols; word: bytes of one."""
    words = 1
    while words * 8 * word < count * _BITS_A_SYMBOL:
        words *= 2
    return words


def sysv_buckets_for(count: int) -> int:
    """How many buckets .hash has for that many symbols."""
    return max(1, count // 2 | 1)


def in_hash_order(names: Sequence[str]) -> list[int]:
    """The order in which .gnu.hash wants its symbols: by bucket. Positions in `names`."""
    buckets = buckets_for(len(names))
    hashes = [gnu_hash(name) % buckets for name in names]
    return sorted(range(len(names)), key=hashes.__getitem__)


def gnu_hash_table(names: Sequence[str], first: int, word: int) -> bytes:
    """names: of the defined symbols, in hash order; first: the number of the first of them; word: bytes in a pointer."""
    bits = 8 * word
    if not names:
        return struct.pack("<IIII", 1, first, 1, 0) + bytes(word) + bytes(4)
    count = buckets_for(len(names))
    words = bloom_words(len(names), word)
    bloom, buckets, chain = [0] * words, [0] * count, []
    hashes = [gnu_hash(name) for name in names]
    for position, value in enumerate(hashes):
        bloom[value // bits % words] |= 1 << value % bits | 1 << (value >> BLOOM_SHIFT) % bits
        bucket = value % count
        buckets[bucket] = buckets[bucket] or first + position
        last = position + 1 == len(names) or hashes[position + 1] % count != bucket
        chain.append(value & ~1 | last)
    return (
        struct.pack("<IIII", count, first, words, BLOOM_SHIFT)
        + struct.pack(f"<{words}{'Q' if word == 8 else 'I'}", *bloom)
        + struct.pack(f"<{count}I{len(chain)}I", *buckets, *chain)
    )


def sysv_hash_table(names: Sequence[str]) -> bytes:
    """names: of all dynamic symbols but number 0."""
    count = sysv_buckets_for(len(names))
    buckets, chain = [0] * count, [0] * (len(names) + 1)
    for number, name in enumerate(names, 1):
        bucket = sysv_hash(name) % count
        chain[number], buckets[bucket] = buckets[bucket], number
    return struct.pack(f"<{2 + count + len(chain)}I", count, len(chain), *buckets, *chain)


class VersionNode(NamedTuple):
    """A version that an output defines: its name, its index in .gnu.version, the versions it contains."""

    name: str
    number: int
    parents: tuple[str, ...] = ()
    weak: bool = False  # a node of the script that says nothing of any symbol (VER_FLG_WEAK)


def version_definitions(soname: str, nodes: Sequence[VersionNode], string: Callable[[str], int]) -> bytes:
    """.gnu.version_d: the base, which is the output itself, then the nodes. string: gives offsets in .dynstr."""
    own = [(node.name, node.number, VER_FLG_WEAK * node.weak, node.parents) for node in nodes]
    rows = [(soname, 1, VER_FLG_BASE, ()), *own]
    result = bytearray()
    for number, (name, index, flags, parents) in enumerate(rows):
        names = (name, *parents)
        size = 20 + 8 * len(names)
        result += struct.pack(
            "<HHHHIII", 1, flags, index, len(names), sysv_hash(name), 20, 0 if number + 1 == len(rows) else size
        )
        for position, text in enumerate(names):
            result += struct.pack("<II", string(text), 0 if position + 1 == len(names) else 8)
    return bytes(result)


def version_needs(libraries: Sequence[tuple[str, Sequence[tuple[str, int]]]], string: Callable[[str], int]) -> bytes:
    """.gnu.version_r. libraries: SONAME, and (version, index) of what is needed of each."""
    result = bytearray()
    for number, (soname, versions) in enumerate(libraries):
        size = 16 + 16 * len(versions)
        following = 0 if number + 1 == len(libraries) else size
        result += struct.pack("<HHIII", 1, len(versions), string(soname), 16, following)
        for position, (version, index) in enumerate(versions):
            after = 0 if position + 1 == len(versions) else 16
            result += struct.pack("<IHHII", sysv_hash(version), 0, index, string(version), after)
    return bytes(result)
