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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from run_support import environment, uselib

TREE = Path(os.environ.get("USELIB_SLS", "/nonexistent"))
pytestmark = pytest.mark.skipif(
    not (TREE / "lib" / "libc.so.4.3.3").exists(),
    reason="needs the SLS 1.02 tree: scripts/get-sls DIR, then USELIB_SLS=DIR",
)
TEXT = "/usr/src/linux/kernel/signal.c"


def guest(path: str, *arguments: str, stdin: bytes = b"", options: tuple[str, ...] = ()):
    command = [sys.executable, "-m", "emulator.cli", "run", "--root", str(TREE), "--max-seconds", "60", *options, path]
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
        "\t/lib/libXaw.so.3 (DLL Jump 3.0)", "\t/lib/libXt.so.3 (DLL Jump 3.0)", "\t/lib/libX11.so.3 (DLL Jump 3.0pl0)",
        "\t/lib/libc.so.4 (DLL Jump 4.3)",
    ]  # fmt: skip


def test_trace_names_slots_from_the_stub_archive() -> None:
    result = uselib("trace", "--root", TREE, "/bin/date")
    assert "library libc 4.3.3 at 0x60000000" in result.stderr and ", 1003 slots" in result.stderr
    for call in ("libc:atexit #51", "libc:time #495", "libc:exit #122"):
        assert call in result.stderr, call


def test_the_compiler_of_1993(tmp_path: Path) -> None:
    """gcc 2.3.3, as and ld make a program, which redefines errno: start-up's fixup list makes the library use it."""
    if not (TREE / "usr/lib/crt0.o").exists():
        pytest.skip("the tree has no crt0.o")
    scratch = TREE / "tmp" / f"uselib-{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        (scratch / "h.c").write_text(
            'int errno; char *fopen();\nmain(int argc, char **argv) { fopen("/none", "r"); printf("%d %d\\n", argc, errno); return 7; }\n'
        )
        where = f"/tmp/{scratch.name}"
        options = ("--writable", str(scratch), "--env", "PATH=/bin:/usr/bin", "--env", f"TMPDIR={where}")
        made = guest("/usr/bin/gcc", "-o", f"{where}/h", f"{where}/h.c", options=options)
        assert (made.returncode, made.stderr) == (0, b"")
        result = guest(f"{where}/h", "a", "b")
        assert (result.returncode, result.stdout) == (7, b"3 2\n")
    finally:
        shutil.rmtree(scratch)


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
SIGNALLED = {
    "/bin/newgrp", "/bin/sg", "/lib/libemu", "/usr/X386/bin/bmtoa", "/usr/X386/bin/xmenu", "/usr/X386/bin/xtetris", "/usr/bin/trn",
    "/usr/bin/tapetest", "/usr/bin/script", "/usr/local/emacs/etc/cvtmail", "/usr/local/emacs/etc/fakemail", "/usr/local/etc/keyserv",
    "/usr/src/minicom/keyserv", "/usr/src/tin-1.18/tin",
}  # fmt: skip


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
