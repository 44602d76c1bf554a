"""mkshlib, differentially: a program linked with the stub by several linkers runs natively against the target library."""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.mkshlib import compile_c, image, mkshlib, run_program
from support.tools import needs, require
from uselib.linker.image import EXEC, READ, WRITE, ExportKind, Machine
from uselib.linker.library import jump_table

pytestmark = needs("gcc", "ld")

ADD = """
int counter = 5;                       /* exported data */
const int limit = 99;                  /* exported constant */
int table[100];                        /* exported bss */
static int private_count = 7;          /* private data */
static int zeroes[1000];
int add(int a, int b) { private_count++; return a + b; }
int twice(int a) { return add(a, a) + zeroes[a & 7]; }
typedef int (*function)(int, int);
function address_of_add(void) { return add; }
function stored = add;
__attribute__((visibility("hidden"))) int hidden_one(void) { return 1; }
int calls_hidden(void) { return hidden_one() + private_count; }
"""
MULT = """
int add(int, int);
extern int counter, table[];
__attribute__((weak)) int absent(void);
int mult(int a, int b) { int r = 0; while (b--) r = add(r, a); table[3] = r; counter++; return r; }
int has_absent(void) { return absent ? 1 : 0; }
static const char *const names[] = {"zero", "one", "two"};
const char *name_of(int n) { return names[n]; }
int which(int n) { switch (n) { case 0: return 10; case 1: return 21; case 2: return 32; case 3: return 47;
                                case 4: return 51; case 5: return 60; default: return -1; } }
"""
USER = """
extern int counter, table[], calls_hidden(void), has_absent(void), which(int), mult(int, int), twice(int), add(int, int);
extern const int limit; extern const char *name_of(int);
typedef int (*function)(int, int); extern function stored, address_of_add(void);
int main_(void) {
  put_number(add(2, 3)); put_number(twice(21)); put_number(mult(6, 7)); put_number(counter); put_number(table[3]);
  put_number(limit); put(name_of(2)); put("\\n"); put_number(which(3)); put_number(has_absent());
  put_number(calls_hidden());
  put_number(address_of_add() == add && stored == add);
  counter = 40; mult(1, 1); put_number(counter);
  return 0;
}
"""
EXPECTED = "5\n42\n42\n6\n42\n99\ntwo\n47\n0\n17\n1\n41\n"

MODELS = {
    "static": (),
    "pic": ("-fPIC",),
    "sections": ("-ffunction-sections", "-fdata-sections"),
    "debug": ("-g",),
    "optimised": ("-O3",),
    "unwind": ("-fasynchronous-unwind-tables",),
    "no plt": ("-fPIC", "-fno-plt", "-O2"),
}


@pytest.mark.parametrize("model", MODELS)
def test_library_runs(tmp_path: Path, machine: Machine, model: str) -> None:
    objects = [
        compile_c(tmp_path, machine, name, text, *MODELS[model]) for name, text in (("add", ADD), ("mult", MULT))
    ]
    mkshlib("--name", "vector", "--version", "1.2.3", "--text", "0x61000000", "-o", tmp_path, *objects)
    library = tmp_path / "shlib/libvector_s.1.2.3"
    stub = tmp_path / "lib/libvector_s.a"
    assert stub.read_bytes() == (tmp_path / "lib/libvector_s.1.2.3.a").read_bytes()
    assert run_program(tmp_path, machine, USER, [library], [stub]) == EXPECTED


TABLES = """
int f(int); int g(int);
__asm__(".section .rodata; .globl relative; .byte 0xe8; relative: .long f - ., g@PLT; .text");
"""
FUNCTIONS = "int f(int a) { return a + 1; } int g(int a) { return a + 2; }"


def test_relative_pointers_in_data_are_addresses(tmp_path: Path, machine: Machine) -> None:
    objects = [compile_c(tmp_path, machine, name, text) for name, text in (("t", TABLES), ("f", FUNCTIONS))]
    mkshlib("--name", "v", "--version", "1.0.0", "--text", "0x61000000", "-o", tmp_path, *objects)
    program = """extern int relative[2]; int f(int), g(int); int main_(void) {
put_number((char *)&relative[0] + relative[0] == (char *)f); put_number((char *)&relative[1] + relative[1] == (char *)g);
return 0; }"""
    library, stub = tmp_path / "shlib/libv_s.1.0.0", tmp_path / "lib/libv_s.a"
    assert run_program(tmp_path, machine, program, [library], [stub]) == "1\n1\n"


@needs("clang")
@pytest.mark.parametrize("model", [("-fno-pic",), ("-fPIC",), ("-fPIC", "-O3")], ids=["static", "pic", "optimised"])
def test_clang(tmp_path: Path, machine: Machine, model: tuple[str, ...]) -> None:
    objects = [
        compile_c(tmp_path, machine, name, text, *model, compiler="clang")
        for name, text in (("add", ADD), ("mult", MULT))
    ]
    mkshlib("--name", "v", "--version", "1.0.0", "--text", "0x61000000", "-o", tmp_path, *objects)
    assert (
        run_program(tmp_path, machine, USER, [tmp_path / "shlib/libv_s.1.0.0"], [tmp_path / "lib/libv_s.a"]) == EXPECTED
    )


@pytest.mark.parametrize("linker", ["ld.lld", "mold"])
def test_other_linkers(tmp_path: Path, machine: Machine, linker: str) -> None:
    require(linker)
    objects = [compile_c(tmp_path, machine, name, text) for name, text in (("add", ADD), ("mult", MULT))]
    mkshlib("--name", "vector", "--version", "1.2.3", "--text", "0x61000000", "-o", tmp_path, *objects)
    library, stub = tmp_path / "shlib/libvector_s.1.2.3", tmp_path / "lib/libvector_s.a"
    assert run_program(tmp_path, machine, USER, [library], [stub], linker) == EXPECTED


EXPORTED = "add address_of_add calls_hidden has_absent mult name_of twice which".split()


@pytest.fixture(params=["uselib", "mmap"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vector(scheme: str, tmp_path: Path, machine: Machine) -> Path:
    objects = [compile_c(tmp_path, machine, name, text) for name, text in (("add", ADD), ("mult", MULT))]
    words = ["--name", "vector", "--version", "1.2.3", "--text", "0x61000000", "--scheme", scheme]
    mkshlib(*words, "-o", tmp_path, *objects)
    return tmp_path / "shlib/libvector_s.1.2.3"


def test_headers_of_the_file(vector: Path, machine: Machine) -> None:
    read = image(vector)
    assert read.library is not None and read.library.machine is machine
    who = read.library.identity
    assert (who.file_name, who.base) == ("libvector_s.1.2.3", 0x61000000)
    functions = [e for e in read.exports if e.kind is ExportKind.FUNCTION]
    assert [(e.name, e.slot) for e in functions] == [(name, n) for n, name in enumerate(EXPORTED, 1)]
    sizes = {e.name: e.size for e in read.exports if e.kind is ExportKind.DATA}
    assert sizes == {"counter": 4, "limit": 4, "table": 400, "stored": machine.word}


def test_segments_of_the_file(vector: Path, scheme: str) -> None:
    """File offset = address - base throughout; text R-X, data RW-, on pages of their own; exported data first."""
    read = image(vector)
    header = read.library
    assert header is not None
    base = header.identity.base
    text, writable = header.segments
    assert (text.flags, writable.flags) == (READ | EXEC, READ | WRITE)
    assert all(s.offset == s.address - base for s in (*header.segments, *read.segments))
    assert writable.address % 4096 == 0 and writable.address - text.end >= 2 * 4096
    if scheme == "uselib":
        (only,) = read.segments
        assert (only.flags, only.address, only.end) == (7, base, writable.end)
        assert read.program_headers[2] <= 2  # what uselib(2) accepts
    else:
        assert read.segments == header.segments
    exported = {e.name: e for e in read.exports}
    assert all(writable.address <= exported[n].address < writable.address + 4096 for n in ("counter", "limit", "table"))


def test_slots_lead_to_the_functions(vector: Path) -> None:
    read = image(vector)
    header = read.library
    assert header is not None and header.jump_table == header.identity.base + 0x800
    raw = vector.read_bytes()[0x800 : 0x800 + 8 * header.identity.slot_count]
    slots = jump_table.decode(raw, header.jump_table)
    text, _ = header.segments
    for export in read.exports:
        if export.kind is ExportKind.FUNCTION:
            assert slots[export.slot - 1].target == export.implementation
            assert header.slot_address(export.slot) == export.address
            assert text.address < export.implementation < text.end


def test_mmap_layout_runs(tmp_path: Path, machine: Machine) -> None:
    objects = [compile_c(tmp_path, machine, name, text) for name, text in (("add", ADD), ("mult", MULT))]
    mkshlib("--name", "v", "--version", "1.0.0", "--text", "0x61000000", "--scheme", "mmap", "-o", tmp_path, *objects)
    assert (
        run_program(tmp_path, machine, USER, [tmp_path / "shlib/libv_s.1.0.0"], [tmp_path / "lib/libv_s.a"]) == EXPECTED
    )


def test_debug_information_has_the_addresses_of_the_functions(tmp_path: Path, machine: Machine) -> None:
    objects = [compile_c(tmp_path, machine, name, text, "-g") for name, text in (("add", ADD), ("mult", MULT))]
    for strip in ([], ["-S"]):
        mkshlib("--name", "v", "--version", "1.0.0", "--text", "0x61000000", *strip, "-o", tmp_path, *objects)
        path = tmp_path / "shlib/libv_s.1.0.0"
        implementation = {e.name: e.implementation for e in image(path).exports if e.kind is ExportKind.FUNCTION}
        with open(path, "rb") as file:
            elf = ELFFile(file)
            assert elf.has_dwarf_info() == (not strip)
            if strip:
                continue
            found = {}
            for unit in elf.get_dwarf_info().iter_CUs():
                for die in unit.iter_DIEs():
                    if die.tag == "DW_TAG_subprogram" and {"DW_AT_low_pc", "DW_AT_name"} <= die.attributes.keys():
                        found[die.attributes["DW_AT_name"].value.decode()] = die.attributes["DW_AT_low_pc"].value
        named = found.keys() & implementation.keys()  # an inlined function has its name elsewhere
        assert len(named) > 3 and all(found[name] == implementation[name] for name in named)


def test_same_inputs_same_bytes(tmp_path: Path, machine: Machine) -> None:
    objects = [compile_c(tmp_path, machine, name, text, "-g") for name, text in (("add", ADD), ("mult", MULT))]
    for directory in ("one", "two"):
        words = ["--name", "v", "--version", "1.0.0", "--text", "0x61000000", "--format", "both"]
        mkshlib(*words, "-o", tmp_path / directory, *objects)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) > 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


HOOK = """
void *allocate(int); 
void *twice_allocate(int n) { allocate(n); return allocate(n + 1); }
typedef void *(*allocator)(int);
allocator address_of_allocate(void) { return allocate; }
"""
ALLOCATE = "static int n; void *allocate(int size) { static char pool[100]; n++; return pool + size; } int count(void) { return n; }"


@pytest.mark.parametrize("model", [(), ("-fPIC",)], ids=["static", "pic"])
def test_interposable(tmp_path: Path, machine: Machine, model: tuple[str, ...]) -> None:
    objects = [compile_c(tmp_path, machine, n, t, *model) for n, t in (("hook", HOOK), ("allocate", ALLOCATE))]
    mkshlib(
        "--name",
        "m",
        "--version",
        "1.0.0",
        "--text",
        "0x61000000",
        "--interposable",
        "allocate",
        "-o",
        tmp_path,
        *objects,
    )
    library, stub = [tmp_path / "shlib/libm_s.1.0.0"], [tmp_path / "lib/libm_s.a"]
    common = """
void *twice_allocate(int), *allocate(int); int count(void); typedef void *(*allocator)(int);
allocator address_of_allocate(void);
"""
    with_library = "int main_(void) { twice_allocate(1); allocate(1); put_number(count());"
    with_library += "put_number(address_of_allocate() == allocate); return 0; }"
    assert run_program(tmp_path, machine, common + with_library, library, stub) == "3\n1\n"
    own = """
static int mine; void *allocate(int size) { mine++; return (void *)(long)(size + 1000); }
int main_(void) { put_number((long)twice_allocate(1)); put_number(mine); put_number(count());
                  put_number((long)address_of_allocate()(5)); return 0; }
"""
    # the library calls the program's definition, directly and through its slot
    assert run_program(tmp_path, machine, common + own, library, stub) == "1002\n2\n0\n1005\n"


def test_exported_data_comes_first_even_if_it_is_zero(tmp_path: Path, machine: Machine) -> None:
    source = "static int private = 5; int zero, also[9]; int f(void) { return private++ + zero; }"
    made = compile_c(tmp_path, machine, "z", source)
    mkshlib("--name", "z", "--version", "1.0.0", "--text", "0x61000000", "-o", tmp_path, made)
    read = image(tmp_path / "shlib/libz_s.1.0.0")
    header = read.library
    assert header is not None
    where = {s.name: s.address for s in read.symbols}
    assert where["also"] == header.segments[1].address  # byte order of the names
    assert where["also"] < where["zero"] < where["private"] < header.segments[1].address + header.segments[1].file_size


INIT_STYLE = """
void *(*_foo_malloc)(int);                     /* an import pointer, as SVR3's libraries had them */
int use(int n) { return (int)(long)_foo_malloc(n); }
"""


def test_init_lines_set_pointers(tmp_path: Path, machine: Machine) -> None:
    user = compile_c(tmp_path, machine, "use", INIT_STYLE)
    (tmp_path / "foo.spec").write_text(
        f"#name foo\n#version 1.0.0\n#address .text 0x61000000\n#branch\nuse 1\n#init use.o\n_foo_malloc malloc\n#objects\n{user}\n"
    )
    mkshlib("-s", tmp_path / "foo.spec", "-o", tmp_path)
    program = """int use(int); void *malloc(int n) { return (void *)(long)(n * 3); }
int main_(void) { put_number(use(14)); return 0; }"""
    library, stub = [tmp_path / "shlib/libfoo_s.1.0.0"], [tmp_path / "lib/libfoo_s.a"]
    assert run_program(tmp_path, machine, program, library, stub) == "42\n"


WORLD = "int world_count = 3; int world(int n) { return n + world_count; }"
HELLO = """
int world(int); extern int world_count;
int hello(int n) { world_count++; return world(n) * 2; }
int (*pointer)(int) = world;
static int ready; __attribute__((constructor)) static void begin(void) { ready = 100; }
int is_ready(void) { return ready; }
"""


@pytest.mark.parametrize("form", ["archive", "directory"])
def test_two_libraries(tmp_path: Path, machine: Machine, form: str) -> None:
    world = compile_c(tmp_path, machine, "world", WORLD)
    hello = compile_c(tmp_path, machine, "hello", HELLO)
    mkshlib("--name", "world", "--version", "1.0.0", "--text", "0x61000000", "--format", "both", "-o", tmp_path, world)
    needed = [tmp_path / "lib/libworld_s"] if form == "directory" else ["-L", tmp_path / "lib", "-l", "world"]
    mkshlib("--name", "hello", "--version", "1.0.0", "--text", "0x61400000", "-o", tmp_path, hello, *needed)
    library = image(tmp_path / "shlib/libhello_s.1.0.0")
    assert library.library is not None
    assert library.library.dependencies == ("libworld_s.1.0.0",)
    world_image = image(tmp_path / "shlib/libworld_s.1.0.0")
    assert world_image.library is not None
    assert library.needs == (world_image.library.identity,)
    assert library.library.init_array[1] == 1
    program = """int hello(int), is_ready(void), world(int); extern int (*pointer)(int);
int main_(void) { put_number(hello(5)); put_number(is_ready()); put_number(pointer(1)); return 0; }"""
    paths = [tmp_path / "shlib/libworld_s.1.0.0", tmp_path / "shlib/libhello_s.1.0.0"]
    # only hello's stub: the program need not know what hello depends on
    assert run_program(tmp_path, machine, program, paths, [tmp_path / "lib/libhello_s.a"]) == "18\n100\n5\n"


def test_branch_lines_fix_slots(tmp_path: Path, machine: Machine) -> None:
    objects = [compile_c(tmp_path, machine, name, text) for name, text in (("add", ADD), ("mult", MULT))]
    (tmp_path / "v.spec").write_text(
        "#name v\n#version 1.0.0\n#address .text 0x61000000\n#address .data 0x61010000\n"
        "#branch\nmult 1\nadd 2-4\n.empty_slot 5\ntwice 6\n"
    )
    mkshlib("-s", tmp_path / "v.spec", "-o", tmp_path, *objects)
    path = tmp_path / "shlib/libv_s.1.0.0"
    read = image(path)
    header = read.library
    assert header is not None
    slot = {e.name: e.slot for e in read.exports if e.kind is ExportKind.FUNCTION}
    assert {name: slot[name] for name in ("mult", "add", "twice")} == {"mult": 1, "add": 4, "twice": 6}
    assert slot["address_of_add"] == 7  # not in #branch: behind, in byte order
    slots = jump_table.decode(path.read_bytes()[0x800:], header.jump_table, header.identity.slot_count)
    assert slots[1].target == slots[2].target == slots[3].target
    assert slots[4].empty
    assert header.segments[1].address == 0x61010000
    assert run_program(tmp_path, machine, USER, [path], [tmp_path / "lib/libv_s.a"]) == EXPECTED
