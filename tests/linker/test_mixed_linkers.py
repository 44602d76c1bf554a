"""What programs and shared objects of both linkers do together when they run: C++ across objects, thread-local data in every model, functions
chosen at start-up, plugins, releases of a library with symbol versions. GNU ld's program with GNU ld's libraries says what is right; it runs
under glibc and musl, natively, and ours emulated as well."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from support.dynamic_links import LINKERS, SOURCES, TARGETS, LinkFolder
from support.tools import native, needs

pytestmark = [needs("gcc", "ld"), native]
GLIBC = [target for target in TARGETS if not target.endswith("musl")]
PROGRAMS = {"pie": ("-pie", "-fPIE"), "no-pie": ("-no-pie", "-fno-pie")}


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


# -- C++ ----------------------------------------------------------------------------------------------------------------------------------

CXX = {
    "plain": (),
    "now": ("-Wl,-z,now",),
    "no-plt": ("-fno-plt",),
    "sections": ("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    "symbolic": ("-Wl,-Bsymbolic-functions",),
    "relr": ("-Wl,-z,pack-relative-relocs",),
    "optimised": ("-O2", "-g", "-static-libgcc"),
}


def cxx(shop: LinkFolder, options: tuple[str, ...], kind: str, by: tuple[str, str, str]) -> tuple[Path, Path]:
    """The program and its plugin; `by`: the linkers of library, plugin and program."""
    library, plugin, program = (f"{name}-{'-'.join((*by, kind))}" for name in ("libshapes", "plugin", "program"))
    shared = ("-shared", "-fPIC", *options)
    shop.cxx(by[0], f"{library}.so", *shared, SOURCES / "shapes.cc", f"-Wl,-soname,{library}.so")
    made = shop.cxx(by[1], f"{plugin}.so", *shared, SOURCES / "shapes_plugin.cc", f"{library}.so", "-Wl,-rpath,$ORIGIN")
    words = (*PROGRAMS[kind], *options, SOURCES / "shapes_program.cc", f"{library}.so", "-ldl", "-pthread")
    return shop.cxx(by[2], program, *words, *shop.program_words), made


@pytest.mark.parametrize("options", ["plain", *(slow(key) for key in CXX if key != "plain")])
@pytest.mark.parametrize("arch", ["x86_64", slow("i386")])
def test_cxx(tmp_path: Path, arch: str, options: str) -> None:
    """Exceptions through three objects, dynamic_cast and type_info across them, one object of inline and template variables, thread_local."""
    shop = LinkFolder(tmp_path, arch)
    words = CXX[options]
    for kind in PROGRAMS:
        expected = shop.run(*cxx(shop, words, kind, ("gnu", "gnu", "gnu")))
        assert expected[1] == 0 and "[problem from the library 42]\n" in expected[0]
        assert shop.run(*cxx(shop, words, kind, ("ours", "ours", "ours"))) == expected


@pytest.mark.slow
@pytest.mark.parametrize("arch", GLIBC)
def test_cxx_of_both_linkers(tmp_path: Path, arch: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    for kind in PROGRAMS:
        found = {by: shop.run(*cxx(shop, (), kind, by)) for by in itertools.product(LINKERS, LINKERS, LINKERS)}
        assert set(found.values()) == {found["gnu", "gnu", "gnu"]}, kind


@pytest.mark.slow
@pytest.mark.parametrize("arch", GLIBC)
def test_cxx_emulated(tmp_path: Path, arch: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    for kind in PROGRAMS:
        made = cxx(shop, (), kind, ("ours", "ours", "ours"))
        assert shop.run_emulated(*made) == shop.run(*made)


# -- thread-local data --------------------------------------------------------------------------------------------------------------------

MODELS = ("global-dynamic", "local-dynamic", "initial-exec")


def thread_local(shop: LinkFolder, by: str, model: str, words: tuple[str, ...], linked: bool) -> tuple[Path, Path]:
    """The program and its library."""
    name = f"{by}-{model}"
    shop.cc(by, f"{name}.so", "-shared", "-fPIC", *words, f'-DMODEL="{model}"', SOURCES / "tls_library.c")
    uses = ("-DLINKED", f"{name}.so") if linked else ()
    return shop.program(
        by, name, *words, SOURCES / "tls_program.c", *uses, "-ldl", "-pthread"
    ), shop.folder / f"{name}.so"


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "loaded"])
@pytest.mark.parametrize("arch", ["x86_64", "x86_64-musl", slow("i386"), slow("i386-musl")])
def test_thread_local_data(tmp_path: Path, arch: str, linked: bool) -> None:
    """Each model, compiled for the traditional functions and for descriptors; -O2 lets the linker relax the sequences."""
    shop = LinkFolder(tmp_path, arch)
    for model, dialect in itertools.product(MODELS, ("gnu", "gnu2")):
        if "musl" in arch and not linked and model == "initial-exec":
            continue  # musl reserves no space for it
        words = (f"-mtls-dialect={dialect}", "-O2")
        found = [shop.run(*thread_local(shop, by, model, words, linked)) for by in LINKERS]
        assert found[0] == found[1] and found[0][1] == 0, (model, dialect)


@pytest.mark.slow
@pytest.mark.parametrize("arch", TARGETS)
def test_thread_local_data_emulated(tmp_path: Path, arch: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    for dialect, linked in itertools.product(("gnu", "gnu2"), (True, False)):
        made = thread_local(shop, "ours", "global-dynamic", (f"-mtls-dialect={dialect}", "-O2"), linked)
        assert shop.run_emulated(*made) == shop.run(*made)


# -- functions chosen at start-up ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["x86_64", "i386"])
@pytest.mark.parametrize("options", [(), ("-Wl,-z,now",), slow(("-fno-plt",))], ids=str)
def test_functions_chosen_at_start(tmp_path: Path, arch: str, options: tuple[str, ...]) -> None:
    shop = LinkFolder(tmp_path, arch)
    for kind in PROGRAMS:
        found = []
        for by, program_by in itertools.product(LINKERS, LINKERS):
            library = f"{by}-{program_by}-{kind}.so"
            shop.cc(by, library, "-shared", "-fPIC", *options, SOURCES / "resolved.c", f"-Wl,-soname,{library}")
            program = shop.program(
                program_by, library[:-3], *PROGRAMS[kind], *options, SOURCES / "resolved_program.c", library
            )
            found.append(shop.run(program))
        assert found[0][1] == 0 and set(found) == {found[0]}, kind


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("lea chosen@GOTOFF(%ebx), %eax", "R_386_GOTOFF: cannot be used for a function that is chosen at start-up"),
        (".data; .long chosen + 4", "R_386_32: an addend of 4 to a function that is chosen at start-up"),
    ],
)
def test_address_of_an_entry_that_needs_the_got(tmp_path: Path, code: str, said: str) -> None:
    """i386: an entry in .plt.ifunc jumps through %ebx, so its address is none that other code can call."""
    shop = LinkFolder(tmp_path, "i386")
    function = ".type chosen, @gnu_indirect_function\nchosen: ret\n"
    source = shop.source("address.s", f".text\n{function}{code}\n")
    done = shop.cc("ours", "address.so", "-shared", "-nostdlib", source, status=1)
    assert said in done.stderr and "chosen" in done.stderr and "Traceback" not in done.stderr


# -- releases with symbol versions --------------------------------------------------------------------------------------------------------

VERSIONS = {
    "1": "ONE { global: name; value; only; local: *; };\n",
    "2": "ONE { global: name; value; only; local: *; };\nTWO { global: na[m]e; value; } ONE;\n"
    "TWO_POINT_ONE { global: val*; local: value_*; } TWO;\n",
}
VERSIONS["3"] = VERSIONS["2"] + "THREE { global: value; extra; } TWO_POINT_ONE;\n"


@pytest.mark.parametrize("arch", ["x86_64", slow("i386")])
def test_releases(tmp_path: Path, arch: str) -> None:
    """Programs linked with each release run with that one and with each later one; what they are bound to does not change."""
    shop = LinkFolder(tmp_path, arch)
    for by, release in itertools.product(LINKERS, "123"):
        script = shop.source(f"{release}.map", VERSIONS[release])
        words = ("-shared", "-fPIC", f"-DRELEASE={release}", SOURCES / "versions_library.c", "-Wl,-soname,libv.so.1")
        (shop.folder / by / release).mkdir(parents=True)
        shop.cc(by, f"{by}/{release}/libv.so.1", *words, f"-Wl,--version-script={script}")
    variants = {"plain": (), "old": ("-DOLD",), "own": ("-DOWN",)}
    for linked, variant in itertools.product("123", variants):
        found = {}
        for by, other in itertools.product(LINKERS, LINKERS):
            name = f"{linked}-{variant}-{by}-{other}"
            words = (SOURCES / "versions_program.c", f"{other}/{linked}/libv.so.1", "-ldl")
            program = shop.program(by, name, *variants[variant], *words)
            for release in range(int(linked), 4):
                path = f"{other}/{release}:{shop.target.library_path}"
                found[by, other, release] = shop.run(program, LD_LIBRARY_PATH=path)
        for (by, other, release), ran in found.items():
            assert ran == found["gnu", "gnu", release] and ran[1] == 0, (linked, variant, by, other, release)
