"""The native recorder and the one in Python write the same file, byte for byte, whatever is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.traces import program, read, record
from uselib.emulator.machine.engine import Engine
from uselib.emulator.machine.register_file import ORDER, locate
from uselib.emulator.trace.prototypes.capture import CaptureKind
from uselib.emulator.trace.record import native_backend
from uselib.emulator.trace.record.backend import Copy
from uselib.emulator.trace.record.select_backend import native_available
from uselib.emulator.trace.record.x87_double import double_of_x87

CHOICES = {
    "entries": (),
    "returns": ("--returns",),
    "all": ("--returns", "--all-functions", "--interposed", "--syscalls"),
    "blocks": ("--clock", "blocks", "--no-strings"),
    "interposed": ("--interposed",),
    "last": ("--last", "9", "--returns"),
    "first": ("--first", "5", "--returns", "--no-strings"),
    "filters": ("--symbol", "s*", "--library", "libc*", "--depth", "3"),
    "caller": ("--caller", "main", "--all-functions", "--sample", "2"),
    "triggers": ("--trigger-on", "puts", "--trigger-off", "strlen"),
}
needs_native = pytest.mark.skipif(not native_available(), reason="the native recorder was not built")


@needs_native
@pytest.mark.parametrize("choice", CHOICES)
def test_same_bytes(folder: Path, tmp_path: Path, arch: str, choice: str) -> None:
    path = program(folder, "calls", arch)
    for kind in ("native", "python"):
        done = record(tmp_path / kind, path, arch, "--recorder", kind, *CHOICES[choice])
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "native").read_bytes() == (tmp_path / "python").read_bytes()
    assert read(tmp_path / "native")[0].events


@needs_native
def test_same_events_of_each_process(folder: Path, tmp_path: Path, arch: str) -> None:
    path = program(folder, "hard", arch)
    for kind in ("native", "python"):
        assert record(tmp_path / kind, path, arch, "--recorder", kind, "--returns").returncode == 0
    native, python = read(tmp_path / "native"), read(tmp_path / "python")
    assert native == python and len(native) == 2


@pytest.mark.parametrize(("kind", "count"), [("native", 300_000), ("python", 30_000)])
def test_a_call_is_recorded_once_wherever_the_cpu_is_stopped(
    folder: Path, tmp_path: Path, arch: str, kind: str, count: int
) -> None:
    """A signal may arrive between the event of a call and the first instruction of the function."""
    if kind == "native" and not native_available():
        pytest.skip("the native recorder was not built")
    path = program(folder, "stopped", arch)
    done = record(tmp_path / "trace", path, arch, "--recorder", kind, "--symbol", "abs", arguments=(str(count),))
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(len(one.calls()) for one in read(tmp_path / "trace").values()) == count


@pytest.mark.parametrize("bits", [32, 64])
def test_registers_are_found_in_place(bits: int) -> None:
    """With Unicorn 2.1 they are; elsewhere 0 is right too, and slower."""
    import ctypes

    engine = Engine(bits)
    for number, register in enumerate(ORDER[bits]):
        engine.write(register, 100 + number)
    address = locate(engine, bits)
    assert [engine.read(register) for register in ORDER[bits]] == [100 + n for n in range(len(ORDER[bits]))]
    if address:
        values = (ctypes.c_uint64 * len(ORDER[bits])).from_address(address)
        assert list(values) == [100 + n for n in range(len(ORDER[bits]))]


def test_without_a_place_for_registers(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uc_reg_read gives the same."""
    if not native_available():
        pytest.skip("the native recorder was not built")
    from uselib.commands import trace
    from uselib.emulator.machine.machine import VirtualMachine

    path = program(folder, "calls", "x86_64", "static")
    words = ["record", "--all-functions", "--returns", str(path)]
    assert trace.run([words[0], "-o", str(tmp_path / "a"), *words[1:]]) == 0
    monkeypatch.setattr(VirtualMachine, "register_file", lambda self: 0)
    assert trace.run([words[0], "-o", str(tmp_path / "b"), *words[1:]]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_native_recorder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from uselib.commands import trace

    path = program(folder, "calls", "i386", "static")
    monkeypatch.setattr(native_backend, "library", lambda: None)
    assert trace.run(["record", "-o", str(tmp_path / "a"), str(path)]) == 0
    with pytest.raises(Exception, match="the native recorder was not built"):
        trace.run(["record", "--recorder", "native", "-o", str(tmp_path / "a"), str(path)])


def test_numbers_shared_with_the_prototypes() -> None:
    assert {kind.name: kind.value for kind in CaptureKind} == {kind.name: kind.value for kind in list(Copy)[:4]}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("0000000000000080ff3f", 1.0),
        ("00000000000000800040", 2.0),
        ("0000000000000080ffbf", -1.0),
        ("35c26821a2da0fc90040", 3.141592653589793),
        ("00000000000000000000", 0.0),
        ("0000000000000080ff7f", float("inf")),
        ("ffffffffffffffffff43", float("inf")),
        ("0000000000000080003c", 2.0**-1023 * 0),
    ],
)
def test_x87(raw: str, value: float) -> None:
    import struct

    assert double_of_x87(bytes.fromhex(raw)) == struct.unpack("<Q", struct.pack("<d", value))[0]
