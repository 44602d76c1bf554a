"""BSD/OS: programs of `uselib shlicc` (scheme bsdos) and of scheme interp, natively and emulated, on both machines."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from support.programs import build, run, source, sysroot
from support.schemes import BASES, INNER, OUTER, OUTPUT, World
from support.tools import NATIVE, WAYS, native, needs, require_native
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.formats.elf_image import read_image
from uselib.loader.libraries.library_check import OTHER_BASE
from uselib.runtime.sysroot import MACHINES, make_sysroot

VARIANTS = {"bsdos": (), "interp": ("--interp",)}
LINKERS = [name for name in ("ld", "ld.lld", "mold") if shutil.which(name)]
pytestmark = needs("ld")


@pytest.fixture(scope="module", params=[*VARIANTS, "our ld"])
def program(request: pytest.FixtureRequest, world: World) -> Path:
    """A program of each kind: made by the wrapper with GNU ld, and by `uselib cc --scheme interp`."""
    path = world.root / f"program {request.param}"
    code = world.root / "program.c"
    if request.param == "our ld":
        assert world.cc("interp", path, code, "-louter") == 0
    else:
        assert world.shlicc(path, *VARIANTS[request.param], "--ld", "ld", code, "-louter") == 0
    return path


def fresh(world: World, tmp_path: Path, variant: str) -> tuple[World, Path]:
    copy = world.copy(tmp_path / "root")
    path = tmp_path / "program"
    assert copy.shlicc(path, *VARIANTS[variant], copy.root / "program.c", "-louter") == 0
    return copy, path


@pytest.mark.parametrize("way", WAYS)
def test_programs_run(way: str, world: World, program: Path) -> None:
    done = world.run(way, program)
    assert (done.stdout, done.stderr, done.returncode) == (OUTPUT, b"", 7)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_musl(arch: str, variant: str, way: str, tmp_path: Path) -> None:
    root = sysroot(arch, "musl")
    path = source(tmp_path / "map", f"{root}/shlib/{next((root / 'shlib').glob('libc_s.*')).name} 0x60000000\n")
    code = source(
        tmp_path / "p.c", '#include <stdio.h>\nint main(void) { return printf("%.3f\\n", 1.5) == 6 ? 3 : 1; }'
    )
    words = ["--sysroot", root, "--map", path, *VARIANTS[variant], "-o", tmp_path / "p", code]
    assert main(["shlicc", *map(str, words)]) == 0
    done = run(way, tmp_path / "p")
    assert (done.stdout, done.stderr, done.returncode) == (b"1.500\n", b"", 3)


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_linkers(world: World, linker: str, variant: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = (*VARIANTS[variant], "--ld", linker, world.root / "program.c", "-louter")
    if linker == "mold" and variant == "interp":
        assert world.shlicc(tmp_path / "p", *words) == 1
        assert (
            capfd.readouterr().err
            == "uselib: mold: makes no PT_INTERP of section .interp; name GNU ld or ld.lld with --ld\n"
        )
        return
    assert world.shlicc(tmp_path / "p", *words) == 0
    assert world.run("native", tmp_path / "p").stdout == OUTPUT


def test_the_interpreter_is_the_c_library(world: World, tmp_path: Path) -> None:
    """What the kernel tells the program: AT_BASE is the interpreter's load bias, 0; AT_ENTRY the program's own entry."""
    code = source(
        tmp_path / "aux.c",
        """
#include <stdio.h>
extern char **environ;
int main(void) {
    char **p = environ;
    while (*p++) {}
    for (unsigned long *a = (unsigned long *)p; a[0]; a += 2)
        if (a[0] == 7 || a[0] == 9) printf("%lu %lx\\n", a[0], a[1]);
    return 0;
}""",
    )
    assert world.cc("interp", tmp_path / "aux", code) == 0
    image = read_image((tmp_path / "aux").read_bytes(), "")
    assert image.interpreter == f"{world.shlib}/libc_s.1.0.0"
    outputs = {way: world.run(way, tmp_path / "aux").stdout for way in (WAYS if NATIVE else ("emulated",))}
    assert set(outputs.values()) == {f"7 0\n9 {image.entry:x}\n".encode()}
    entered = read_image((world.shlib / "libc_s.1.0.0").read_bytes(), "")
    assert entered.entry == next(s.address for s in entered.symbols if s.name == "__uselib_interpreter")


@pytest.mark.slow
@native
def test_text_is_not_writable_if_the_library_says_so(tmp_path: Path) -> None:
    """A C library in the layout of scheme mmap has two PT_LOADs, which the kernel maps as they are."""
    root = tmp_path / "root"
    make_sysroot(root, MACHINES["x86_64"], "mini", "mmap")
    code = source(
        tmp_path / "maps.c",
        """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    static char text[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY), n = (int)read(fd, text, sizeof text - 1);
    return write(1, text, (unsigned)n) != n;
}""",
    )
    assert main(["cc", "--sysroot", str(root), "--scheme", "interp", "-o", str(tmp_path / "maps"), str(code)]) == 0
    for way in WAYS:
        rows = [
            line.split()
            for line in run(way, tmp_path / "maps", options=["--readable", root]).stdout.decode().splitlines()
        ]
        kinds = {row[1] for row in rows if row[-1].endswith("/libc_s.1.0.0")}
        assert kinds == {"r-xp", "rw-p"}, way


def message(program: Path, path: object, reason: str) -> str:
    return f"{program}: can't load library '{path}'\n\t{reason}\n"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_library_is_missing(world: World, way: str, variant: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, variant)
    (copy.shlib / "libinner_s.1.0.0").unlink()
    done = copy.run(way, program)
    assert done.stderr.decode() == message(program, copy.shlib / "libinner_s.1.0.0", "No such library.")
    assert (done.stdout, done.returncode) == (b"", 128)


@pytest.mark.parametrize("way", WAYS)
def test_the_c_library_is_missing(world: World, way: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, "bsdos")
    (copy.shlib / "libc_s.1.0.0").unlink()
    done = copy.run(way, program)
    assert done.stderr.decode() == message(program, copy.shlib / "libc_s.1.0.0", "No such library.")
    assert done.returncode == 128


def starts(way: str, world: World, program: Path) -> str:
    """The error of exec: natively its name, emulated what the user reads of it."""
    if way == "native":
        require_native()
        try:
            subprocess.run([program], check=False)
        except OSError as failure:
            return failure.strerror or ""
        return ""
    done = world.run(way, program)
    assert done.returncode == 1
    return done.stderr.decode().splitlines()[-1].removeprefix(f"uselib: {program}: ")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_library_path(world: World, way: str, variant: str, tmp_path: Path) -> None:
    """LD_LIBRARY_PATH goes before the table, for the C library as well; what PT_INTERP names is the kernel's."""
    copy, program = fresh(world, tmp_path, variant)
    away = tmp_path / "away"
    away.mkdir()
    for name in ("outer", *(["c"] if variant == "bsdos" else [])):
        (copy.shlib / f"lib{name}_s.1.0.0").rename(away / f"lib{name}_s.1.0.0")
    found = {"WORD": "here", "LD_LIBRARY_PATH": str(away)}
    done = run(way, program, "x", options=["--readable", tmp_path], environment=found)
    assert (done.stdout, done.stderr, done.returncode) == (OUTPUT, b"", 7)


@pytest.mark.parametrize("way", WAYS)
def test_the_interpreter_is_missing(world: World, way: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, "interp")
    (copy.shlib / "libc_s.1.0.0").unlink()
    interpreter = copy.shlib / "libc_s.1.0.0"
    said = f"its interpreter {interpreter} is not in the guest's tree; run it with --root /, or --root DIR of its tree"
    assert starts(way, copy, program) == {"native": "No such file or directory", "emulated": said}[way]


@pytest.mark.parametrize("way", WAYS)
def test_the_interpreter_may_not_be_executed(world: World, way: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, "interp")
    (copy.shlib / "libc_s.1.0.0").chmod(0o644)
    said = f"its interpreter {copy.shlib / 'libc_s.1.0.0'} is not an executable file"
    assert starts(way, copy, program) == {"native": "Permission denied", "emulated": said}[way]


@pytest.mark.parametrize("way", WAYS)
def test_the_interpreter_is_for_another_machine(world: World, way: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, "interp")
    other = sysroot("i386" if world.arch == "x86_64" else "x86_64")
    shutil.copy(other / "shlib" / "libc_s.1.0.0", copy.shlib / "libc_s.1.0.0")
    machine = "i386" if world.arch == "x86_64" else "x86_64"
    said = f"its interpreter {copy.shlib / 'libc_s.1.0.0'} is for {machine}, and the program for {world.arch}"
    assert starts(way, copy, program) == {"native": "Accessing a corrupted shared library", "emulated": said}[way]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_versions(world: World, way: str, variant: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, variant)
    copy.library("outer", OUTER, version="2.0.0")
    (copy.shlib / "libouter_s.2.0.0").rename(copy.shlib / "libouter_s.1.0.0")
    done = copy.run(way, program)
    reason = "Incompatible version. (is 2.0.0, needs 1.0.0)"
    assert done.stderr.decode() == message(program, copy.shlib / "libouter_s.1.0.0", reason)
    assert done.returncode == 128


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_library_has_moved(world: World, way: str, variant: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, variant)
    copy.library("inner", INNER, base=BASES["outer"])
    done = copy.run(way, program)
    assert done.stderr.decode() == message(
        program, copy.shlib / "libinner_s.1.0.0", f"{OTHER_BASE} (is 1.0.0, needs 1.0.0)"
    )
    assert done.returncode == 128


@pytest.mark.parametrize("way", WAYS)
def test_an_occupied_address(world: World, way: str, tmp_path: Path) -> None:
    """GNU ld does not look whether a program lies where a library will be; start-up does."""
    code = source(tmp_path / "p.c", "int outer_value(void);\nint main(void) { return outer_value(); }")
    assert world.shlicc(tmp_path / "p", f"-Wl,-Ttext-segment={BASES['outer']:#x}", code, "-louter") == 0
    done = world.run(way, tmp_path / "p")
    assert done.stderr.decode() == message(
        tmp_path / "p", world.shlib / "libouter_s.1.0.0", "Address range is occupied."
    )
    assert done.returncode == 128


@pytest.mark.parametrize("way", WAYS)
def test_a_table_that_disagrees(world: World, way: str, tmp_path: Path) -> None:
    """The table is data of the program: what it says is compared with the notes."""
    _, program = fresh(world, tmp_path, "bsdos")
    image = read_image(program.read_bytes(), "")
    table = next(s.address for s in image.symbols if s.name == "_SHARED_LIBRARY_TABLE")
    segment = next(s for s in image.segments if s.address <= table < s.end)
    content, word = bytearray(program.read_bytes()), 4 if world.arch == "i386" else 8
    struct.pack_into("<I", content, table - segment.address + segment.offset + 3 * word, 0x64000000)
    program.write_bytes(content)
    done = world.run(way, program)
    reason = "Load address is not the one linked with."
    assert done.stderr.decode() == message(program, tmp_path / "root" / "shlib" / "libouter_s.1.0.0", reason)


@pytest.mark.parametrize("way", WAYS)
def test_a_c_library_without_that_bootstrap(world: World, way: str, tmp_path: Path) -> None:
    copy, program = fresh(world, tmp_path, "bsdos")
    library = copy.shlib / "libc_s.1.0.0"
    content = bytearray(library.read_bytes())
    at = content.index(b"uselib\0\0") + 8
    content[at + 4 : at + 8] = bytes(4)
    library.write_bytes(content)
    reason = "Exec format error: its bootstrap maps no other libraries."
    assert copy.run(way, program).stderr.decode() == message(program, library, reason)


@pytest.mark.parametrize("way", WAYS)
def test_no_arguments_lists_libraries(world: World, way: str, program: Path) -> None:
    if way == "native":
        require_native()
        done = subprocess.run([""], executable=program, capture_output=True, check=False)
    else:
        done = run(way, program, options=["--readable", world.root, "--argv0", ""])
    names = sorted(line.split()[0] for line in done.stdout.decode().splitlines())
    assert (names, done.returncode) == (["libc_s.1.0.0", "libouter_s.1.0.0"], 0)


@native
def test_the_library_is_no_program(world: World) -> None:
    library = world.shlib / "libc_s.1.0.0"
    done = subprocess.run([library], capture_output=True, check=False)
    assert done.returncode == 128
    assert (
        done.stderr.decode() == f"{library}: this is a shared library, and no program of scheme interp came with it\n"
    )


def test_trace(world: World, program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--readable", str(world.root), str(program)]) == 7
    said = capfd.readouterr()
    assert "libouter_s:outer_value" in said.out + said.err and "libinner_s:inner_value" in said.out + said.err


def test_inspect(world: World, program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "inspect",
                "--json",
                str(world.shlib / "libc_s.1.0.0"),
            ]
        )
        == 0
    )
    facts = json.loads(capfd.readouterr().out)
    assert facts["bootstrap"] < facts["continuation"] < facts["bootstrap"] + 0x200 < facts["interpreter_entry"]
    assert main(["inspect", str(program)]) == 0
    said = capfd.readouterr().out
    assert (f"interpreter: {world.shlib}/libc_s.1.0.0\n" in said) == (program.name != "program bsdos")


def test_paths_of_the_system(world: World, tmp_path: Path) -> None:
    """A map of a system's own /shlib, run with --sysroot."""
    path = source(tmp_path / "map", world.map.read_text().replace(str(world.root), ""))
    for variant, words in VARIANTS.items():
        assert world.shlicc(tmp_path / variant, *words, "--map", path, world.root / "program.c", "-louter") == 0
        done = run("emulated", tmp_path / variant, "x", options=["--sysroot", world.root], environment={"WORD": "here"})
        assert (done.stdout, done.stderr, done.returncode) == (OUTPUT, b"", 7)


@pytest.mark.parametrize("option", ["--bootstrap", "--interpreter"])
@pytest.mark.parametrize("name", ["nowhere", "outer_count", "printf"])
def test_mkshlib_wants_a_function(
    world: World, option: str, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "mkshlib",
        "-q",
        "--name",
        "outer",
        "--version",
        "1.0.0",
        "--text",
        "0x63000000",
        "-o",
        str(tmp_path),
        option,
        name,
    ]
    stubs = [str(world.root / "lib" / f"lib{stub}_s.a") for stub in ("c", "inner")]
    assert main([*words, str(world.root / "outer.o"), *stubs]) == 1
    assert f"mkshlib: {name}: is not a function of this library" in capfd.readouterr().err


def test_a_dynamic_program_needs_its_dynamic_linker(tmp_path: Path) -> None:
    gcc = shutil.which("gcc")
    if gcc is None or not NATIVE:
        pytest.skip("needs gcc")
    code = source(tmp_path / "d.c", "int main(void) { return 0; }")
    subprocess.run([gcc, "-no-pie", "-o", tmp_path / "d", code], check=True)
    done = run("emulated", tmp_path / "d")
    assert done.returncode == 1 and done.stderr.endswith(
        b"is not in the guest's tree; run it with --root /, or --root DIR of its tree\n"
    )


def test_our_ld_wants_a_c_library(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = source(tmp_path / "p.c", "int main(void) { return 0; }")
    with pytest.raises(ToolError, match="no input is a shared C library"):
        build(tmp_path / "p", "i386", "interp", "-nodefaultlibs", "-nostartfiles", code)


def test_another_path_for_the_interpreter(world: World, tmp_path: Path) -> None:
    code = source(tmp_path / "p.c", "int main(void) { return 4; }")
    there = shutil.copy(world.shlib / "libc_s.1.0.0", tmp_path / "libc_s.elsewhere")
    assert world.cc("interp", tmp_path / "p", f"-Wl,-dynamic-linker,{there}", code) == 0
    assert read_image((tmp_path / "p").read_bytes(), "").interpreter == str(there)
    assert world.run("emulated", tmp_path / "p").returncode == 4
