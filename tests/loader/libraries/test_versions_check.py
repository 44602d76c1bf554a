"""Rules recorded in programs; and loader/libraries/library_check.py against start-up on damaged libraries."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from support.programs import build, source, sysroot
from support.tools import SHARED, native, require
from support.versions import BAR, FOO, field_offsets, image, kit, link, make_library, patched, predicted, start
from uselib.linker.formats.elf_image import read_image
from uselib.linker.versions import RULES

PLAIN = ("-w", "-nodefaultlibs", "-fno-builtin")


@native
@pytest.mark.parametrize("scheme", SHARED)
def test_damaged_libraries(arch: str, scheme: str, tmp_path: Path) -> None:
    """Flipped bits and cut files: the same verdict, in the same words."""
    made = kit(arch, scheme)
    good = made.foo.read_bytes()
    descriptor = field_offsets(good)
    flips = random.Random(f"{arch} {scheme}")
    place = tmp_path / "r1"
    place.mkdir()
    verdicts = set()
    for number in range(250):
        data = bytearray(good)
        if number % 10 == 0:
            del data[flips.choice([flips.randrange(len(good)), flips.randrange(600)]) :]
        else:
            position = flips.randrange(descriptor + 128)
            data[position] ^= 1 << flips.randrange(8)
        (place / "libfoo_s.1.2.1").write_bytes(data)
        status, said = start(made.program, tmp_path)
        assert said == predicted(made.program, tmp_path, "default", scheme), number
        assert status == (128 if said else 7)
        verdicts.add(said.partition("(")[0])
    assert len(verdicts) > 5


@native
@pytest.mark.parametrize("rule", RULES)
def test_recorded_rule(rule: str, tmp_path: Path) -> None:
    """`--version-rule` of cc and ld, in a section that other tools can read too."""
    made = kit("x86_64", "mmap")
    words = [
        *PLAIN,
        "-DUSED=foo_value",
        made.directory / "program.c",
        "-L",
        made.directory / "lib",
        "-Wl,-rpath,r1",
        "-lfoo",
    ]
    program = link(tmp_path / "p", "x86_64", "mmap", *words, "--version-rule", rule)
    assert read_image(program.read_bytes(), "p").version_rule == rule
    (tmp_path / "r1").mkdir()
    for version in ("1.2.2", "1.3.0"):
        (tmp_path / "r1" / f"libfoo_s.{version}").write_bytes(b"")
    taken = {
        "default": "r1/libfoo_s.1.3.0",
        "exact": "",
        "sun": "r1/libfoo_s.1.3.0",
        "exact-minor": "r1/libfoo_s.1.2.2",
        "linux": "",
    }[rule]
    status, said = start(program, tmp_path)
    assert status == 128
    assert said == (
        f"can't load library '{taken}'\n\tExec format error.\n" if taken else predicted(program, tmp_path, rule, "mmap")
    )
    status, said = start(program, tmp_path, USELIB_VERSION_RULE="exact-minor")
    assert said.startswith("can't load library 'r1/libfoo_s.1.2.2'")  # the environment goes before what is recorded
    assert start(program, tmp_path, USELIB_VERSION_RULE="")[1] == start(program, tmp_path)[1]


@native
@pytest.mark.parametrize("linker", ["ld.bfd", "ld.lld", "mold"])
@pytest.mark.parametrize("section", ['__attribute__((section(".librule")))', ""])
def test_rule_with_another_linker(linker: str, section: str, tmp_path: Path) -> None:
    """A definition in the program does what our ld does for --version-rule."""
    require(linker)
    made = kit("x86_64", "mmap")
    text = f'{section} const char _SHARED_LIBRARY_RULE[] = "exact-minor";\nconst char _SHARED_LIBRARY_PATH[] = "r1";\n'
    build(tmp_path / "rule.o", "x86_64", "mmap", "-c", source(tmp_path / "rule.c", text))
    build(
        tmp_path / "main.o",
        "x86_64",
        "mmap",
        "-w",
        "-fno-builtin",
        "-DUSED=foo_value",
        "-c",
        made.directory / "program.c",
    )
    lib = sysroot("x86_64") / "lib"
    words = [
        lib / "crt1-mmap.o",
        lib / "crti.o",
        tmp_path / "main.o",
        tmp_path / "rule.o",
        "-L",
        made.directory / "lib",
    ]
    subprocess.run(
        [linker, "-m", "elf_x86_64", "-static", "-o", tmp_path / "p", *words, "-lfoo_s", lib / "crtn.o"], check=True
    )
    found = image(tmp_path / "p")
    assert (found.version_rule, found.library_path) == ("exact-minor", "r1")
    (tmp_path / "r1").mkdir()
    for version in ("1.2.7", "1.3.0"):
        shutil.copy(made.foo, tmp_path / "r1" / f"libfoo_s.{version}")
    (tmp_path / "r1" / "libfoo_s.1.2.7").write_bytes(b"")
    status, said = start(tmp_path / "p", tmp_path)
    assert (status, said) == (128, "can't load library 'r1/libfoo_s.1.2.7'\n\tExec format error.\n")


@native
def test_unknown_rule_in_the_environment(tmp_path: Path) -> None:
    made = kit("i386", "uselib")
    assert start(made.program, tmp_path, USELIB_VERSION_RULE="newest") == (
        128,
        "can't load library ''\n\tUnknown version rule: newest\n",
    )


@native
def test_linux_refuses_a_lower_patch_level(tmp_path: Path) -> None:
    """What Linux libc 4 did (docs/historical-systems.md), against the textbook's `any patch level will do`."""
    made = kit("i386", "uselib")
    place = tmp_path / "r1"
    place.mkdir()
    (place / "libfoo_s.1.2.0").write_bytes(patched(made.foo.read_bytes(), "1.2.0"))
    (place / "libfoo_s.1").symlink_to("libfoo_s.1.2.0")
    status, said = start(made.program, tmp_path, USELIB_VERSION_RULE="linux")
    assert (status, said) == (
        128,
        "can't load library 'r1/libfoo_s.1'\n\tIncompatible version. (is 1.2.0, needs 1.2.1)\n",
    )
    assert start(made.program, tmp_path, USELIB_VERSION_RULE="sun") == (7, "")  # any patch level
    (place / "libfoo_s.2.0.0").write_bytes(patched(made.foo.read_bytes(), "2.0.0"))
    (place / "libfoo_s.1.2").symlink_to("libfoo_s.2.0.0")
    said = start(made.program, tmp_path, USELIB_VERSION_RULE="linux")[1]
    assert said == "can't load library 'r1/libfoo_s.1.2'\n\tIncompatible version. (is 2.0.0, needs 1.2.1)\n"
    (place / "libfoo_s.1.2").unlink()
    (place / "libfoo_s.1").unlink()
    (place / "libfoo_s.1.3.0").write_bytes(patched(made.foo.read_bytes(), "1.3.0"))
    (place / "libfoo_s.1").symlink_to("libfoo_s.1.3.0")
    assert start(made.program, tmp_path, USELIB_VERSION_RULE="linux") == (7, "")


@native
@pytest.mark.parametrize("scheme", SHARED)
def test_dependencies_follow_the_rule(arch: str, scheme: str, tmp_path: Path) -> None:
    """libfoo_s is what libbar_s needs; it is found in a newer version; and one that is too old for libbar_s is refused."""
    made = kit(arch, scheme)
    (tmp_path / "r2").mkdir()
    shutil.copy(made.bar, tmp_path / "r2")
    (tmp_path / "r2" / "libfoo_s.1.4.0").write_bytes(patched(made.foo.read_bytes(), "1.4.0"))
    assert start(made.both, tmp_path) == (8, "") and predicted(made.both, tmp_path, "default", scheme) == ""
    (tmp_path / "r2" / "libfoo_s.1.4.0").unlink()
    (tmp_path / "r2" / "libfoo_s.1.1.0").write_bytes(patched(made.foo.read_bytes(), "1.1.0"))
    status, said = start(made.both, tmp_path)
    assert status == 128 and "No such library. (there is 1.1.0, needs 1.2.1)\n" in said
    assert said == predicted(made.both, tmp_path, "default", scheme)


@native
def test_a_need_of_a_library_above_the_programs(tmp_path: Path) -> None:
    """The program was linked with libfoo_s 1.0.0, libbar_s with 1.2.1: `default` takes the older one and refuses it."""
    made = kit("x86_64", "mmap")
    make_library(tmp_path, "x86_64", "foo", FOO, "1.0.0")
    make_library(tmp_path, "x86_64", "bar", BAR, "1.0.0", made.directory / "lib" / "libfoo_s.a")
    words = [*PLAIN, "-DUSED=foo_value() + bar_value", made.directory / "program.c"]
    words += ["-L", tmp_path / "lib", "-Wl,-rpath,shlib", "-lfoo", "-lbar"]
    program = link(tmp_path / "p", "x86_64", "mmap", *words)
    shutil.copy(made.foo, tmp_path / "shlib")
    status, said = start(program, tmp_path)
    assert (status, said) == (
        128,
        "can't load library 'libfoo_s.1.0.0'\n\tIncompatible version. (is 1.0.0, needs 1.2.1)\n",
    )
    assert said == predicted(program, tmp_path, "default", "mmap")
    assert start(program, tmp_path, USELIB_VERSION_RULE="sun") == (15, "")
