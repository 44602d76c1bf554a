"""linker/formats/elf.py and elf_image.py: against pyelftools on real files, and on damaged ones."""

from __future__ import annotations

import io
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tools import needs
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.formats import elf
from uselib.linker.formats.elf_image import read_image
from uselib.linker.link import LinkJob, link
from uselib.linker.options import InputArgument, Options
from uselib.linker.outputs.program import ProgramOutput
from uselib.linker.passes.inputs import read_object

pytestmark = needs("gcc")

SOURCE = """
extern int outside(int); extern __thread int t; static __thread int u = 3;
static int hidden = 4; int common[4]; const char *text = "some text"; extern void weak(void) __attribute__((weak));
int function(int n) { switch (n) { case 0: return 1; case 1: return 7; case 2: return 5; case 3: return hidden++; case 4: weak(); }
  return outside(n + t + u++ + (int)(long)text); }
int outside(int n) { return n; } __thread int t = 4; void _start(void) { function(1); for (;;); }
"""


@cache
def compiled(machine: str) -> bytes:
    with TemporaryDirectory() as directory:
        flags = {"i386": "-m32", "x86_64": "-m64"}[machine]
        path = Path(directory) / "x.o"
        command = [
            "gcc",
            flags,
            "-O2",
            "-g",
            "-fPIC",
            "-fno-stack-protector",
            "-ffunction-sections",
            "-c",
            "-xc",
            "-",
            "-o",
            str(path),
        ]
        subprocess.run(command, input=SOURCE.encode(), check=True)
        return path.read_bytes()


@cache
def linked(machine: str) -> bytes:
    with TemporaryDirectory() as directory:
        path, output = Path(directory) / "x.o", Path(directory) / "x"
        path.write_bytes(compiled(machine))
        assert main(["ld", str(path), "-o", str(output), "--build-id"]) == 0
        return output.read_bytes()


@pytest.mark.parametrize("machine", ["i386", "x86_64"])
def test_objects_read_as_pyelftools_reads_them(machine: str) -> None:
    data = compiled(machine)
    ours = elf.ElfFile(memoryview(data), "x.o")
    theirs = ELFFile(io.BytesIO(data))
    assert len(ours.sections) == theirs.num_sections()
    for index, section in enumerate(theirs.iter_sections()):
        assert ours.names[ours.sections[index].name] == section.name
        header = section.header
        assert ours.sections[index][1:] == (
            ours.sections[index].type,
            header.sh_flags,
            header.sh_addr,
            header.sh_offset,
            header.sh_size,
            header.sh_link,
            header.sh_info,
            header.sh_addralign,
            header.sh_entsize,
        )
        if header.sh_type == "SHT_SYMTAB":
            names = ours.strings(header.sh_link)
            got = [(names[n], i, v, s) for n, i, _, _, v, s in ours.symbols(index)]
            wanted = [(s.entry.st_name, s.entry.st_value, s.entry.st_size) for s in section.iter_symbols()]
            assert [(v, s) for _, _, v, s in got] == [(v, s) for _, v, s in wanted]
            assert [names[n] for n, _, _ in wanted] == [name for name, *_ in got]
        if isinstance(section, RelocationSection):
            wanted_relocations = [
                (r["r_offset"], r["r_info_type"], r["r_info_sym"], r["r_addend"] if section.is_RELA() else None)
                for r in section.iter_relocations()
            ]
            assert list(ours.relocations(index)) == wanted_relocations


@pytest.mark.parametrize("machine", ["i386", "x86_64"])
def test_images_read_as_pyelftools_reads_them(machine: str) -> None:
    data = linked(machine)
    image = read_image(data, "x")
    theirs = ELFFile(io.BytesIO(data))
    assert image.machine.label == machine
    assert image.entry == theirs.header.e_entry
    loads = [s.header for s in theirs.iter_segments() if s.header.p_type == "PT_LOAD"]
    assert [(s.address, s.memory_size, s.offset, s.file_size, s.flags) for s in image.segments] == [
        (h.p_vaddr, h.p_memsz, h.p_offset, h.p_filesz, h.p_flags) for h in loads
    ]
    assert not any(s.flags & 3 == 3 for s in image.segments)  # W^X
    wanted = {s.name: s.entry.st_value for s in theirs.get_section_by_name(".symtab").iter_symbols()}
    assert {s.name: s.address for s in image.symbols}.items() <= wanted.items()
    assert {"function", "common", "_start"} <= {s.name for s in image.symbols}
    assert image.tls is not None and image.tls.memory_size == 8
    assert image.program_headers[0] == image.segments[0].address + theirs.header.e_phoff
    assert not image.stack_executable


def damage(sample: bytes, data: st.DataObject) -> bytes:
    broken = bytearray(sample)
    # headers, section table and the rest: half of the hits where the structure is
    interesting = [*range(64), *range(max(0, len(broken) - 64 * 30), len(broken))]
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.one_of(st.sampled_from(interesting), st.integers(0, len(broken) - 1)))
        broken[at] = data.draw(st.one_of(st.sampled_from([0, 255, 0x7F, 0x80]), st.integers(0, 255)))
    if data.draw(st.booleans()):
        broken = broken[: data.draw(st.integers(0, len(broken)))]
    return bytes(broken)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["i386", "x86_64"]), st.data())
def test_damaged_objects_give_tool_errors(machine: str, data: st.DataObject) -> None:
    broken = damage(compiled(machine), data)
    try:
        read_object(memoryview(broken), "x.o")
    except ToolError as failure:
        assert "x.o" in str(failure)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["i386", "x86_64"]), st.data())
def test_links_of_damaged_objects_give_tool_errors(machine: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "x.o"
        path.write_bytes(damage(compiled(machine), data))
        options = Options(inputs=(InputArgument(str(path)),), gc_sections=data.draw(st.booleans()), eh_frame_hdr=True)
        try:
            link(LinkJob(options, ProgramOutput()))
        except ToolError as failure:
            assert str(failure)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["i386", "x86_64"]), st.data())
def test_damaged_images_give_tool_errors(machine: str, data: st.DataObject) -> None:
    broken = damage(linked(machine), data)
    try:
        read_image(broken, "x")
    except ToolError as failure:
        assert "x" in str(failure)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ELF file"),
        (b"\x7fELF", "truncated"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0" + bytes(60), "neither i386 nor x86-64"),
        (b"\x7fELF\x01\x02\x01" + bytes(60), "big-endian"),
    ],
)
def test_other_files(data: bytes, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        read_image(data, "x")


def test_objects_and_dynamic_files_are_no_images() -> None:
    with pytest.raises(ToolError, match="link it first"):
        read_image(compiled("x86_64"), "x")
    with pytest.raises(ToolError, match="-no-pie"):
        read_image(Path("/bin/true").resolve().read_bytes(), "/bin/true")
