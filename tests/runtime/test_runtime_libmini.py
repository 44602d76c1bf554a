"""libmini against the host's C library: the same programs print the same, in every scheme, natively and emulated."""

import functools
import random
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.paths import GUEST
from support.programs import build, run, sysroot
from support.tools import NATIVE, SCHEMES, WAYS, native
from uselib.runtime import build as runtime_build
from uselib.runtime.compiler import find_compiler
from uselib.runtime.sysroot import MACHINES

ROOT = runtime_build.ROOT / "libmini" / "include"
STATUS = {"printf": 0, "library": 3, "signals": 0}


def numbers() -> list[str]:
    """Decimal texts that are hard to convert: random doubles, and texts near the middle between two."""
    chosen = random.Random(1)
    result = [
        "1e-400",
        "0x1.8p3",
        "1e400",
        "123456789012345678901234567890",
        ".5e-3",
        "9007199254740993",
        "0x1.fffffffffffff8p0",
        "2.2250738585072011e-308",
    ]
    for _ in range(60):
        value = struct.unpack("<d", struct.pack("<Q", chosen.getrandbits(64)))[0]
        if value == value and abs(value) < 1e300:
            result.append(repr(value))
    result += [f"{chosen.uniform(-1, 1) * 10 ** chosen.randint(-40, 40):.{chosen.randint(0, 40)}e}" for _ in range(60)]
    return result


@functools.cache
def host(name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """What the program does with the host's C library."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not NATIVE:
        pytest.skip("no C compiler and C library for the host")
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([compiler, "-w", "-O2", GUEST / f"{name}.c", "-o", f"{directory}/{name}"], check=True)
        return subprocess.run([f"{directory}/{name}", *arguments], cwd=directory, capture_output=True, timeout=60)


Conversion = tuple[str, str, str, str]
"""Kind, format, value and what Python, whose % has C's rules for these, makes of it."""


def signed(chosen: random.Random, flags: str, width: str, precision: str) -> Conversion | None:
    number = chosen.getrandbits(chosen.randint(1, 63)) * chosen.choice([1, -1])
    flags = flags.replace("0", "") if precision else flags  # a precision switches 0 off in C only
    wanted = f"%{flags}{width}{precision}d" % number
    if precision == ".0" and number == 0:
        return None  # C prints no digit
    return "d", f"%{flags}{width}{precision}lld", str(number), wanted


def unsigned(chosen: random.Random, flags: str, width: str, precision: str) -> Conversion:
    number = chosen.getrandbits(chosen.randint(1, 64)) or 1
    letter = chosen.choice("xXo")
    flags = flags.replace("+", "").replace(" ", "")
    sharp = "#" if letter != "o" and not precision and chosen.random() < 0.5 else ""
    flags = flags.replace("0", "") if precision else flags
    wanted = f"%{flags}{sharp}{width}{precision}{letter}" % number
    return "u", f"%{flags}{sharp}{width}{precision}ll{letter}", str(number), wanted


def floating(chosen: random.Random, flags: str, width: str, precision: str) -> Conversion:
    value = struct.unpack("<d", struct.pack("<Q", chosen.getrandbits(64)))[0]
    if chosen.random() < 0.7 or value != value:
        ordinary = [chosen.uniform(-1000, 1000), chosen.randint(-100, 100) / 8, 10.0 ** chosen.randint(-6, 18)]
        value = chosen.choice(ordinary)
    letter = chosen.choice("eEfFgG")
    flags = flags.replace("0", "") if abs(value) == float("inf") else flags
    form = f"%{flags}{width}{precision}{letter}"
    return "f", form, repr(value), form % value


def string(chosen: random.Random, flags: str, width: str, precision: str) -> Conversion:
    form = f"[%{'-' if '-' in flags else ''}{width}{precision}s]"
    text = "".join(chosen.choice("abc XYZ%") for _ in range(chosen.randint(0, 30))).strip() or "x"
    return "s", form, text, form % text


KINDS = {"d": signed, "u": unsigned, "f": floating, "s": string}


def conversions() -> list[Conversion]:
    chosen = random.Random(4)
    result = []
    for _ in range(4000):
        make = KINDS[chosen.choice("dufffs")]
        flags = "".join(flag for flag in "-+ 0" if chosen.random() < 0.25)
        width = chosen.choice(["", "", "1", "7", "25"])
        precision = chosen.choice(["", "", ".0", ".1", ".3", ".12", ".40"])
        result.append(make(chosen, flags, width, precision))
    return [row for row in result if row is not None]


@native
def test_printf_against_python(arch: str, tmp_path: Path) -> None:
    program = build(tmp_path / "format", arch, "mmap", "-w", "-O2", GUEST / "format.c")
    rows = conversions()
    text = "".join(f"{kind}\t{form}\t{value}\n" for kind, form, value, _ in rows).encode()
    lines = subprocess.run([program], input=text, capture_output=True, check=True).stdout.decode().split("\n")
    for (_, form, value, wanted), line in zip(rows, lines, strict=False):
        assert line == wanted, (form, value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", STATUS)
def test_same_as_host(name: str, arch: str, scheme: str, way: str, tmp_path: Path) -> None:
    arguments = numbers() if name == "printf" else ["scratch"]
    program = build(tmp_path / name, arch, scheme, "-w", "-O2", GUEST / f"{name}.c")
    ran, expected = run(way, program, *arguments), host(name, *arguments)
    assert ran.stdout.decode().splitlines() == expected.stdout.decode().splitlines()
    assert ran.returncode == STATUS[name]
    if way == "native":  # the emulator reports a child killed by a signal
        assert ran.stderr == expected.stderr


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", STATUS)
def test_the_programs_on_musl(name: str, arch: str, way: str, tmp_path: Path) -> None:
    """The programs are fair: musl, another C library, prints the same."""
    program = build(tmp_path / name, arch, "mmap", "-w", "-O2", GUEST / f"{name}.c", libc="musl")
    ran, expected = run(way, program, "scratch"), host(name, "scratch")
    assert ran.stdout.decode().splitlines() == expected.stdout.decode().splitlines()


def test_assert_and_abort(arch: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(
        "#include <assert.h>\nint main(int argc, char **argv) { assert(argc == 2); return 0; }\n"
    )
    program = build(tmp_path / "a", arch, "mmap", tmp_path / "a.c")
    assert run("native", program, "x").returncode == 0
    ran = run("native", program)
    assert ran.returncode == -6
    assert ran.stderr.endswith(b"main: Assertion `argc == 2' failed.\n")


HEADERS = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.h"))


def test_headers_stand_alone(arch: str, tmp_path: Path) -> None:
    """Each header compiles by itself, without a warning, and twice."""
    compiler = find_compiler()
    for name in [*HEADERS, "sys/syscall.h"]:
        (tmp_path / "h.c").write_text(f"#include <{name}>\n#include <{name}>\nint used;\n")
        words = [*compiler.command, *compiler.machine_flags(MACHINES[arch]), "-isystem", sysroot(arch) / "include"]
        words += "-std=c11 -Wall -Wextra -Werror -nostdinc -Wsystem-headers -fsyntax-only".split()
        assert subprocess.run([*words, tmp_path / "h.c"]).returncode == 0, name
