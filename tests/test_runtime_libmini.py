"""libmini against the host's C library: the same programs print the same, in every scheme, natively and emulated."""

import functools
import random
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from guest_build import ARCHES, GUEST, NATIVE, SCHEMES, WAYS, build, run, sysroot

from runtime import build as runtime_build
from runtime.compiler import find_compiler
from runtime.sysroot import MACHINES

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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("name", STATUS)
def test_same_as_host(name: str, arch: str, scheme: str, way: str, tmp_path: Path) -> None:
    arguments = numbers() if name == "printf" else ["scratch"]
    program = build(tmp_path / name, arch, scheme, "-w", "-O2", GUEST / f"{name}.c")
    ran, expected = run(way, program, *arguments), host(name, *arguments)
    assert ran.stdout.decode().splitlines() == expected.stdout.decode().splitlines()
    assert ran.returncode == STATUS[name]
    if way == "native":  # the emulator reports a child killed by a signal
        assert ran.stderr == expected.stderr


@pytest.mark.parametrize("name", STATUS)
@pytest.mark.parametrize("arch", ARCHES)
def test_the_programs_on_musl(name: str, arch: str, tmp_path: Path) -> None:
    """The programs are fair: musl, another C library, prints the same."""
    program = build(tmp_path / name, arch, "mmap", "-w", "-O2", GUEST / f"{name}.c", libc="musl")
    ran, expected = run("native", program, "scratch"), host(name, "scratch")
    assert ran.stdout.decode().splitlines() == expected.stdout.decode().splitlines()


@pytest.mark.parametrize("arch", ARCHES)
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


@pytest.mark.parametrize("arch", ARCHES)
def test_headers_stand_alone(arch: str, tmp_path: Path) -> None:
    """Each header compiles by itself, without a warning, and twice."""
    compiler = find_compiler()
    for name in [*HEADERS, "sys/syscall.h"]:
        (tmp_path / "h.c").write_text(f"#include <{name}>\n#include <{name}>\nint used;\n")
        words = [*compiler.command, *compiler.machine_flags(MACHINES[arch]), "-std=c11", "-Wall", "-Wextra", "-Werror",
                 "-nostdinc", "-isystem", str(sysroot(arch) / "include"), "-Wsystem-headers", "-fsyntax-only"]  # fmt: skip
        assert subprocess.run([*words, tmp_path / "h.c"]).returncode == 0, name
