"""Headers: the layout of structures, against the compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.c_types import LAYOUTS, read_header
from support.mkshlib import FLAG
from support.tools import MACHINES, needs
from uselib.abi.static.headers.public_interface import HeaderFacts
from uselib.linker.c_types.types import (
    Enumeration,
    Record,
)
from uselib.linker.image import Machine

needs_gcc = needs("gcc")


# -- layout, against the compiler --------------------------------------------------------------------------------------


@needs_gcc
def test_layouts_are_the_compilers(machine: Machine, tmp_path: Path) -> None:
    found = read_header(tmp_path, LAYOUTS, machine)
    assert not found.unknown
    checks = checked_by_compiler(tmp_path, found, machine)
    assert checks > 100


def checked_by_compiler(tmp_path: Path, found: HeaderFacts, machine: Machine) -> int:
    """Every size, alignment, offset and value as a static assertion. Gives how many; bit-fields are compared with DWARF's."""
    lines = ['#include "lib.h"', "#include <stddef.h>"]
    for row in found.types.rows:
        if isinstance(row, Record) and row.name and row.size is not None and row.name in found.record_names:
            name = f"{row.kind} {row.name}"
            lines.append(f'_Static_assert(sizeof({name}) == {row.size}, "size of {name}: {row.size}");')
            lines.append(
                f'_Static_assert(_Alignof({name}) == {row.alignment}, "alignment of {name}: {row.alignment}");'
            )
            for member in row.members:
                if member.name and member.width is None:
                    words = f'"{name}.{member.name}: {member.offset // 8}"'
                    lines.append(f"_Static_assert(offsetof({name}, {member.name}) == {member.offset // 8}, {words});")
                elif member.name:
                    lines.append(bit_check(name, row, member.name, member.offset, member.width or 0))
        elif isinstance(row, Enumeration) and row.size is not None:
            if row.name:
                lines.append(f'_Static_assert(sizeof(enum {row.name}) == {row.size}, "{row.name}");')
            lines += [f'_Static_assert({name} == {value}, "{name}");' for name, value in row.values]
    lines.append(
        "int main(void) { "
        + " ".join(f"if (check{n}()) return {n % 200 + 1};" for n in bit_numbers(lines))
        + " return 0; }"
    )
    source = tmp_path / "check.c"
    source.write_text("\n".join(lines))
    program = tmp_path / "check"
    flags = [FLAG[machine], "-w", "-std=gnu17", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector"]
    entry = '\nvoid _start(void) { int r = main(); __asm__ volatile ("int $0x80" :: "a"(1), "b"(r)); for (;;); }'
    source.write_text(source.read_text() + entry)
    done = subprocess.run(["gcc", *flags, str(source), "-o", str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(program)]).returncode == 0
    return sum("assert" in line for line in lines)


def bit_check(name: str, row: Record, member: str, offset: int, width: int) -> str:
    """A function that sets all bits of a bit-field and looks which ones are set."""
    bit_check.count = getattr(bit_check, "count", 0) + 1  # type: ignore[attr-defined]
    number = bit_check.count  # type: ignore[attr-defined]
    return (
        f"static int check{number}(void) {{ static union {{ {name} v; unsigned char b[{row.size}]; }} u; u.v.{member} = -1; "
        f"for (int i = 0; i < {8 * (row.size or 0)}; i++) "
        f"if (((u.b[i / 8] >> i % 8) & 1) != (i >= {offset} && i < {offset + width})) return 1; return 0; }}"
    )


def bit_numbers(lines: list[str]) -> list[int]:
    return [
        int(line.split("(")[0].removeprefix("static int check"))
        for line in lines
        if line.startswith("static int check")
    ]


MEMBER_TYPES = ["char", "short", "int", "long", "long long", "double", "float", "char *", "struct inner", "long double"]
BIT_TYPES = {"char": 8, "short": 16, "int": 32, "unsigned": 32, "long long": 64}


@st.composite
def structures(draw: st.DrawFn) -> str:
    members = []
    for number in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            kind = draw(st.sampled_from(sorted(BIT_TYPES)))
            width = draw(st.integers(0, BIT_TYPES[kind]))
            members.append(f"{kind} {f'm{number}' if width else ''} : {width};")
        else:
            kind = draw(st.sampled_from(MEMBER_TYPES))
            suffix = draw(st.sampled_from(["", "", "[3]", " __attribute__((aligned(8)))", " __attribute__((packed))"]))
            members.append(f"{kind} m{number}{suffix};")
    attribute = draw(st.sampled_from(["", "", "__attribute__((packed))", "__attribute__((aligned(16)))"]))
    pack = draw(st.sampled_from(["", "", "1", "2", "4"]))
    kind = draw(st.sampled_from(["struct", "struct", "union"]))
    text = f"{kind} s {{ {' '.join(members)} }} {attribute};"
    return f"#pragma pack(push, {pack})\n{text}\n#pragma pack(pop)" if pack else text


@needs_gcc
@settings(max_examples=60, deadline=None)
@given(text=structures(), machine=st.sampled_from(MACHINES))
def test_random_structures_are_laid_out_as_by_the_compiler(
    tmp_path_factory: pytest.TempPathFactory, text: str, machine: Machine
) -> None:
    folder = tmp_path_factory.mktemp("layout")
    found = read_header(folder, f"struct inner {{ char a; int b; }};\n{text}\n", machine)
    checked_by_compiler(folder, found, machine)
