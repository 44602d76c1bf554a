"""The notes: round trips, damage, and the C structures of runtime/include/uselib.h over the same bytes."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.paths import ROOT
from support.tools import needs
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.formats import notes
from uselib.linker.image import (
    EXEC,
    READ,
    WRITE,
    Binding,
    ExportKind,
    Identity,
    LibraryHeader,
    Machine,
    Segment,
    Version,
)

HEADER = ROOT / "runtime" / "include" / "uselib.h"

u16, u32, u64 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, (1 << 64) - 1)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
versions = st.builds(Version, u16, u16, u16)
identities = st.builds(Identity, names, versions, u64, u64, st.binary(min_size=32, max_size=32), u32)
segments = st.builds(
    Segment, u64, u64, u64, u64, st.sampled_from([READ, READ | EXEC, READ | WRITE, READ | WRITE | EXEC])
)
headers = st.builds(
    LibraryHeader,
    st.sampled_from(Machine),
    identities,
    u64,
    u64,
    u32,
    st.tuples(u64, u32),
    st.tuples(u64, u32),
    st.lists(segments, max_size=4).map(tuple),
    st.lists(names, max_size=4).map(tuple),
)
bindings = st.lists(st.builds(Binding, names, names, u64, st.sampled_from(ExportKind)), max_size=20).map(tuple)


def descriptor(note: bytes, kind: int) -> bytes:
    (only,) = notes.notes(note, "t")
    assert (only.name, only.type) == (notes.NOTE_NAME, kind)
    assert only.descriptor == note[only.offset : only.offset + len(only.descriptor)]
    return only.descriptor


@given(headers)
def test_library(header: LibraryHeader) -> None:
    assert notes.decode_library(descriptor(notes.encode_library(header), notes.NT_LIBRARY), "t") == header


@given(identities, st.sampled_from(Machine))
def test_needs(identity: Identity, machine: Machine) -> None:
    assert notes.decode_needs(descriptor(notes.encode_needs(identity, machine), notes.NT_NEEDS), "t") == identity


@given(bindings)
def test_bindings(rows: tuple[Binding, ...]) -> None:
    assert notes.decode_bindings(descriptor(notes.encode_bindings(rows), notes.NT_BINDINGS), "t") == rows


DECODERS = [notes.decode_library, notes.decode_needs, notes.decode_bindings]


@settings(max_examples=200)
@given(st.data())
def test_damage(data: st.DataObject) -> None:
    """Cut or changed descriptors: a value or a ToolError, nothing else."""
    kind = data.draw(st.integers(0, 2))
    if kind == 0:
        raw = notes.encode_library(data.draw(headers))
    elif kind == 1:
        raw = notes.encode_needs(data.draw(identities), Machine.I386)
    else:
        raw = notes.encode_bindings(data.draw(bindings))
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        for note in notes.notes(bytes(damaged), "t"):
            DECODERS[kind](note.descriptor, "t")
    except ToolError as failure:
        assert str(failure).startswith("t: ")


@given(st.binary(max_size=300))
def test_garbage(raw: bytes) -> None:
    for decode in DECODERS:
        with contextlib.suppress(ToolError):
            decode(raw, "t")


PROGRAM = r"""
#include <stdio.h>
#include "uselib.h"
int main(int argc, char **argv) {
  static _Alignas(8) char raw[4096];
  FILE *in = fopen(argv[1], "rb");
  fread(raw, 1, sizeof raw, in);
  struct uselib_library *l = (void *)raw;
  struct uselib_needs *n = (void *)(raw + 2048);
  printf("%u %u.%u.%u %u %#llx %#llx %#llx %#llx %u %u\n", l->format, l->major, l->minor, l->patch, l->machine, l->base,
         l->size, l->bootstrap, l->jump_table, l->slot_size, l->slot_count);
  printf("%#llx %#llx %u %u %u %s %s %u %u\n", l->init_array, l->fini_array, l->init_count, l->fini_count,
         l->segment_count, raw + l->name_offset, raw + l->dependency_offset, l->dependency_count, l->digest[31]);
  for (unsigned i = 0; i < l->segment_count; i++)
    printf("%#llx %#llx %#llx %#llx %u\n", l->segments[i].address, l->segments[i].offset, l->segments[i].file_size,
           l->segments[i].memory_size, l->segments[i].prot);
  printf("%u %u %u.%u.%u %u %#llx %#llx %u %s\n", n->format, n->slot_count, n->major, n->minor, n->patch, n->machine,
         n->base, n->size, n->digest[31], n->name);
}
"""


@needs("gcc")
def test_c_structures(tmp_path: Path) -> None:
    (tmp_path / "p.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-w", "-I", str(HEADER.parent), "p.c", "-o", "p"], cwd=tmp_path, check=True)
    who = Identity("libx_s", Version(4, 3, 2), 0x60000000, 0x70000, bytes(range(32)), 99)
    header = LibraryHeader(
        Machine.X86_64,
        who,
        0x60000123,
        0x60000400,
        8,
        (0x60050000, 3),
        (0x60050018, 2),
        (Segment(0x60000000, 0x2000, 0, 0x1FFF, READ | EXEC), Segment(0x60050000, 0x20000, 0x50000, 5, READ | WRITE)),
        ("libc_s.1.0.0",),
    )
    raw = descriptor(notes.encode_library(header), notes.NT_LIBRARY).ljust(2048, b"\0")
    raw += descriptor(notes.encode_needs(who, Machine.I386), notes.NT_NEEDS)
    (tmp_path / "raw").write_bytes(raw)
    shown = subprocess.run([str(tmp_path / "p"), "raw"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [
        "1 4.3.2 62 0x60000000 0x70000 0x60000123 0x60000400 8 99",
        "0x60050000 0x60050018 3 2 2 libx_s libc_s.1.0.0 1 31",
        "0x60000000 0 0x1fff 0x2000 5",
        "0x60050000 0x50000 0x5 0x20000 3",
        "1 99 4.3.2 3 0x60000000 0x70000 31 libx_s",
    ]


def test_a_second_bootstrap() -> None:
    who = Identity("libc_s", Version(1, 0, 0), 0x60000000, 0x70000, bytes(32), 3)
    header = LibraryHeader(Machine.I386, who, 0x60000123, 0, 8, (0, 0), (0, 0), (), (), 0x60000234)
    raw = descriptor(notes.encode_library(header), notes.NT_LIBRARY)
    assert raw[4:8] == b"\x34\x02\0\0"
    assert notes.decode_library(raw, "x") == header


def test_the_mark_of_a_scheme() -> None:
    assert notes.decode_scheme(struct.pack("<IIQ", 1, 5, 0x401000), "x") == (5, 0x401000)
    for damaged in (b"", bytes(15), struct.pack("<IIQ", 2, 5, 0)):
        with pytest.raises(FormatError):
            notes.decode_scheme(damaged, "x")
