"""Link-time optimisation through the compilers' own plugins: programs do what those of GNU ld do, and keep the same functions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.command import uselib
from support.dynamic_links import LINKERS, LinkFolder
from support.tools import have, native, needs
from uselib.commands.ld_dir import directory as link_directory
from uselib.linker.errors import LinkError
from uselib.linker.lto.plugin import FilePart, Plugin
from uselib.linker.options import Options, PluginOptions

pytestmark = [needs("gcc", "ld", "nm"), native]

MAIN = """
#include <stdio.h>
int add(int, int); int never(int);
int kept = 4;
static int local(int n) { return n > 1000 ? never(n) : add(n, kept); }
int main(void) { printf("%d\\n", local(3)); return 0; }
"""
SOURCES = {
    "main.c": MAIN,
    "add.c": "int add(int a, int b) { return a + b; }\nint unused(int n) { return n * 77; }\n",
    "never.c": "#include <stdlib.h>\nint never(int n) { exit(n); }\n",
    "other.c": "int other(void) { return 1; }\n",
}
FORMS: dict[str, tuple[str, ...]] = {
    "slim": ("-flto", "-fno-fat-lto-objects"),
    "fat": ("-flto", "-ffat-lto-objects"),
}


def gcc(folder: Path, *words: object, by: str = "gnu", compiler: str = "gcc", status: int = 0) -> str:
    """A run of the compiler; what it said."""
    ours = [f"-B{link_directory()}"] if by == "ours" else []
    done = subprocess.run([compiler, *ours, *map(str, words)], cwd=folder, capture_output=True, text=True)
    assert (done.returncode != 0) == (status != 0), done.stderr
    return done.stderr


def names(file: Path, *words: str) -> set[str]:
    text = subprocess.run(["nm", *words, file], capture_output=True, text=True, check=True).stdout
    found = {line.split()[-1] for line in text.splitlines()}
    return {
        name
        for name in found
        if name in {"main", "add", "unused", "never", "other", "kept", "shown", "hidden", "local"}
    }


def output(program: Path, **variables: str) -> str:
    done = subprocess.run([program], capture_output=True, text=True, env=variables or None, timeout=60)
    return f"{done.stdout}{done.stderr}{done.returncode}"


def sources(folder: Path) -> None:
    for name, text in SOURCES.items():
        (folder / name).write_text(text)


def test_static_programs_have_no_shared_libraries(tmp_path: Path, arch: str) -> None:
    """What the plugin asks for (-plugin-opt=-pass-through=-lc) is an archive as well behind -static."""
    shop = LinkFolder(tmp_path, arch)
    shop.source("m.c", "int main(void) { return 0; }\n")
    for by in ("gnu", "ours"):
        shop.cc(by, by, "-O2", "-flto", "-static", "m.c")
        assert shop.run(tmp_path / by) == ("", 0)
        words = ["readelf", "-W", "-l", tmp_path / by]
        assert "INTERP" not in subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("arch", ["x86_64", "i386"])
def test_objects_and_archives(tmp_path: Path, arch: str, form: str) -> None:
    """Only what is needed of the archive is compiled; what nobody calls is left out, and what is small is inlined."""
    shop = LinkFolder(tmp_path, arch)
    sources(tmp_path)
    for name in SOURCES:
        shop.cc("gnu", name.replace(".c", ".o"), "-c", "-O2", *FORMS[form], name)
    subprocess.run(
        [f"{shop.target.c[0]}-ar", "rcs", "libparts.a", "add.o", "never.o", "other.o"], cwd=tmp_path, check=True
    )
    for words in (("add.o", "never.o", "other.o"), ("-L.", "-lparts")):
        made = {by: shop.program(by, by, "-O2", "-flto", "main.o", *words) for by in LINKERS}
        assert shop.run(made["ours"]) == shop.run(made["gnu"]) == ("7\n", 0)
        assert names(made["ours"]) == names(made["gnu"]) and "unused" not in names(made["ours"])


def test_objects_with_and_without(tmp_path: Path) -> None:
    """What the plugin is told of each symbol is what GNU ld tells it: names that objects mention, weak definitions before strong ones."""
    sources(tmp_path)
    (tmp_path / "weak.c").write_text(
        "__attribute__((weak)) int add(int a, int b) { return -1; }\nint never(int n) { return n; }\n"
    )
    (tmp_path / "plain.c").write_text("extern int unused(int); int (*const taken)(int) = unused;\n")
    gcc(tmp_path, "-c", "-O2", "-flto", "main.c", "weak.c", "add.c")
    gcc(tmp_path, "-c", "-O2", "plain.c")
    subprocess.run(["cp", "add.c", "strong.c"], cwd=tmp_path, check=True)
    gcc(tmp_path, "-c", "-O2", "strong.c")
    for files in (("main.o", "weak.o", "strong.o"), ("weak.o", "main.o", "add.o", "plain.o")):
        for by in LINKERS:
            gcc(tmp_path, "-O2", "-flto", *files, "-save-temps", "-o", by, by=by)
        assert output(tmp_path / "ours") == output(tmp_path / "gnu")
        assert names(tmp_path / "ours") == names(tmp_path / "gnu")
        told = (tmp_path / "ours.res").read_text()
        assert told == (tmp_path / "gnu.res").read_text() and "PREEMPTED" in told and "PREVAILING_DEF_IRONLY" in told


def test_shared_object_with_a_version_script(tmp_path: Path) -> None:
    (tmp_path / "l.c").write_text(
        "int hidden(int n) { return n + 1; }\nint shown(int n) { return hidden(n); }\nint never(int n) { return n; }\n"
    )
    (tmp_path / "l.map").write_text("V1 { global: shown; local: *; };\n")
    for by in LINKERS:
        words = ("-shared", "-fPIC", "-O2", "-flto", "l.c", "-Wl,--version-script=l.map")
        gcc(tmp_path, *words, "-o", f"{by}.so", by=by)
    assert names(tmp_path / "ours.so", "-D", "--without-symbol-versions") == {"shown"}
    assert names(tmp_path / "ours.so") == names(tmp_path / "gnu.so") == {"shown"}


def test_what_options_name_stays(tmp_path: Path) -> None:
    """-u, --defsym, --wrap, -E, and what a shared object refers to."""
    (tmp_path / "l.c").write_text("extern int shown(int); int call(void) { return shown(5); }\n")
    (tmp_path / "p.c").write_text(
        "#include <stdio.h>\nint call(void); int shown(int n) { return n; }\nint never(int n) { return n; }\n"
        "int other(void) { return 2; }\n\n"
        'int main(void) { printf("%d %d\\n", call(), other()); return 0; }\n'
    )
    gcc(tmp_path, "-shared", "-fPIC", "l.c", "-o", "libl.so", "-Wl,-soname,libl.so")
    gcc(tmp_path, "-c", "-O2", "-flto", "p.c")
    for words in ((), ("-Wl,-u,never",), ("-Wl,--defsym=kept=never",), ("-Wl,-E",)):
        for by in LINKERS:
            gcc(tmp_path, "-O2", "-flto", "p.o", "libl.so", "-Wl,-rpath,$ORIGIN", *words, "-o", by, by=by)
        ours, gnu = tmp_path / "ours", tmp_path / "gnu"
        assert names(ours, "-D") == names(gnu, "-D"), words
        assert names(ours) == names(gnu), words
        assert output(ours) == output(gnu) == "5 2\n0"


def test_wrapped_names(tmp_path: Path) -> None:
    """A function of an object, called from files of the compiler: gcc joins references to its own functions by name, whatever it is told."""
    (tmp_path / "m.c").write_text("int other(void); int main(void) { return other(); }\n")
    (tmp_path / "w.c").write_text("int __real_other(void); int __wrap_other(void) { return 10 * __real_other(); }\n")
    (tmp_path / "o.c").write_text("int other(void) { return 2; }\n")
    gcc(tmp_path, "-c", "-O2", "-flto", "m.c", "w.c")
    gcc(tmp_path, "-c", "o.c")
    gcc(tmp_path, "-O2", "-flto", "m.o", "w.o", "o.o", "-Wl,--wrap=other", "-o", "p", by="ours")
    assert output(tmp_path / "p") == "20"


def test_cxx_groups_of_both_kinds(tmp_path: Path) -> None:
    """An inline function with a static variable in objects with and without: there is one variable, and an exception is caught."""
    if not have("g++"):
        pytest.skip("needs g++")
    (tmp_path / "h.h").write_text(
        "#include <stdexcept>\ninline int &count() { static int n; return n; }\n"
        'template <class T> T twice(T t) { if (t > 3) throw std::runtime_error("large"); count()++; return t + t; }\n'
    )
    (tmp_path / "a.cc").write_text('#include "h.h"\nint a() { return twice(2); }\n')
    (tmp_path / "b.cc").write_text(
        '#include "h.h"\n#include <cstdio>\nint a();\nint main() { a(); twice(1); '
        'try { twice(9); } catch (std::exception &e) { std::printf("%s %d\\n", e.what(), count()); } }\n'
    )
    for first, second in (("-flto", "-fno-lto"), ("-fno-lto", "-flto"), ("-flto", "-flto")):
        gcc(tmp_path, "-c", "-O1", first, "a.cc", compiler="g++")
        gcc(tmp_path, "-c", "-O1", second, "b.cc", compiler="g++")
        for files in (("a.o", "b.o"), ("b.o", "a.o")):
            gcc(tmp_path, "-O1", "-flto", *files, "-o", "p", by="ours", compiler="g++")
            assert output(tmp_path / "p") == "large 2\n0"


def test_partial_link_gives_machine_code(tmp_path: Path) -> None:
    sources(tmp_path)
    gcc(tmp_path, "-c", "-O2", "-flto", "main.c", "add.c", "never.c")
    gcc(tmp_path, "-r", "-nostdlib", "-O2", "-flto", "main.o", "add.o", "-o", "r.o", by="ours")
    assert {"main", "add", "unused"} <= names(tmp_path / "r.o")
    gcc(tmp_path, "r.o", "never.o", "-flto", "-o", "p", by="ours")
    assert output(tmp_path / "p") == "7\n0"


@needs("clang", "llvm-ar-14")
def test_clang(tmp_path: Path) -> None:
    """LLVM's intermediate code, in files and in an archive, with gcc's objects beside it."""
    if not list(Path("/usr/lib").glob("llvm-*/lib/LLVMgold.so")):
        pytest.skip("needs LLVMgold.so")
    sources(tmp_path)
    gcc(tmp_path, "-c", "-O2", "-flto", "main.c", "add.c", "other.c", compiler="clang")
    gcc(tmp_path, "-c", "-O2", "never.c")
    subprocess.run(["llvm-ar-14", "rcs", "libparts.a", "add.o", "other.o"], cwd=tmp_path, check=True)
    for words in (("add.o",), ("libparts.a",)):
        for by in LINKERS:
            gcc(tmp_path, "-flto", "main.o", "never.o", *words, "-o", by, by=by, compiler="clang")
        assert output(tmp_path / "ours") == output(tmp_path / "gnu") == "7\n0"
        assert names(tmp_path / "ours") == names(tmp_path / "gnu")
    failed = uselib("ld", "-e", "main", "main.o", "-o", "none", cwd=tmp_path)
    assert (
        failed.returncode == 1
        and "main.o: LLVM's intermediate code, of link-time optimisation; link with clang" in failed.stderr
    )


# -- what goes wrong -----------------------------------------------------------------------------------------------------------------------


def test_errors_of_the_link(tmp_path: Path) -> None:
    sources(tmp_path)
    (tmp_path / "main.c").write_text(MAIN.replace("int kept", "volatile int kept").replace("n > 1000", "kept > 1000"))
    gcc(tmp_path, "-c", "-O2", "-flto", "main.c", "add.c")
    said = gcc(tmp_path, "-flto", "main.o", "add.o", "-o", "none", by="ours", status=1)
    assert "undefined symbol: never" in said and "in function" in said
    said = gcc(tmp_path, "-flto", "main.o", "add.o", "add.o", "-o", "none", by="ours", status=1)
    assert re.search(r"add\.o: add: defined twice; first in add\.o", said)
    done = uselib("ld", "-e", "main", "main.o", "-o", "none", cwd=tmp_path)
    assert (
        done.returncode == 1 and "main.o: holds link-time-optimisation data only; link by the compiler" in done.stderr
    )
    assert not (tmp_path / "none").exists()


PLUGINS = {
    "return 3;": "plugin.so refuses to be loaded",
    "abort();": "the compiler's plugin ended unexpectedly (status -6)",
    'tell(3, "%s: %d", "no room", 12); return 0;': "no room: 12",
    'tell(2, "bad %s", "news"); return 0;': "bad news",
}


@pytest.mark.parametrize("body", PLUGINS)
def test_a_plugin_that_fails(tmp_path: Path, body: str) -> None:
    """It takes its own process with it, and the linker says what it said."""
    sources(tmp_path)
    (tmp_path / "plugin.c").write_text(
        "#include <stdlib.h>\nstruct tv { int tag; union { int n; void *p; } u; };\n"
        "int onload(struct tv *tv) { int (*tell)(int, const char *, ...) = 0;\n"
        f"for (; tv->tag; tv++) if (tv->tag == 11) tell = tv->u.p;\n(void)tell; {body} }}\n"
    )
    gcc(tmp_path, "-c", "-flto", "main.c")
    gcc(tmp_path, "-shared", "-fPIC", "plugin.c", "-o", "plugin.so")
    done = uselib("ld", "-plugin", "plugin.so", "-e", "main", "main.o", "-o", "none", cwd=tmp_path)
    assert done.returncode == 1 and f"plugin.so: {PLUGINS[body]}" in done.stderr.replace("./", ""), done.stderr
    assert not (tmp_path / "none").exists()


def test_a_plugin_whose_process_is_killed(tmp_path: Path) -> None:
    """The linker says so and ends, though a request could not be sent."""
    name = ["gcc", "-print-file-name=liblto_plugin.so"]
    path = subprocess.run(name, capture_output=True, text=True, check=True).stdout.strip()
    plugin = Plugin(PluginOptions(path), Options(output=str(tmp_path / "none")))
    process = plugin._process
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(LinkError, match="ended unexpectedly"):
        plugin.claim(FilePart(path, 0, 1), 0)
    plugin.close()


def test_a_plugin_that_is_none(tmp_path: Path) -> None:
    sources(tmp_path)
    gcc(tmp_path, "-c", "-flto", "main.c")
    done = uselib("ld", "-plugin", "/nowhere.so", "-e", "main", "main.o", "-o", "none", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("uselib: /nowhere.so: ")
    done = uselib("ld", "-plugin-opt=x", "main.o", cwd=tmp_path)
    assert done.returncode == 2 and "no -plugin before it" in done.stderr
