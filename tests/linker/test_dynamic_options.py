"""Options of shared objects and dynamic programs: what ours and GNU ld make of them, compared as readelf shows it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.command import uselib
from support.tools import needs
from uselib.commands.ld_dir import directory

pytestmark = needs("gcc", "g++", "ld", "readelf")
LINKERS = ("ours", "gnu")


def cc(folder: Path, by: str, *words: str, compiler: str = "gcc", status: int = 0) -> str:
    """Links in the folder; what the linker says."""
    ours = [f"-B{directory()}"] if by == "ours" else []
    done = subprocess.run([compiler, *ours, *words], cwd=folder, capture_output=True, text=True)
    assert (done.returncode != 0) == bool(status), done.stderr
    return done.stderr


def shown(file: Path, *words: str) -> str:
    return subprocess.run(["readelf", "-W", *words, file], capture_output=True, text=True, check=True).stdout


def exported(file: Path) -> set[str]:
    """Names with versions of what a file defines for others."""
    rows = [line.split() for line in shown(file, "--dyn-syms").splitlines()]
    return {row[7] for row in rows if len(row) > 7 and row[6] not in ("UND", "Ndx", "ABS")}


def tags(file: Path) -> list[str]:
    pattern = re.compile(r"\((AUDIT|DEPAUDIT|FILTER|AUXILIARY|RUNPATH|RPATH|SYMBOLIC|FLAGS|FLAGS_1)\)\s+(.*)")
    return sorted(" ".join(match.groups()) for match in pattern.finditer(shown(file, "-d")))


CXX = """
namespace alpha { int first = 1; int second(int) { return 2; } struct Beta { virtual ~Beta(); int run(); }; }
alpha::Beta::~Beta() {}
int alpha::Beta::run() { return 3; }
int other() { return 4; }
extern "C" { int alpha_c(void) { return 5; } int foo_bar(void) { return 6; } int she(void) { return 7; } int bcaa(void) { return 8; } }
"""
SCRIPTS = {
    "demangled": '{ global: extern "C++" { alpha::first; "alpha::second(int)"; }; local: *; };',
    "pattern": '{ global: extern "C++" { alpha::*; typeinfo*; vtable?for*; }; local: *; };',
    "local pattern": '{ local: extern "C++" { alpha*; }; };',
    "last pattern": "V1 { foo*; }; V2 { foo*bar*; }; V3 { *she*; }; V4 { *he*; }; V5 { *aa*; }; V6 { *bcaz*; };",
    "stars": "V0 { **; }; V1 { sh[!x-z]; }; V2 { f\\\\oo_bar; };",
    "global before local": "V1 { global: f*; local: foo*; };",
    "local name before global pattern": "V1 { global: f*; local: foo_bar; };",
    "extern C": 'V1 { global: extern "C" { she; alpha_*; }; local: *; };',
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_version_scripts(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.cc").write_text(CXX)
    (tmp_path / "script").write_text(SCRIPTS[name])
    found = []
    for by in LINKERS:
        cc(tmp_path, by, "-shared", "-fPIC", "a.cc", "-o", by, "-Wl,--version-script=script", compiler="g++")
        found.append(exported(tmp_path / by))
    assert found[0] == found[1] and found[0]


def test_version_script_messages(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int foo;\n")
    (tmp_path / "script").write_text('{ extern "Java" { foo; }; };')
    text = cc(tmp_path, "ours", "-shared", "a.c", "-o", "a.so", "-Wl,--version-script=script", status=1)
    assert 'script: extern "Java" is not supported; write extern "C" or extern "C++"' in text
    (tmp_path / "script").write_text("V1 { foo; missing; };")
    words = ("-shared", "a.c", "-o", "a.so", "-Wl,--version-script=script", "-Wl,--no-undefined-version")
    assert "missing: the version script gives it version V1, and nothing defines it" in cc(
        tmp_path, "ours", *words, status=1
    )
    cc(tmp_path, "gnu", *words, status=1)
    cc(tmp_path, "ours", *words, "-Wl,--undefined-version")


EXPORTS = """
int datum = 1; static int hidden_one; int *hidden_place(void) { return &hidden_one; }
int function(void) { return datum; }
__attribute__((weak)) int weak_one(void) { return 2; }
int caller(void) { return function() + weak_one() + datum; }
"""
MAIN = EXPORTS + "int main(void) { return caller() == 4; }\n"
OPTIONS = {
    "data list": ["--dynamic-list-data"],
    "one symbol": ["--export-dynamic-symbol=datum"],
    "pattern of symbols": ["--export-dynamic-symbol=weak*"],
    "list of symbols": ["--export-dynamic-symbol-list=list"],
    "list": ["--dynamic-list=list"],
    "audits": ["--audit=one.so", "--audit", "two.so", "--depaudit=three.so", "-P", "four.so"],
    "paths once": ["-rpath,/one:/two", "-rpath,/one", "-rpath,/three"],
    "not symbolic": ["-Bsymbolic", "-Bno-symbolic"],
}


@pytest.mark.parametrize("shape", ["-shared", "-pie"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options(tmp_path: Path, name: str, shape: str) -> None:
    (tmp_path / "a.c").write_text(MAIN)
    (tmp_path / "list").write_text("{ function; dat*; };")
    found = []
    for by in LINKERS:
        words = [f"-Wl,{word}" for word in OPTIONS[name]]
        cc(tmp_path, by, shape, "-fPIC", "a.c", "-o", by, *words)
        relocations = shown(tmp_path / by, "-r")
        by_name = {symbol for symbol in ("datum", "function", "weak_one") if re.search(rf" {symbol} \+", relocations)}
        found.append((exported(tmp_path / by), tags(tmp_path / by), by_name))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "words", [["--filter=f.so", "-F", "g.so"], ["--auxiliary=f.so", "-f", "g.so"], ["--default-symver", "-h", "s.so.1"]]
)
def test_options_of_shared_objects(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "a.c").write_text(EXPORTS)
    found = []
    for by in LINKERS:
        cc(tmp_path, by, "-shared", "-fPIC", "a.c", "-o", by, *[f"-Wl,{word}" for word in words])
        found.append((exported(tmp_path / by), tags(tmp_path / by)))
    assert found[0] == found[1]


def test_bound_functions_that_are_not_weak(tmp_path: Path) -> None:
    """GNU ld 2.40 has no such option; lld and mold do."""
    (tmp_path / "a.c").write_text(EXPORTS)
    cc(tmp_path, "ours", "-shared", "-fPIC", "a.c", "-o", "a.so", "-Wl,-Bsymbolic-non-weak-functions")
    text = shown(tmp_path / "a.so", "-r")
    assert " weak_one +" in text and " datum +" in text and " function +" not in text


def test_init_and_fini(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(
        '#include <stdio.h>\nvoid begin(void) { puts("begin"); }\nvoid end(void) { puts("end"); }\nint main(void) { puts("main"); }\n'
    )
    outputs = []
    for by in LINKERS:
        cc(tmp_path, by, "a.c", "-o", by, "-Wl,-init,begin,-fini,end")
        outputs.append(subprocess.run([tmp_path / by], capture_output=True, text=True).stdout)
    assert outputs[0] == outputs[1] and "end" in outputs[0]


def test_commands_of_scripts_as_inputs(tmp_path: Path) -> None:
    """VERSION and assignments; a version script is found under -L."""
    (tmp_path / "a.c").write_text("int foo(void) { return 42; }\nint bar(void) { return 1; }\n")
    (tmp_path / "one.script").write_text("VERSION { V_A { global: foo; }; }\nalias = foo;\n")
    (tmp_path / "two.script").write_text("VERSION { V_B { global: bar; }; }")
    (tmp_path / "main.c").write_text("int alias(void); int main(void) { return alias(); }\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "v.ver").write_text("{ global: foo; local: *; };")
    found = []
    for by in LINKERS:
        cc(tmp_path, by, "-shared", "-fPIC", "one.script", "two.script", "a.c", "-o", f"{by}.so")
        cc(tmp_path, by, "main.c", f"./{by}.so", "-o", f"{by}-main")
        assert subprocess.run([tmp_path / f"{by}-main"], cwd=tmp_path).returncode == 42
        cc(tmp_path, by, "-shared", "-fPIC", "a.c", "-o", f"{by}-v.so", "-Lfolder", "-Wl,--version-script=v.ver")
        found.append((exported(tmp_path / f"{by}.so"), exported(tmp_path / f"{by}-v.so")))
    assert found[0] == found[1] and "foo@@V_A" in found[0][0]


# -- which definition --------------------------------------------------------------------------------------------------


def test_a_hidden_reference_takes_an_archive_member(tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text("int foo(void) { return 7; }\n")
    (tmp_path / "g.c").write_text("int foo(void) { return 8; }\n")
    (tmp_path / "m.c").write_text(
        '__attribute__((visibility("hidden"))) int foo(void); int main(void) { return foo(); }\n'
    )
    subprocess.run(
        "gcc -c -fPIC f.c && ar rcs f.a f.o && gcc -shared -fPIC g.c -o g.so", shell=True, cwd=tmp_path, check=True
    )
    for by in LINKERS:
        cc(tmp_path, by, "m.c", "./g.so", "f.a", "-o", by)
        assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 7
    assert "undefined symbol: foo" in cc(tmp_path, "ours", "m.c", "./g.so", "-o", "p", status=1)


def test_objects_between_start_lib_and_end_lib(tmp_path: Path) -> None:
    for name, text in (
        ("m", "int foo(void); int main(void) { return foo(); }"),
        ("f", "int bar(void); int foo(void) { return bar(); }"),
        ("g", "int bar(void) { return 9; }"),
        ("h", "int nowhere(void); int unused(void) { return nowhere(); }"),
    ):
        (tmp_path / f"{name}.c").write_text(text)
    subprocess.run("gcc -c m.c f.c g.c h.c", shell=True, cwd=tmp_path, check=True)
    cc(tmp_path, "ours", "m.o", "-Wl,--start-lib", "g.o", "h.o", "f.o", "-Wl,--end-lib", "-o", "p")
    assert subprocess.run([tmp_path / "p"], cwd=tmp_path).returncode == 9
    done = uselib("ld", "--end-lib", "m.o", cwd=tmp_path)
    assert done.returncode == 2 and "there is no group to end" in done.stderr


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """liba.so needs libb.so, which defines what liba.so refers to; libc2.so refers to what nobody defines."""
    (tmp_path / "b.c").write_text("int in_b(void) { return 1; }\n")
    (tmp_path / "a.c").write_text("int in_b(void); int in_a(void) { return in_b(); }\n")
    (tmp_path / "c.c").write_text("int nowhere(void); int in_c(void) { return nowhere(); }\n")
    (tmp_path / "m.c").write_text("int in_a(void); int main(void) { return in_a(); }\n")
    (tmp_path / "n.c").write_text("int in_c(void); int main(void) { return in_c(); }\n")
    commands = "gcc -shared -fPIC b.c -o libb.so && gcc -shared -fPIC a.c -L. -lb -o liba.so && gcc -shared -fPIC c.c -o libc2.so"
    subprocess.run(
        f"mkdir d && {commands} && mv libb.so d && gcc -c -fPIC m.c n.c", shell=True, cwd=tmp_path, check=True
    )
    return tmp_path


def test_symbols_of_shared_objects(chain: Path) -> None:
    """What a shared object needs is read: -rpath-link says where it is. Programs are checked, shared objects only when asked."""
    for by in LINKERS:
        cc(chain, by, "m.o", "liba.so", "-o", "p", "-Wl,-rpath-link,d")
        text = cc(chain, by, "m.o", "liba.so", "-o", "p", status=1)
        assert re.search(r"libb\.so.*liba\.so.*not found", text) and "in_b" in text
        text = cc(chain, by, "n.o", "libc2.so", "-o", "p", status=1)
        assert re.search(r"libc2\.so: undefined (symbol|reference)", text) and "nowhere" in text
        cc(chain, by, "n.o", "libc2.so", "-o", "p", "-Wl,--allow-shlib-undefined")
        cc(chain, by, "-shared", "n.o", "libc2.so", "-o", "p.so")
        cc(chain, by, "-shared", "n.o", "libc2.so", "-o", "p.so", "-Wl,--no-allow-shlib-undefined", status=1)
        cc(chain, by, "-shared", "m.o", "-o", "p.so", "-Wl,-z,defs", status=1)


def test_a_shared_object_refers_to_a_hidden_symbol(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int foo(void); int bar(void) { return foo(); }\n")
    (tmp_path / "m.c").write_text(
        '__attribute__((visibility("hidden"))) int foo(void) { return 1; } int bar(void); int main(void) { return bar(); }\n'
    )
    subprocess.run("gcc -shared -fPIC a.c -o a.so", shell=True, cwd=tmp_path, check=True)
    for by in LINKERS:
        text = cc(tmp_path, by, "m.c", "./a.so", "-o", "p", status=1)
        assert "foo" in text and "hidden" in text


def test_copied_dependencies(chain: Path) -> None:
    (chain / "o.c").write_text("int in_a(void), in_b(void); int main(void) { return in_a() + in_b(); }\n")
    for by in LINKERS:
        words = ("o.c", "liba.so", "-o", "p", "-Wl,-rpath-link,d")
        cc(chain, by, *words, status=1)
        cc(chain, by, "-Wl,--copy-dt-needed-entries", *words)
        assert "Shared library: [libb.so]" in shown(chain / "p", "-d")


@pytest.mark.parametrize("method", ["report-all", "ignore-all", "ignore-in-object-files", "ignore-in-shared-libs"])
def test_unresolved_symbols(tmp_path: Path, method: str) -> None:
    (tmp_path / "m.c").write_text("int nowhere(void); int main(void) { return nowhere(); }\n")
    statuses = []
    for by in LINKERS:
        ours = [f"-B{directory()}"] if by == "ours" else []
        command = ["gcc", *ours, "m.c", "-o", by, f"-Wl,--unresolved-symbols={method}"]
        statuses.append(subprocess.run(command, cwd=tmp_path, capture_output=True).returncode)
        assert "nowhere" in cc(tmp_path, by, "m.c", "-o", by, "-Wl,--warn-unresolved-symbols")
    assert statuses[0] == statuses[1]


# -- code --------------------------------------------------------------------------------------------------------------


def test_read_only_copies(tmp_path: Path) -> None:
    """A copy of a constant is read-only once the program runs; one of a variable is not."""
    (tmp_path / "l.c").write_text("const char constant[64] = {1}; char variable[64] = {2};\n")
    (tmp_path / "m.c").write_text(
        """
#include <signal.h>
#include <unistd.h>
extern char constant[], variable[];
static void caught(int signal) { _exit(7); }
int main(void) { signal(SIGSEGV, caught); variable[0] = 1; constant[0] = 5; return 8; }
"""
    )
    subprocess.run("gcc -shared -fPIC l.c -o l.so", shell=True, cwd=tmp_path, check=True)
    for by in LINKERS:
        cc(tmp_path, by, "-no-pie", "-fno-pie", "m.c", "./l.so", "-o", by)
        assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 7
        cc(tmp_path, by, "-no-pie", "-fno-pie", "m.c", "./l.so", "-o", by, "-Wl,-z,norelro")
        assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 8


@pytest.mark.parametrize("dialect", ["gnu", "gnu2"])
@pytest.mark.parametrize("model", ["local-dynamic", "global-dynamic"])
@pytest.mark.parametrize("code", ["small", "large"])
def test_thread_local_data(tmp_path: Path, dialect: str, model: str, code: str) -> None:
    (tmp_path / "l.c").write_text(
        "__thread int a = 1, b = 2; static __thread int c = 3, d;\nint sum(void) { d++; return a + b + c + d; }\n"
    )
    (tmp_path / "m.c").write_text(
        """
extern __thread int a, b; int sum(void); static __thread int mine = 30, zero; int other(void) { zero = 1; return mine + zero; }
int main(void) { a = 10; int before = b; b = 20; return sum() + before + other(); }
"""
    )
    words = [f"-mtls-dialect={dialect}", f"-ftls-model={model}", f"-mcmodel={code}", "-fPIC"]
    if (dialect, code) == ("gnu2", "large"):
        pytest.skip("the compiler has no such sequence")
    for by in LINKERS:
        cc(tmp_path, by, *words, "-shared", "l.c", "-o", f"{by}.so")
        for shape in ("-pie", "-no-pie"):
            outside = [w.replace("local-dynamic", "global-dynamic") for w in words]
            cc(tmp_path, by, *outside, shape, "m.c", f"./{by}.so", "-o", by)
            assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 10 + 20 + 3 + 1 + 2 + 31
        cc(tmp_path, by, *words, "m.c", "l.c", "-o", by)
        assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 10 + 20 + 3 + 1 + 2 + 31


def test_a_function_resolved_at_start_up_has_one_address(tmp_path: Path) -> None:
    (tmp_path / "l.c").write_text("int foo(void); void *address(void) { return foo; }\n")
    (tmp_path / "m.c").write_text(
        """
static int real(void) { return 5; }
static void *resolve(void) { return real; }
int foo(void) __attribute__((ifunc("resolve")));
void *address(void);
int main(void) { return foo() + (address() == (void *)foo); }
"""
    )
    subprocess.run("gcc -shared -fPIC l.c -o l.so", shell=True, cwd=tmp_path, check=True)
    for by in LINKERS:
        cc(tmp_path, by, "-no-pie", "-fno-pie", "m.c", "./l.so", "-o", by)
        assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 6


def test_read_only_input_of_a_writable_section(tmp_path: Path) -> None:
    """An input .init_array that is not writable is none of code: the output section is."""
    (tmp_path / "m.c").write_text("int started; void one(void) { started++; } int main(void) { return started; }\n")
    (tmp_path / "a.s").write_text('.section .init_xxxxx,"a",@progbits\n.p2align 3\n.quad one\n')
    subprocess.run("as a.s -o a.o && sed -i s/init_xxxxx/init_array/g a.o", shell=True, cwd=tmp_path, check=True)
    for by in LINKERS:
        cc(tmp_path, by, "-pie", "m.c", "a.o", "-o", by)
        assert subprocess.run([tmp_path / by], cwd=tmp_path).returncode == 1


def test_executable_stack(tmp_path: Path) -> None:
    (tmp_path / "a.s").write_text('.section .note.GNU-stack,"x"\n')
    (tmp_path / "m.c").write_text("int main(void) { return 0; }\n")
    for by in LINKERS:
        assert "requires executable stack" in cc(tmp_path, by, "m.c", "a.s", "-o", by)
        assert "RWE" in shown(tmp_path / by, "-l")
        assert "executable stack" not in cc(tmp_path, by, "m.c", "a.s", "-o", by, "-Wl,--no-warn-execstack")
        cc(tmp_path, by, "m.c", "a.s", "-o", by, "-Wl,-z,noexecstack")
        assert "RWE" not in shown(tmp_path / by, "-l")
