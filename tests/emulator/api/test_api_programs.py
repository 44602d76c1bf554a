"""The Python API: programs, traps, libraries, and what goes wrong."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from array import array
from pathlib import Path

import pytest

from support.command import environment
from support.programs import build, count_program, libc_library, source, sysroot
from uselib import Exit, GuestFault, Library, MemoryFault, Program, ProgramOver, Stop, SymbolError
from uselib.emulator.api import values
from uselib.linker.errors import ToolError


@pytest.fixture(scope="module")
def counting(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return count_program(tmp_path_factory.mktemp("api"), arch)


def test_import_is_cheap() -> None:
    code = "import sys, uselib; print(sorted(m for m in sys.modules if m.startswith('uselib.')))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_programs_take_turns(arch: str, counting: Path) -> None:
    root = sysroot(arch)
    with Program(counting, "a", sysroot=root) as one, Program(counting, "bb", sysroot=root) as two:
        for program in (one, two):
            program.breakpoint("use")
        first, second = one.resume(), two.resume()
        assert isinstance(first, Stop) and isinstance(second, Stop)
        assert (first.string(0), second.string(0)) == (b"a", b"bb")
        assert (two.run().stdout, one.run().stdout) == (b"counter 2 -\n", b"counter 1 -\n")


def test_traps_at_one_place(arch: str, counting: Path) -> None:
    """A breakpoint, a callback, the call stream and a replacement at one slot: each is seen once a call."""
    seen = []
    with Program(counting, "x", sysroot=sysroot(arch)) as program:
        quiet = program.breakpoint("strlen", lambda stop: seen.append(stop.string(0)))
        loud = program.breakpoint("strlen")
        assert quiet.pending and loud.pending
        replaced = program.replace("strlen", lambda text: 7)
        stops = [(stop.reason, stop.symbol, stop.slot > 0) for stop in program.calls("strlen")]
        assert sorted(stops) == [("breakpoint", "strlen", True)] * 2 + [("call", "strlen", True)] * 2
        assert (quiet.hits, loud.hits, replaced.calls, seen) == (2, 2, 2, [b"x", b"abc"])
        assert program.exit is not None and (program.exit.code, program.exit.stdout) == (14, b"counter 7 -\n")


def test_removed_traps_do_nothing(arch: str, counting: Path) -> None:
    with Program(counting, "x", "y", sysroot=sysroot(arch)) as program:
        program.run_to("main")
        here = program.breakpoint("use")
        assert isinstance(program.resume(), Stop)
        here.remove()
        here.remove()
        with program.replace("strlen", lambda text: 9), pytest.raises(ValueError, match="replaced already"):
            program.replace("strlen", "atoi")
        assert isinstance(program.resume(), Exit) and here.hits == 1
        assert program.exit is not None and program.exit.code == 5


def test_stepping_counts_like_the_cpu(arch: str, counting: Path) -> None:
    with Program(counting, sysroot=sysroot(arch)) as program:
        program.run_to("use")
        addresses = [program.step() for _ in range(12)]
        assert len(set(addresses)) > 8
        places = {str(program.place(address)).split("+")[0].split(" ")[0] for address in addresses}
        assert {"use", "strlen"} <= places  # through the slot
        assert program.run().code == 3


def test_exceptions_of_python_leave_the_program_at_rest(arch: str, counting: Path) -> None:
    def broken(text: int) -> int:
        raise KeyError("mine")

    with Program(counting, "x", sysroot=sysroot(arch)) as program:
        with program.replace("strlen", broken), pytest.raises(KeyError, match="mine"):
            program.run()
        assert program.place(program.registers["pc"]).symbol == "strlen"
        assert program.run().code == 4


def test_errors(arch: str, counting: Path, tmp_path: Path) -> None:
    root = sysroot(arch)
    with pytest.raises(ToolError, match="No such file"):
        Program(tmp_path / "none")
    with pytest.raises(ToolError, match="is not a target library"):
        Library(counting)
    with Program(counting, sysroot=root) as program:
        with pytest.raises(SymbolError, match="no symbol `none`"):
            program.address("none")
        program.run_to("main")
        with pytest.raises(SymbolError, match="no symbol `main` in libc_s"):
            program.address("libc_s:main")
        with pytest.raises(MemoryFault):
            program.memory.read(16, 4)
        with pytest.raises(MemoryFault):
            program.memory.write(16, b"1")
        with pytest.raises(KeyError):
            program.registers["r99"]
        with pytest.raises(TypeError, match="takes any number"):
            program.replace("strlen", lambda *words: 0)
        with pytest.raises(TypeError, match="cannot be passed to C"):
            program.call("strlen", {})
        with pytest.raises(ValueError, match="does not fit"):
            program.call("strlen", 1 << 70)
        with pytest.raises(ValueError, match="result `quad`"):
            program.call("strlen", b"", result="quad")
        assert isinstance(program.resume(), Exit)
        with pytest.raises(ProgramOver):
            program.resume()
        assert program.run() == program.exit
    with pytest.raises(ProgramOver):
        program.memory.read("counter", 4)


def test_a_fault(arch: str, tmp_path: Path) -> None:
    text = source(tmp_path / "f.c", "int main(void) { *(volatile int *)64 = 1; return 0; }")
    path = build(tmp_path / "f", arch, "uselib", text)
    with Program(path, sysroot=sysroot(arch)) as program:
        end = program.run()
        assert (end.signal, end.status) == (11, 139) and "write to unmapped address 0x40 at main+" in end.report
    with Program(path, sysroot=sysroot(arch)) as program, pytest.raises(GuestFault, match="0x40"):
        program.run(check=True)


def test_limits_and_forks(arch: str, tmp_path: Path) -> None:
    text = source(
        tmp_path / "f.c",
        r"""
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int status;
    if (argc > 1) for (;;) ;
    if (!fork()) _exit((int)strlen("four"));
    wait(&status);
    printf("%d\n", status >> 8);
    return 0;
}
""",
    )
    path = build(tmp_path / "f", arch, "uselib", "-fno-builtin", text)
    with Program(path, "loop", sysroot=sysroot(arch), max_instructions=200_000) as program:
        assert "max-instructions" in program.run().report
    with Program(path, sysroot=sysroot(arch)) as program:
        program.breakpoint("strlen")  # the child does not stop
        program.replace("strlen", lambda text: 6)
        assert program.run().stdout == b"6\n"


def test_doubles(arch: str, tmp_path: Path) -> None:
    """Both directions: a Python function as a double function, results on the x87 stack many times over."""
    with Library(libc_library(sysroot(arch))) as lib:
        assert [lib.call("strtod", f"{n}.5", None, result="double") for n in range(20)] == [n + 0.5 for n in range(20)]
        with lib.replace("atoi", lambda x, text: x * 2) as wrong:
            pass
        assert wrong.calls == 0

        def half(x: float, n: int) -> float:
            return x / n

        pointer = lib.callback(half)
        assert lib.callback(half) == pointer
        for _ in range(20):
            assert lib.call(pointer, 5.0, 2, result="double") == 2.5
        assert lib.call(lib.callback(lambda a: a), ctypes.c_int64(-5), result="int64") in (-5, 0xFFFF_FFFB)


def test_arguments_of_all_kinds(arch: str) -> None:
    with Library(libc_library(sysroot(arch))) as lib:
        out = bytearray(100)
        count = lib.call("snprintf", out, 100, "%d %d %d %d %d %d %s", 1, 2, -3, 4, 5, True, b"end")
        assert out[:count] == b"1 2 -3 4 5 1 end"
        count = lib.call("snprintf", out, 100, "%lld %.1f", ctypes.c_int64(-1 << 40), 2.5)
        assert out[:count] == b"-1099511627776 2.5"
        big = bytearray(b"x" * 3_000_000)
        assert lib.call("strlen", bytes(big)) == 3_000_000
        lib.call("memset", big, ord("y"), 10, result="pointer")
        assert big[:11] == b"y" * 10 + b"x"
        record = (ctypes.c_int32 * 2)(1, 2)
        lib.call("memcpy", record, array("i", [7, 8]), 8, result="pointer")
        assert list(record) == [7, 8]


def test_nested_calls_and_longjmp_free_stack(arch: str) -> None:
    """Python -> C -> Python -> C ..., and the stack is back where it was."""
    with Library(libc_library(sysroot(arch))) as lib:
        sp = lib.registers["sp"]

        def depth(n: int) -> int:
            return 0 if n == 0 else 1 + lib.call(lib.callback(depth), n - 1)

        assert lib.call(lib.callback(depth), 20) == 20
        assert lib.registers["sp"] == sp


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -2.5, 1e300, 5e-324, float("inf"), float("-inf"), 0.1])
def test_extended_format(value: float) -> None:
    assert str(values.from_extended(values.extended(value))) == str(value)
