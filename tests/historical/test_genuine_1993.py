"""Genuine programs of April 1993 (SLS 1.02), with their libc.so.4.3.3, in the emulator.

The tree is not part of this project. `scripts/get-sls DIR` fetches it; USELIB_SLS=DIR turns these tests on.
"""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.command import environment, uselib
from uselib.linker.historical.aout import format as aout

TREE = Path(os.environ.get("USELIB_SLS", "/nonexistent"))
pytestmark = pytest.mark.skipif(
    not (TREE / "lib" / "libc.so.4.3.3").exists(),
    reason="needs the SLS 1.02 tree: scripts/get-sls DIR, then USELIB_SLS=DIR",
)
TEXT = "/usr/src/linux/kernel/signal.c"


def guest(path: str, *arguments: str, stdin: bytes = b"", options: tuple[str, ...] = ()):
    command = [sys.executable, "-m", "uselib.cli", "run", "--root", str(TREE), "--max-seconds", "60", *options, path]
    return subprocess.run([*command, *arguments], input=stdin, capture_output=True, env=environment(), timeout=120)


def located(name: str) -> str:
    return next(f"{folder}/{name}" for folder in ("/bin", "/usr/bin", "/etc") if (TREE / folder[1:] / name).exists())


# Command lines whose output must be that of today's tools, byte for byte. TEXT stands for a C file of 300 lines, which is standard input too.
SAME = """
cat -n TEXT | sort TEXT | sort -n TEXT | sort +1 TEXT | head TEXT | head -5 TEXT | tail TEXT | tail -5 TEXT | grep sig TEXT
grep -n -i SIG TEXT | grep -c sig TEXT | grep -v sig TEXT | egrep sig|eip TEXT | fgrep sig TEXT | cut -c1-20 TEXT | cut -d: -f1 /etc/passwd
tr a-z A-Z | tr -d aeiou | tr -s e | uniq | nl TEXT | pr -t TEXT | expand TEXT | unexpand -a TEXT | tac TEXT | paste TEXT TEXT
sed s/sig/SIG/g TEXT | sed -n 5,10p TEXT | awk {print($1,NF)} TEXT | awk {n+=length($0)}END{print(n)} TEXT | expr 3 + 4 * 5
expr abcdef : abc\\(.*\\) | basename /a/b/c.x .x | dirname /a/b/c | echo a b | cmp TEXT TEXT | comm /etc/passwd /etc/group
diff /etc/passwd /etc/group | diff -u /etc/passwd /etc/passwd | ls -a /etc | printf %05d-%s-%x 42 abc 255 | strings /bin/cat | hexdump TEXT
"""
COMMANDS = [
    words.split() for line in SAME.strip().splitlines() for words in line.replace("sig|eip", "sig\0eip").split("|")
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words)[:40].replace("\0", "|"))
def test_text_tools_give_what_todays_tools_give(words: list[str]) -> None:
    words = [word.replace("\0", "|") for word in words]
    if shutil.which(words[0]) is None:
        pytest.skip(f"this machine has no {words[0]}")
    content = (TREE / TEXT[1:]).read_bytes()
    here = [str(TREE / word[1:]) if word.startswith("/") and (TREE / word[1:]).exists() else word for word in words[1:]]
    here = [str(TREE / TEXT[1:]) if word == "TEXT" else word for word in here]
    today = subprocess.run(
        [words[0], *here], input=content, capture_output=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}
    )
    then = guest(located(words[0]), *[TEXT if word == "TEXT" else word for word in words[1:]], stdin=content)
    assert (then.stdout, then.stderr) == (today.stdout, b"")


@pytest.mark.parametrize(
    "words", [["wc", TEXT], ["wc", "-l", TEXT], ["od", TEXT], ["od", "-c", TEXT], ["od", "-x", TEXT]]
)
def test_the_same_but_for_white_space(words: list[str]) -> None:
    today = subprocess.run([words[0], *words[1:-1], str(TREE / TEXT[1:])], capture_output=True, env={"LC_ALL": "C"})
    then = guest(located(words[0]), *words[1:])
    assert then.stdout.split() == today.stdout.replace(os.fsencode(TREE), b"").split()


def test_gzip() -> None:
    content = (TREE / TEXT[1:]).read_bytes()
    packed = guest("/usr/bin/gzip", "-c", TEXT)
    assert gzip.decompress(packed.stdout) == content
    assert guest("/usr/bin/gzip", "-dc", stdin=gzip.compress(content)).stdout == content


def test_bc_and_cal() -> None:
    result = guest("/usr/bin/bc", stdin=b"2^100\nscale=20\n1/7\nsqrt(2)\n")
    assert result.stdout.split() == [
        b"1267650600228229401496703205376",
        b".14285714285714285714",
        b"1.41421356237309504880",
    ]
    assert guest("/usr/bin/cal", "9", "1752").stdout.split()[9:14] == [b"1", b"2", b"14", b"15", b"16"]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_shell_scripts(shell: str, tmp_path: Path) -> None:
    """Pipes, redirection, loops, functions, here-documents, command substitution, traps."""
    script = """
f() { echo "$1-$2"; }
for i in 1 2 3; do f $i x; done | sort -r > OUT
cat < OUT
x=`wc -l < OUT`; echo lines $x
cat <<EOF | tr a-z A-Z
here $x
EOF
if grep 2 OUT > /dev/null; then echo found; else echo lost; fi
(exit 3); echo status $?
trap 'echo bye' 0
ls /bin | grep '^c' | head -3 | while read n; do echo got $n; done
"""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("bin", "lib", "usr"):
        (tree / name).symlink_to(TREE / name)  # links out of a root lead nowhere; so bind by copying what is needed
        (tree / name).unlink()
    for name in (
        shell[1:],
        "bin/cat",
        "usr/bin/sort",
        "usr/bin/wc",
        "usr/bin/tr",
        "usr/bin/grep",
        "bin/head",
        "usr/bin/ls",
        "lib/libc.so.4.3.3",
    ):
        source = TREE / name
        if not source.exists():
            source = TREE / (name.replace("usr/bin", "bin") if "usr" in name else f"usr/{name}")
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (tree / "lib" / "libc.so.4").symlink_to("libc.so.4.3.3")
    for name in ("cp", "cut", "cmp"):
        (tree / "bin" / name).write_text("")
    (tree / "tmp").mkdir()
    (tree / "dev").mkdir()
    command = ["run", "--root", tree, "--writable", tree / "tmp", "--env", "PATH=/bin:/usr/bin", shell, "-c"]
    result = uselib(*command, script.replace("OUT", "/tmp/out"))
    expected = "3-x\n2-x\n1-x\nlines 3\nHERE 3\nfound\nstatus 3\ngot cat\ngot cmp\ngot cp\nbye\n"
    assert ("".join(result.stdout.replace("       ", " ").replace("  ", " ")), result.stderr) == (expected, "")


def test_ldd_mode() -> None:
    """The genuine ldd starts a program with argc 0, which lists its libraries."""
    result = guest("/usr/bin/ldd", "/usr/X386/bin/xterm")
    assert result.stdout.decode().splitlines() == [
        "\t/lib/libXaw.so.3 (DLL Jump 3.0)",
        "\t/lib/libXt.so.3 (DLL Jump 3.0)",
        "\t/lib/libX11.so.3 (DLL Jump 3.0pl0)",
        "\t/lib/libc.so.4 (DLL Jump 4.3)",
    ]


def test_trace_names_slots_from_the_stub_archive() -> None:
    result = uselib("trace", "--root", TREE, "/bin/date")
    assert "library libc 4.3.3 at 0x60000000" in result.stderr and ", 1003 slots" in result.stderr
    for call in ("libc:atexit #51", "libc:time #495", "libc:exit #122"):
        assert call in result.stderr, call


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder in the tree's /tmp, for what tests make."""
    folder = TREE / "tmp" / f"uselib-{os.getpid()}"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def gcc(scratch: Path, *arguments: str) -> None:
    """The compiler of 1993; paths are the guest's."""
    options = ("--writable", str(scratch), "--env", "PATH=/bin:/usr/bin", "--env", f"TMPDIR=/tmp/{scratch.name}")
    made = guest("/usr/bin/gcc", *arguments, options=options)
    assert (made.returncode, made.stderr) == (0, b"")


REDEFINED = """
int errno; int calls; char *fopen(), *strdup();
char *malloc(n) { static char pool[100000]; static int at; at += (n + 7) & ~7; calls++; return pool + at - ((n + 7) & ~7); }
free(p) char *p; {}
main(int argc, char **argv) { fopen("/none", "r"); printf("%s %d %d\\n", strdup("xyzzy"), calls > 0, errno); return argc; }
"""


@pytest.mark.parametrize("linker", ["theirs", "ours"])
def test_redefinitions_of_errno_and_malloc(scratch: Path, linker: str) -> None:
    """gcc 2.3.3 compiles; the ld of 1993 or ours links with the genuine libc.sa and crt0.o; start-up's fixups repair the redefinitions."""
    where = f"/tmp/{scratch.name}"
    (scratch / "p.c").write_text(REDEFINED)
    if linker == "theirs":
        gcc(scratch, "-o", f"{where}/p", f"{where}/p.c")
    else:
        gcc(scratch, "-c", "-o", f"{where}/p.o", f"{where}/p.c")
        link(scratch / "p", scratch / "p.o")
    result = guest(f"{where}/p", "x")
    assert (result.returncode, result.stdout, result.stderr) == (2, b"xyzzy 1 2\n", b"")


def link(output: Path, *inputs: Path | str) -> None:
    lib = TREE / "usr" / "lib"
    words = ["-o", output, lib / "crt0.o", *inputs, f"-L{lib}", lib / "libgcc.a", "-lc", lib / "libgcc.a"]
    linked = uselib("ld", "-m", "i386linux", *words)
    assert (linked.returncode, linked.stderr) == (0, "")


@pytest.fixture(scope="module")
def libm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libm.so.4.3.3 made by us, from musl's functions, with the genuine control files."""
    folder = tmp_path_factory.mktemp("libm")
    musl = Path("/usr/lib/i386-linux-musl/libc.a")
    if not musl.exists() or not shutil.which("objcopy"):
        pytest.skip("needs musl-dev for i386, and binutils")
    subprocess.run(["objcopy", "--prefix-symbols=_", musl, folder / "libmusl.a"], check=True)
    table = "_GLOBAL_OFFSET_TABLE_"
    subprocess.run(["objcopy", f"--redefine-sym=_{table}={table}", folder / "libmusl.a"], check=True)
    (folder / "glue.c").write_text(GLUE)
    flags = [
        "-m32",
        "-O1",
        "-fleading-underscore",
        "-fno-pic",
        "-ffreestanding",
        "-fdata-sections",
        "-fno-asynchronous-unwind-tables",
    ]
    subprocess.run(["gcc", *flags, "-c", "glue.c"], cwd=folder, check=True)
    control = TREE / "usr/src/libc/jump/libm"
    words = [
        "mkshlib",
        "--format",
        "aout",
        "--control",
        control,
        "-o",
        folder,
        folder / "glue.o",
        f"-L{folder}",
        "-l",
        "musl",
    ]
    made = uselib(*words)
    assert (made.returncode, made.stderr) == (0, "") and "42 slots" in made.stdout
    return folder


GLUE = """
double exp2(double), remainder(double, double), copysign(double, double), rint(double);
int signgam;
double pow2(double x) { return exp2(x); }
double __drem(double x, double y) { return remainder(x, y); }
double __copysign(double x, double y) { return copysign(x, y); }
double __rint(double x) { return rint(x); }
int __finite(double x) { return x - x == 0; }
int __isnan(double x) { return x != x; }
int __isinf(double x) { return x == 1 / 0. ? 1 : x == -1 / 0. ? -1 : 0; }
double __infnan(int error) { return 0 / 0.; }
"""


def test_a_genuine_program_runs_on_a_library_that_we_made(libm: Path, tmp_path: Path) -> None:
    """gawk of 1993, unmodified: our libm in the place of the genuine one, through the same slots.

    (Its start-up sets the x87 to double precision. musl's reduction of arguments counts on more, so angles stay small here.)"""
    program = 'BEGIN { for (i = 0; i < 6; i++) printf "%.9f %.9f %.9f %.9f %.9f\\n", sin(i), cos(i), exp(i), log(i + 1), i ^ 0.3 }'
    for name in ("usr/bin/gawk", "lib/libc.so.4.3.3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TREE / name, tmp_path / name)
    (tmp_path / "lib/libc.so.4").symlink_to("libc.so.4.3.3")
    shutil.copy(libm / "libm.so.4.3.3", tmp_path / "lib/libm.so.4")
    shutil.copy(libm / "libm.sa", tmp_path / "lib/libm.sa")
    ours = uselib("run", "--root", tmp_path, "/usr/bin/gawk", program)
    genuine = guest("/usr/bin/gawk", program)
    assert (ours.returncode, ours.stderr) == (0, "") and ours.stdout.encode() == genuine.stdout
    assert "libm:sin #29" in uselib("trace", "--root", tmp_path, "/usr/bin/gawk", "BEGIN { print sin(1) }").stderr


def test_the_linker_of_1993_takes_our_stub_archive(libm: Path, scratch: Path) -> None:
    (scratch / "s.c").write_text('double sin();\nmain() { printf("%.10f\\n", sin(1.0)); return 0; }\n')
    shutil.copy(libm / "libm.sa", scratch / "libm.sa")
    where = f"/tmp/{scratch.name}"
    gcc(scratch, "-o", f"{where}/s", f"{where}/s.c", f"{where}/libm.sa")
    assert guest(f"{where}/s").stdout == b"0.8414709848\n"


def programs() -> list[str]:
    """Every linked program of the tree (no library, no object with relocations)."""
    found = []
    for folder, _, files in os.walk(TREE):
        for name in files:
            path = Path(folder, name)
            if path.is_symlink() or name.endswith(".o") or ".so" in name or not os.access(path, os.X_OK):
                continue
            with path.open("rb") as file:
                head = file.read(32)
            if len(head) < 32:
                continue
            info, *_, text_relocations, data_relocations = struct.unpack("<8I", head)
            known = info & 0xFFFF in (0o407, 0o410, 0o413, 0o314) and info >> 16 in (0, 100)
            if known and not text_relocations and not data_relocations:
                found.append("/" + str(path.relative_to(TREE)))
    return sorted(found)


# Programs that end by a signal here because of the tree or the user: linked with other versions of libX11 than are there (jumps behind its
# table), damaged, or without a user of number 1000 in /etc/passwd (a null pointer is read, as it would be on a machine of the time).
SIGNALLED = set(
    """
/bin/newgrp /bin/sg /lib/libemu /usr/X386/bin/bmtoa /usr/X386/bin/xmenu /usr/X386/bin/xtetris /usr/bin/trn
/usr/bin/tapetest /usr/bin/script /usr/local/emacs/etc/cvtmail /usr/local/emacs/etc/fakemail
/usr/local/etc/keyserv /usr/src/minicom/keyserv /usr/src/tin-1.18/tin
""".split()
)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_program_ends_or_waits() -> None:
    """With no arguments and empty input: exit by itself, or wait for what is not there until the limit. No call is missing."""
    everything = programs()
    assert len(everything) >= 378

    def end(path: str) -> tuple[str, int, bytes]:
        result = guest(path, options=("--max-seconds", "10", "--env", "TERM=vt100"))
        return path, result.returncode, result.stderr

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(end, everything))
    signalled = {path for path, _, stderr in results if b": killed by SIG" in stderr}
    assert signalled <= SIGNALLED
    missing = {line for _, _, stderr in results for line in stderr.splitlines() if b"not implemented" in line}
    assert not missing


X_LIBRARIES = [f"/usr/lib/lib{name}" for name in "Xaw.sa Xmu.sa Xt.sa Xext.sa X11.sa gcc.a c.sa gcc.a m.sa".split()]
OBJECTS = {
    "rcp": ["/usr/src/net-src/rcp/rcp.o", "/usr/lib/libbsd.a", *X_LIBRARIES[5:8]],
    "xsysinfo": [*(f"/usr/src/Xapps/xsysinfo/{name}.o" for name in ("BarGauge", "sysinfo", "xsysinfo")), *X_LIBRARIES],
    "xmines": [*(f"/usr/src/Xapps/xmines/{name}.o" for name in ("X11", "score", "xmines")), *X_LIBRARIES],
}


@pytest.mark.parametrize("name", OBJECTS)
def test_our_ld_and_the_ld_of_1993(scratch: Path, name: str) -> None:
    """Genuine objects: the same segments, and the same address for every symbol of text and data. Commons lie in another order (theirs is that
    of a hash table), their stabs are left out by ours, and theirs has _etext and its kin where nobody asks for them."""
    words = ["/usr/lib/crt0.o", *OBJECTS[name]]
    theirs, ours = scratch / "theirs", scratch / "ours"
    made = guest("/usr/bin/ld", "-o", f"/tmp/{scratch.name}/theirs", *words, options=("--writable", str(scratch)))
    assert (made.returncode, made.stderr) == (0, b"")
    linked = uselib("ld", "-m", "i386linux", "-o", ours, *(TREE / word[1:] for word in words))
    assert (linked.returncode, linked.stderr) == (0, "")
    one, other = (aout.decode(path.read_bytes(), path.name) for path in (theirs, ours))
    assert (one.header.magic, one.header.text, one.header.data, one.header.entry) == (
        other.header.magic,
        other.header.text,
        other.header.data,
        other.header.entry,
    )
    tables = [
        {s.name: (s.type, s.value) for s in file.symbols if s.external and s.kind not in (aout.N_BSS, aout.N_ABS)}
        for file in (one, other)
    ]
    ends = {"_etext", "__etext", "_edata", "__edata", "_end", "__end"}
    assert {n: v for n, v in tables[0].items() if n not in ends} == {
        n: v for n, v in tables[1].items() if n not in ends
    }
    if name != "rcp":  # libXaw, libXt, libXext, libX11, libc: they start, and find no display
        results = [guest(f"/tmp/{scratch.name}/{file}", options=("--argv0", name)) for file in ("theirs", "ours")]
        assert results[0].stderr == results[1].stderr and b"display" in results[0].stderr.lower()
