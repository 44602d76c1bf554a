"""`ld -m i386linux` and `mkshlib --format aout`: programs and libraries of our own making, with our own start-up code."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from support.aout import (
    FUNCS,
    LIBRARY,
    PARAMS,
    PRINT,
    VARS,
    assemble,
    changed,
    compile_c,
    library,
    link_counter,
    program,
    refused,
    run_below_root,
)
from support.command import uselib
from uselib.linker.errors import LinkError, ToolError
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout import stub as aout_stub


@pytest.mark.parametrize("options", [(), ("-N",), ("--qmagic",)], ids=["ZMAGIC", "OMAGIC", "QMAGIC"])
def test_a_program_runs_with_the_library(aout_kit: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    text = "int main(int c, char **v) { count(); step = 5; count(); put(total()); put(history[1]); put(name[0]); put(v[1][0]); return c; }"
    result = run_below_root(link_counter(aout_kit, tmp_path, "p", text, *options), "x")
    assert (result.stdout, result.stderr, result.returncode) == ("507\n2\n99\n120\n", "", 2)


def test_the_programs_variable_and_function_replace_the_librarys(aout_kit: Path, tmp_path: Path) -> None:
    """In the library's code (step), in its data (where = &step), and for its calls of its own function."""
    text = "int step = 10; int double_it(int x) { return 6 * x; } int main() { count(); put(total()); put(double_it(1)); return 0; }"
    result = run_below_root(link_counter(aout_kit, tmp_path, "p", text))
    assert (result.stdout, result.stderr, result.returncode) == (f"{30 + 1000}\n6\n", "", 0)


def test_a_common_variable_replaces_the_librarys_too(aout_kit: Path, tmp_path: Path) -> None:
    result = run_below_root(
        link_counter(aout_kit, tmp_path, "p", "int step; int main() { step = 7; put(total()); return 0; }", "-N")
    )
    assert (result.stdout, result.returncode) == ("700\n", 0)


def test_library_file(aout_kit: Path) -> None:
    file = aout.decode((aout_kit / "libcount.so.1.2.3").read_bytes(), "libcount")
    header = file.header
    assert (header.magic, header.entry, header.text) == (aout.Magic.ZMAGIC, 0x61000000, 0x7000)
    assert file.text[:4] == (1 << 16 | 203).to_bytes(4, "little")
    slots = [file.text[8 * n : 8 * n + 8] for n in range(1, 7)]
    assert all(slot[0] == 0xE9 and slot[5:] == bytes(3) for slot in slots[:5]) and slots[5] == bytes(8)
    assert file.text[0x1000:0x1008] == b"counter\0"
    conflict, magic, *cells = struct.unpack_from("<6I", file.data)
    assert magic == 0xFEEB1ED3 and cells == [0x61001000, 0x61008000, 0, 0x61008008]
    assert 0x61008010 < conflict < 0x61009000
    stub = aout_stub.read_archive((aout_kit / "libcount.sa").read_bytes(), "libcount.sa")
    assert (stub.name, stub.version_text, stub.base) == ("/libcount.so.1", "DLL Jump 1.2pl3", 0x61000000)
    assert stub.functions == {"count": 0x61000008, "total": 0x61000018, "double_it": 0x61000020}
    assert stub.data == {"name": 0x61001000, "step": 0x61008000, "history": 0x61008008}
    assert stub.cells == {"name": 0x61007008, "step": 0x6100700C, "history": 0x61007014}


def test_trace_takes_names_from_the_stub_beside(aout_kit: Path, tmp_path: Path) -> None:
    link_counter(aout_kit, tmp_path, "p", "int main() { return count(); }")
    (tmp_path / "lib" / "libcount.sa").write_bytes((aout_kit / "libcount.sa").read_bytes())
    result = uselib("trace", "--root", tmp_path, "/p")
    assert (
        "libcount:count #1" in result.stderr and "libcount:double_it #4" in result.stderr
    )  # its own call goes through the slot


def test_trace_takes_names_from_a_control_file(aout_kit: Path, tmp_path: Path) -> None:
    link_counter(aout_kit, tmp_path, "p", "int main() { return count(); }")
    (tmp_path / "libcount").mkdir()
    (tmp_path / "libcount" / "jump.funcs").write_text(FUNCS)
    result = uselib("trace", "--root", tmp_path, "--stubs", tmp_path / "libcount" / "jump.funcs", "/p")
    assert "libcount:count #1" in result.stderr and "libcount:double_it #4" in result.stderr
    (tmp_path / "bad").write_text("nothing\n")
    result = uselib("trace", "--root", tmp_path, "--stubs", tmp_path / "bad", "/p")
    assert result.returncode == 1 and "bad:1: is not `SIZE TYPE SYMBOL LIBRARY OBJECT`" in result.stderr


WORD = 1024  # of the version, in the file
MAGIC = 1024 + 0x7000 + 4


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (WORD, 1 << 16 | 202, "Incompatible version."),  # a lower patch level: refused, whatever the textbook says
        (WORD, 2 << 16 | 203, "Incompatible version."),
        (WORD, 1 << 16 | 100, "Incompatible version."),
        (0, 0x00640107, "Exec format error."),
        (24, 8, "Exec format error."),
    ],
)
def test_start_up_refuses(aout_kit: Path, tmp_path: Path, offset: int, value: int, reason: str) -> None:
    path = link_counter(aout_kit, tmp_path, "p", "int main() { return 0 * total(); }")
    changed(tmp_path / "lib" / "libcount.so.1", offset, value)
    result = run_below_root(path)
    assert (result.returncode, result.stderr) == (128, f"/p: can't load library '/lib/libcount.so.1'\n\t{reason}\n")


def test_a_higher_minor_version_is_accepted(aout_kit: Path, tmp_path: Path) -> None:
    path = link_counter(aout_kit, tmp_path, "p", "int main() { return total(); }")
    changed(tmp_path / "lib" / "libcount.so.1", WORD, 1 << 16 | 900)
    assert run_below_root(path).returncode == 200


def test_no_library_and_no_permission(aout_kit: Path, tmp_path: Path) -> None:
    path = link_counter(aout_kit, tmp_path, "p", "int main() { return 0 * total(); }")
    target = tmp_path / "lib" / "libcount.so.1"
    target.unlink()
    assert run_below_root(path).stderr == "/p: can't load library '/libcount.so.1'\n\tNo such library.\n"
    target.mkdir()
    assert run_below_root(path).stderr == "/p: can't load library '/lib/libcount.so.1'\n\tPermission denied.\n"


def test_corrupt_fixup_table(aout_kit: Path, tmp_path: Path) -> None:
    path = link_counter(aout_kit, tmp_path, "p", "int main() { return 0 * total(); }")
    changed(tmp_path / "lib" / "libcount.so.1", MAGIC, 0xFEEB1ED7)
    result = run_below_root(path)
    assert (result.returncode, result.stderr) == (128, "Corrupt fixup table.\n")


def test_a_retired_slot_prints_its_message(aout_kit: Path, tmp_path: Path) -> None:
    result = run_below_root(
        link_counter(aout_kit, tmp_path, "p", "int main() { total(); return ((int (*)(void))0x61000010)(); }")
    )
    assert (result.returncode, result.stderr) == (
        127,
        "/libcount: a function was called that this version does not have any more\n",
    )


def test_ldd_mode(aout_kit: Path, tmp_path: Path) -> None:
    """A program started with argc 0 lists its libraries."""
    link_counter(aout_kit, tmp_path, "p", "int main() { return 0 * total(); }")
    # execve("/p", {0}, {0})
    code = assemble(
        "mov eax, 11; mov ebx, 0x800; mov ecx, 0x900; mov edx, 0x900; int 0x80; mov ebx, 1; mov eax, 1; int 0x80"
    )
    starter = program(tmp_path / "starter", code.ljust(0x800, b"\0") + b"/p\0")
    result = run_below_root(starter)
    assert (result.stdout, result.returncode) == ("\t/libcount.so.1 (DLL Jump 1.2pl3)\n", 0)


# -- what is refused --------------------------------------------------------------------------------------------------------


def test_control_files_that_objects_contradict(tmp_path: Path) -> None:
    assert "_gone: no object defines it; write U to retire the slot" in refused(
        tmp_path, funcs=FUNCS + "00000000 T _gone libcount x\n"
    )
    assert "_history: has 0x8 bytes, and jump.vars gives it room for 0x4" in refused(
        tmp_path, vars=VARS.replace("00000008 D _history", "00000004 D _history")
    )
    assert "5 slots need 0x30 bytes, Jump keeps 0x20" in refused(tmp_path, params=PARAMS.replace("0x1000", "0x20", 1))
    assert "Name and Version are not given" in refused(tmp_path, params="\n".join(PARAMS.splitlines()[1:-1]))
    assert "jump.params:7: `Colour=red` sets none of Name, Text" in refused(tmp_path, params=PARAMS + "Colour=red\n")
    assert "_count: stands on lines 1 and 6" in refused(tmp_path, funcs=FUNCS + "00000000 T _count libcount x\n")
    assert "the text has" in refused(
        tmp_path, LIBRARY + "const char big[40000] = {1};"
    ) or "there is room for" in refused(tmp_path, LIBRARY + "const char big[40000] = {1};")


def test_a_section_with_two_variables(tmp_path: Path) -> None:
    text = LIBRARY.replace("int step = 2, history[2], *where = &step;", "") + (
        'struct { int s; int *w; } both __attribute__((section(".data.x"))) = {2};'
        '__asm__(".data; .globl _step, _history, _where; _step: .long 2; _history: .long 0, 0; _where: .long _step");'
        "extern int step, history[2], *where;"
    )
    assert "_history: shares .data with other data; compile with -fdata-sections" in refused(
        tmp_path, "extern int step, history[2], *where;" + text
    )


def test_ld_errors(aout_kit: Path, tmp_path: Path) -> None:
    other = library(tmp_path / "lib", 0x60000000, [b"\xc3"])
    result = uselib("ld", "-m", "i386linux", "-o", tmp_path / "p", aout_kit / "crt0.o", other)
    assert result.returncode == 1 and "is linked already, so it is not an object" in result.stderr
    result = uselib("ld", "-m", "i386linux", "-o", tmp_path / "p", aout_kit / "crt0.o")
    assert result.returncode == 1 and "undefined symbol: _main" in result.stderr
    result = uselib("ld", "-N", "-o", tmp_path / "p", aout_kit / "crt0.o")
    assert result.returncode == 2 and "segments are kept apart" in result.stderr
    needs = compile_c(
        tmp_path, "needs", 'extern int x __asm__("__NEEDS_SHRLIB_libfoo_4"); int main() { return (int)&x; }'
    )
    result = uselib("ld", "-m", "i386linux", "-o", tmp_path / "p", aout_kit / "crt0.o", needs)
    assert "the output requires the shared library libfoo_4: name its stub library" in result.stderr
    assert not (tmp_path / "p").exists()


def test_objects_of_both_formats(aout_kit: Path, tmp_path: Path) -> None:
    """An a.out object with every kind of relocation, linked with ELF ones."""
    # text: call _count; mov eax,[_value]; add eax,[own data]; jmp over; 16-bit and 8-bit fields; ret
    text = b"\xe8" + struct.pack("<i", -5) + b"\xa1\0\0\0\0" + b"\x03\x05" + struct.pack("<I", 20) + b"\xc3\0\0\0"
    file = aout.Aout(
        aout.ExecHeader(aout.Magic.OMAGIC, 0, 0, bss=4),
        text,
        struct.pack("<I", 1000),
        (
            aout.AoutRelocation(1, 1, True, relative=True),
            aout.AoutRelocation(6, 2, True),
            aout.AoutRelocation(12, aout.N_DATA, False),
        ),
        (),
        (
            aout.AoutSymbol("_sum", aout.N_TEXT | aout.N_EXT, 0),
            aout.AoutSymbol("_count", aout.N_EXT),
            aout.AoutSymbol("_value", aout.N_EXT, 4),
            aout.AoutSymbol("static", aout.N_DATA, 20),
            aout.AoutSymbol("stab", 0x24, 0),
        ),
    )
    path = tmp_path / "sum.o"
    path.write_bytes(aout.encode(file))
    main = compile_c(
        tmp_path, "main", PRINT + "extern int value; int sum(void); int main() { value = 30; put(sum()); return 0; }"
    )
    result = uselib(
        "ld", "-m", "i386linux", "-o", tmp_path / "p", aout_kit / "crt0.o", main, path, f"-L{aout_kit}", "-lcount"
    )
    assert (result.returncode, result.stderr) == (0, "")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libcount.so.1").write_bytes((aout_kit / "libcount.so.1.2.3").read_bytes())
    assert run_below_root(tmp_path / "p").stdout == "1030\n"


def test_damaged_objects_say_what_is_wrong() -> None:
    from uselib.linker.historical.aout.to_elf import to_elf

    def bad(*relocations: aout.AoutRelocation, symbols: tuple[aout.AoutSymbol, ...] = ()) -> str:
        file = aout.Aout(aout.ExecHeader(aout.Magic.OMAGIC, 0, 0), bytes(8), b"", relocations, (), symbols)
        with pytest.raises(ToolError) as caught:
            to_elf(aout.encode(file), "x.o")
        return str(caught.value)

    assert "x.o: has a relocation at 0x6 of .text that is damaged" in bad(aout.AoutRelocation(6, 4, False))
    assert "x.o: has a relocation against symbol 3 of 0" in bad(aout.AoutRelocation(0, 3, True))
    assert "x.o: has a relocation against section 12, which does not exist" in bad(aout.AoutRelocation(0, 12, False))
    assert "_x: is an indirect symbol, but no symbol follows" in bad(
        symbols=(aout.AoutSymbol("_x", aout.N_INDR | aout.N_EXT),)
    )
    assert issubclass(LinkError, ToolError)
