"""Mistakes that the old systems neither checked nor repaired, shown by programs: two copies of a variable, a function of the program that its
library does not use, versions that are only names. docs/schemes.md links to these tests.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.coff import LIB1, SPEC, compile_c, link_program, make_root, run_program
from support.command import uselib
from support.textbook import compile_c as compile_book

LIBRARY = """
int errno_, calls;
__attribute__((noipa)) int helper(int x) { calls++; return x + 1; }
int fail(int x) { errno_ = 5; return helper(x); }
"""


def build(book_kit: Path, folder: Path, **sources: str) -> None:
    shutil.copy(book_kit / "crt.o", folder)
    for name, text in sources.items():
        compile_book(folder, name, text, "-fdata-sections")


def textbook_library(folder: Path, name: str, version: str, *objects: str, output: str = ".") -> None:
    words = ["--name", name, "--version", version, "--text", "0x60400000", "-o", output, *objects]
    result = uselib("mkshlib", "-q", "--format", "textbook", *words, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")


def textbook_program(folder: Path, *objects: str) -> str:
    """Links; returns the warnings."""
    result = uselib("ld", "-m", "textbook", "-o", "p", "crt.o", *objects, "-Llib", "-le", cwd=folder)
    assert result.returncode == 0
    return result.stderr


def textbook_run(folder: Path) -> int:
    result = uselib("run", "--library-path", folder / "shlib", "--readable", folder, folder / "p")
    assert result.stderr == ""
    return result.returncode


@pytest.fixture
def shop(book_kit: Path, tmp_path: Path) -> Path:
    build(book_kit, tmp_path, lib=LIBRARY)
    textbook_library(tmp_path, "e", "1.0.0", "lib.o")
    return tmp_path


def test_two_copies_of_errno_in_the_textbooks_system(book_kit: Path, shop: Path) -> None:
    """Figure 5. Here the linker warns; those of the time did not."""
    build(book_kit, shop, prog="int errno_; int fail(int); int main(void) { fail(0); return errno_; }")
    assert "errno_: also defined in the shared library libe_s.1.0.0" in textbook_program(shop, "prog.o")
    assert textbook_run(shop) == 0
    build(book_kit, shop, prog="extern int errno_; int fail(int); int main(void) { fail(0); return errno_; }")
    assert textbook_program(shop, "prog.o") == ""
    assert textbook_run(shop) == 5


def test_the_textbooks_library_calls_its_own_function(book_kit: Path, shop: Path) -> None:
    """Without the malloc hack: the program's function of the same name is for the program only."""
    text = "int helper(int x) { return 50; } int fail(int); int main(void) { return fail(1) + helper(0); }"
    build(book_kit, shop, prog=text)
    assert "helper: also defined in the shared library" in textbook_program(shop, "prog.o")
    assert textbook_run(shop) == 52


def test_the_textbooks_malloc_hack(book_kit: Path, tmp_path: Path) -> None:
    """Figure 4: the library calls through a pointer, which the program sets when it starts."""
    library = "void *(*alloc_pointer)(int); int use(void) { int *p = alloc_pointer(4); return p ? *p : 1; }"
    program = """extern void *(*alloc_pointer)(int); int use(void); static int cell = 33;
    static void *alloc(int n) { return &cell; } int main(void) { alloc_pointer = alloc; return use(); }"""
    build(book_kit, tmp_path, lib=library, prog=program)
    textbook_library(tmp_path, "e", "1.0.0", "lib.o")
    assert textbook_program(tmp_path, "prog.o") == ""
    assert textbook_run(tmp_path) == 33


def test_the_textbooks_versions_are_names(book_kit: Path, shop: Path) -> None:
    """Start-up opens exactly that name. Another version under that name is not noticed: old calls go to the functions now in the slots."""
    build(
        book_kit,
        shop,
        prog="int fail(int); int main(void) { return fail(1); }",
        first="int a_first(int x) { return 77; }",
    )
    textbook_program(shop, "prog.o")
    assert textbook_run(shop) == 2
    textbook_library(shop, "e", "2.0.0", "lib.o", "first.o", output="new")
    shutil.copy(shop / "new/shlib/libe_s.2.0.0", shop / "shlib")
    assert textbook_run(shop) == 2
    shutil.copy(shop / "new/shlib/libe_s.2.0.0", shop / "shlib/libe_s.1.0.0")
    assert textbook_run(shop) == 77


# -- System V Release 3 ---------------------------------------------------------------------------------------------------------

ALLOC = "static int pool[10]; void *my_alloc(int n) { return pool; }"


def test_a_variable_of_the_program_in_coff(coff_kit: Path, tmp_path: Path) -> None:
    """A variable of the library defined by the program, which uses a function that needs it: two definitions, and no program."""
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    compile_c(tmp_path, "twice", f"{ALLOC} int counter = 1; int *make(int); int main(void) {{ return *make(0); }}")
    words = ["-o", "twice", "crt1.o", "twice.o", "libx.a", "crtn.o"]
    result = uselib("ld", "-m", "i386coff", *words, cwd=tmp_path)
    assert result.returncode == 1 and "counter: defined twice" in result.stderr and not (tmp_path / "twice").exists()


def test_members_that_a_function_needs_are_linked(coff_kit: Path, tmp_path: Path) -> None:
    """The program uses make only. Its member brings the one of addone, whose `.init` code sets the pointer that make calls through."""
    compile_c(coff_kit, "makes", f"{ALLOC} int *make(int); int main(void) {{ return *make(0) * 10; }}")
    program = link_program(coff_kit, "makes", "makes.o")
    assert run_program(make_root(tmp_path, program, (coff_kit / "libx_s").read_bytes())).returncode == 60


def test_a_library_of_a_library_comes_with_it(coff_kit: Path, tmp_path: Path) -> None:
    """#objects noload: the program names the second library and gets the first mapped as well, if both host libraries are linked."""
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    compile_c(tmp_path, "upper", "int addone(int); int upper(int x) { return addone(x) + 100; }")
    spec = "#target /shlib/libu_s\n#address .text 0xa4800000\n#address .data 0xa4c00000\n#branch\n upper 1\n#objects\n upper.o\n"
    (tmp_path / "uspec").write_text(spec + "#objects noload\n libx.a\n")
    made = uselib("mkshlib", "--format", "coff", "-s", "uspec", "-o", ".", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    compile_c(tmp_path, "uses", f"{ALLOC} int upper(int); int main(void) {{ return upper(1); }}")
    words = ["-o", "uses", "crt1.o", "uses.o", "libu.a", "libx.a", "crtn.o"]
    linked = uselib("ld", "-m", "i386coff", *words, cwd=tmp_path)
    assert (linked.returncode, linked.stderr) == (0, "")
    (tmp_path / "tree").mkdir()
    tree = make_root(tmp_path / "tree", tmp_path / "uses", (coff_kit / "libx_s").read_bytes())
    shutil.copy(tmp_path / "libu_s", tree / "shlib")
    (tree / "shlib" / "libu_s").chmod(0o755)
    assert (run_program(tree).returncode, run_program(tree).stderr) == (107, "")
    words.remove("libx.a")
    alone = uselib("ld", "-m", "i386coff", *words, cwd=tmp_path)
    assert alone.returncode == 1 and "undefined symbol: addone" in alone.stderr


def test_coff_versions_are_paths(coff_kit: Path, tmp_path: Path) -> None:
    """The kernel maps what is at the recorded path: nothing says that its slots are others. chkshlib does, before."""
    folder = tmp_path / "other"
    shutil.copytree(coff_kit, folder)
    (folder / "spec").write_text(SPEC.replace("addone 1", "self 1").replace("self 4", "addone 4"))
    assert uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=folder).returncode == 0
    compile_c(coff_kit, "short", f"{ALLOC} int addone(int); int main(void) {{ return addone(1); }}")
    program = link_program(coff_kit, "short", "short.o")
    assert run_program(make_root(tmp_path, program, (coff_kit / "libx_s").read_bytes())).returncode == 7
    assert run_program(make_root(tmp_path, program, (folder / "libx_s").read_bytes())).returncode != 7
    assert uselib("chkshlib", program, coff_kit / "libx_s").returncode == 0
    assert uselib("chkshlib", program, folder / "libx_s").returncode == 4


# -- chkshlib -b and -n ------------------------------------------------------------------------------------------------------------


def test_symbols_out_of_bounds(coff_kit: Path, tmp_path: Path) -> None:
    """-b: a host library with a variable that lies behind the end of the target's data."""
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    compile_c(tmp_path, "lib1", LIB1.replace("int counter", "int large[9000] = {1}, counter"))
    assert uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", "large", cwd=tmp_path).returncode == 0
    result = uselib("chkshlib", "-b", "-v", "large/libx.a", "libx_s", cwd=tmp_path)
    assert result.returncode == 4
    lines = result.stdout.splitlines()
    assert any(
        line.startswith("  warning: large: 0xa44") and line.endswith("outside the target's sections") for line in lines
    )
    assert "warning" not in uselib("chkshlib", "-b", "libx.a", "libx_s", cwd=tmp_path).stdout


def test_does_one_library_refer_to_another(coff_kit: Path, tmp_path: Path) -> None:
    shutil.copytree(coff_kit, tmp_path, dirs_exist_ok=True)
    compile_c(tmp_path, "upper", "int addone(int); int upper(int x) { return addone(x) + 100; }")
    spec = "#target /shlib/libu_s\n#address .text 0xa4800000\n#address .data 0xa4c00000\n#branch\n upper 1\n#objects\n upper.o\n"
    (tmp_path / "uspec").write_text(spec + "#objects noload\n libx.a\n")
    assert uselib("mkshlib", "--format", "coff", "-s", "uspec", "-o", ".", cwd=tmp_path).returncode == 0
    result = uselib("chkshlib", "-n", "libu_s", "libx_s", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (
        0,
        "libu_s, libx_s: does the first refer to the second? yes, by addone\n",
    )
    result = uselib("chkshlib", "-n", "libx_s", "libu_s", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "libx_s, libu_s: does the first refer to the second? no\n")
