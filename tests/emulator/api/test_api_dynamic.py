"""Dynamic programs, PIE and static PIE from Python: names in all objects that are mapped, at the addresses where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dynamic import SOURCES, build
from uselib import Exit, Program, Stop, SymbolError

C_LIBRARY = {"pie": "libc.so.6", "no-pie": "libc.so.6", "musl": "libc.so", "i386-pie": "libc.so.6"}
FAST = ("pie", "static-pie")
each_kind = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in (*C_LIBRARY, "static-pie")],
)


@each_kind
def test_names_and_breakpoints(kind: str, tmp_path: Path) -> None:
    path = build(kind, SOURCES / "debugged.c", tmp_path / "debugged", "-pthread")
    library = C_LIBRARY.get(kind, "")
    with Program(path, root="/") as program:
        later = program.breakpoint(f"{library}:qsort" if library else "qsort")
        assert later.pending == (
            library not in ("", "libc.so")
        )  # musl's C library is its dynamic linker, which exec has mapped
        stop = program.run_to("main")
        assert isinstance(stop, Stop) and (stop.symbol, stop.library) == ("main", "")
        assert str(program.place(program.address("main"))) == "main in debugged"
        stop = program.resume()
        assert isinstance(stop, Stop) and stop.library == library and stop.symbol.lstrip("_") in ("qsort", "GI_qsort")
        assert stop.argument(1) == 3
        caller = program.place(stop.caller)
        assert caller is not None and caller.symbol == "main"
        compare = program.breakpoint("compare")
        program.memory.write_int("calls", 40)
        assert isinstance(program.resume(), Stop) and program.registers["pc"] == program.address("compare")
        compare.remove()
        ended = program.run()
        assert isinstance(ended, Exit) and (ended.code, ended.stdout) == (0, b"1 2 3\n")


@each_kind
def test_replaced_function_of_a_library(kind: str, tmp_path: Path) -> None:
    path = build(kind, SOURCES / "debugged.c", tmp_path / "debugged", "-pthread")
    with Program(path, root="/") as program:
        replaced = program.replace("qsort", lambda base, count, size, compare: None)
        ended = program.run()
    assert (replaced.calls, ended.stdout, ended.code) == (1, b"3 1 2\n", 1)


def test_objects_of_dlopen_and_names_that_are_nowhere(tmp_path: Path) -> None:
    library = build("pie", SOURCES / "bound_library.c", tmp_path / "libbound.so", "-shared", "-fPIC")
    plugin = build("pie", SOURCES / "bound_library.c", tmp_path / "plugin.so", "-shared", "-fPIC", "-DPLUGIN")
    path = build("pie", SOURCES / "bound.c", tmp_path / "bound", str(library), f"-Wl,-rpath,{tmp_path}")
    with Program(path, plugin, root="/") as program:
        program.breakpoint("in_plugin")
        stop = program.resume()
        assert isinstance(stop, Stop) and (stop.symbol, stop.library, stop.argument(0)) == ("in_plugin", "plugin.so", 6)
        with pytest.raises(SymbolError, match=r"no symbol `nothing` in plugin\.so"):
            program.address("plugin.so:nothing")
        with pytest.raises(SymbolError, match=r"libbound\.so"):
            program.address("nothing")
        assert program.run().code == 0


def test_programs_with_threads_one_after_the_other_and_in_turns(tmp_path: Path) -> None:
    """The time slices of one stop no other, also not one that gets its memory."""
    path = build("pie", SOURCES / "debugged.c", tmp_path / "debugged", "-pthread")
    single = build("pie", SOURCES / "start.c", tmp_path / "start")
    expected = Program(single, root="/").run()
    with Program(path, root="/") as one, Program(path, root="/") as two:
        for program in (one, two):
            program.breakpoint("compare").remove()
            program.run_to("compare")
        one.run_to("printf")
        assert (two.run().stdout, one.run().stdout) == (b"1 2 3\n", b"1 2 3\n")
    for _ in range(3):
        with Program(single, root="/") as program:
            assert program.run() == expected
