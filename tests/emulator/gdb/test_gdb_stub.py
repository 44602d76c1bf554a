"""A real gdb, in batch mode, against `uselib run --gdb`, on both machines; and packets that no gdb sends."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.command import environment, uselib
from support.gdb import GDB, Client, gdb
from support.paths import PROGRAMS
from support.programs import build, count_program, musl_program, source, sysroot
from uselib.emulator.gdb.registers import layout, target_xml
from uselib.emulator.gdb.run import parse_address
from uselib.emulator.gdb.wire import escape, unescape
from uselib.linker.errors import UsageError

needs_gdb = pytest.mark.skipif(GDB is None, reason="gdb is not installed")


def commands(script: str) -> list[str]:
    """The commands of a script, which `;` or the end of a line separates."""
    return [command.strip() for command in script.strip().replace("\n", ";").split(";")]


@contextmanager
def waiting(
    program: Path, arch: str, *arguments: str, stdin: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The program under --gdb on a free port: the process and the port."""
    words = ["run", "--gdb", "0", "--sysroot", str(sysroot(arch)), str(program), *arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", *words],
        env=environment(),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=program.parent,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"target remote 127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def counting(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return count_program(tmp_path_factory.mktemp("gdb"), arch)


@needs_gdb
def test_session(arch: str, counting: Path) -> None:
    """Breakpoint behind a slot, steps, memory, registers, watchpoint, a call, to the end."""
    with waiting(counting, arch, "one", "three") as (process, port):
        text = "x/s $rdi" if arch == "x86_64" else "x/s *(char**)($esp+4)"
        script = f"""
            break strlen; continue; bt; info sharedlibrary; stepi; {text}; delete; finish
            watch counter; continue; delete; p counter; p use("12345"); p counter; set var counter = 50
            p $mxcsr; p $fctrl; x/4xb 0x10; next; continue
        """
        said = gdb(port, *commands(script))
        out, err = process.communicate(timeout=30)
    assert re.search(r"Breakpoint 1, 0x\w+ in strlen \(\) from .*libc_s", said), said
    assert re.search(r"#1 +0x\w+ in use \(text=0x\w+ \"one\"\) at .*count\.c:7", said)
    assert re.search(r"#2 +0x\w+ in main \(argc=3", said)
    assert re.search(r"0x0*60\w+ +0x0*60\w+ +Yes.*libc_s", said)
    assert re.search(r"0x\w+ in strlen\$impl \(\)", said) and re.search(r'0x\w+:\s+"one"', said)
    assert "Old value = 0\nNew value = 3" in said
    assert re.findall(r"^\$\d+ = (.*)$", said, re.M)[:3] == ["3", "8", "8"]
    assert "= 8064" in said and "= 895" in said
    assert "Cannot access memory at address 0x10" in said
    assert (process.returncode, out) == (58, "counter 55 -\n"), (out, err, said)
    assert "exited with code 072" in said


@needs_gdb
def test_registers_and_steps(arch: str, counting: Path) -> None:
    with waiting(counting, arch) as (process, port):
        said = gdb(port, "break main", "continue", "info auxv", "info registers", "stepi 50", "delete", "continue")
        assert "AT_PHDR" in said and "exited with code 03" in said
        assert process.wait(30) == 3


@needs_gdb
def test_fault_and_handler(arch: str, tmp_path: Path) -> None:
    text = source(
        tmp_path / "f.c",
        r"""
#include <signal.h>
#include <unistd.h>
static void handler(int s) { _exit(40 + s); }
int main(int argc, char **argv) {
    if (argc > 1) signal(SIGSEGV, handler);
    *(volatile int *)64 = 1;
    return 0;
}
""",
    )
    program = build(tmp_path / "f", arch, "uselib", "-g", text)
    with waiting(program, arch) as (process, port):
        said = gdb(port, "continue", "bt", "continue")
        _, err = process.communicate(timeout=30)
    assert "Program received signal SIGSEGV" in said and re.search(r"main \(argc=1.*f\.c:7", said)
    assert "Program terminated with signal SIGSEGV" in said and process.returncode == 139
    assert "write to unmapped address 0x40" in err
    with waiting(program, arch, "handle") as (process, port):
        said = gdb(port, "continue", "break handler", "continue", "p s", "continue")
        assert process.wait(30) == 51
    assert re.search(r"Breakpoint \d+, handler \(s=11\)", said)


@needs_gdb
def test_detach_and_kill(arch: str, counting: Path) -> None:
    with waiting(counting, arch, "x") as (process, port):
        gdb(port, "break use", "continue", "detach")
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (4, "counter 1 -\n")
    with waiting(counting, arch, "x") as (process, port):
        gdb(port, "break use", "continue", "kill")
        assert process.wait(30) == 137


@pytest.mark.parametrize("where", ["loop", "read"])
def test_break_byte(arch: str, where: str, tmp_path: Path) -> None:
    """Ctrl-C, in a loop and in a system call that waits, which then goes on."""
    text = source(
        tmp_path / "l.c",
        r"""
#include <unistd.h>
volatile int go;
int main(int argc, char **argv) {
    char c = 0;
    if (argc > 1) read(0, &c, 1); else while (!go) ;
    return c ? c : 5;
}
""",
    )
    program = build(tmp_path / "l", arch, "uselib", text)
    with waiting(program, arch, *(["x"] if where == "read" else []), stdin=subprocess.PIPE) as (process, port):
        client = Client(port)
        client.send(b"vCont;c")
        while client.receive().startswith(b"T05library"):
            client.send(b"vCont;c")
            time.sleep(0.5)
            client.socket.sendall(b"\x03")
        assert client.ask(b"?").startswith(b"T02")
        if where == "loop":
            go = next(s.address for s in _symbols(program) if s.name == "go")
            assert client.ask(b"M%x,4:01000000" % go) == b"OK"
        else:
            assert process.stdin is not None
            threading.Timer(0.2, lambda: (process.stdin.write("A"), process.stdin.flush())).start()  # type: ignore[union-attr]
        assert client.ask(b"vCont;c") == (b"W05" if where == "loop" else b"W41")


def _symbols(program: Path):  # type: ignore[no-untyped-def]
    from uselib.linker.formats.elf_image import read_image

    return read_image(program.read_bytes(), "p").symbols


BAD_PACKETS = b"""
m mzz,4 m0,ffffffff Z0 Z0,zz,1 Z2,0,4 P Pffff=00 pffff qXfer:features:read qXfer:auxv:read::zz qXfer:none:read::0,10
vFile:pread:99,10,0 vFile:pread: vFile:open:zz,0,0 X0,4:ab M10,1:00 G12 Gzz vCont;q
C-1 S+1 S12f65746363 C90 vCont;C-1 c-1 m-1,4 Z0,-1,1 p-1 unknown vMustReplyEmpty
""".split()


def test_bad_packets(counting: Path, arch: str) -> None:
    with waiting(counting, arch) as (process, port):
        client = Client(port)
        for packet in (*BAD_PACKETS, b"vFile:open:" + b"/etc/passwd".hex().encode() + b",0,0"):
            answer = client.ask(packet)
            assert answer in (b"", b"OK") or answer.startswith((b"E", b"F-1")), (packet, answer)
        client.socket.sendall(b"$bad#00junk")
        assert client.ask(b"?").startswith(b"T05")
        client.socket.close()
        assert process.wait(30) == 3  # it runs on


KNOWN_PACKETS = b"""
? g G p P m M X x Z0 Z1 Z2 Z3 Z4 z0 z2 H Hg Hc T s c C S vCont;s vCont;c vCont;C vCont;s:1 vCont? qSupported:
qXfer:features:read:target.xml: qXfer:auxv:read:: qXfer:libraries-svr4:read:: qXfer:exec-file:read:: qXfer:memory-map:read::
qXfer:threads:read:: qfThreadInfo qsThreadInfo qC qAttached qSymbol:: qOffsets qTStatus qThreadExtraInfo, qRcmd, qCRC:
qSearch:memory: QStartNoAckMode QPassSignals: QProgramSignals: QThreadEvents: vFile:open: vFile:pread: vFile:close: vFile:fstat:
vFile:readlink: vFile:setfs: vMustReplyEmpty vAttach; vRun; R r ! b i I t A
""".split()
ENDED = re.compile(rb"[WX][0-9a-f]{2}")


def random_packet(chance: Random) -> bytes:
    """A packet that gdb may send, with arguments that it never would; now and then any bytes."""
    if chance.random() < 0.1:
        return bytes(byte for byte in chance.randbytes(chance.randrange(1, 40)) if byte not in b"#$}")
    numbers = [0, 1, 4, 64, 0x1000, 0x400000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1, 1 << 70]
    words = [b"%x" % chance.choice(numbers) for _ in range(chance.randrange(4))]
    words += [
        chance.choice(
            (b"", b"-1", b"zz", b"00" * chance.randrange(600), b"0,fff", b"p1.1", b"/etc/passwd".hex().encode())
        )
    ]
    chance.shuffle(words)
    return chance.choice(KNOWN_PACKETS) + chance.choice((b",", b":", b";", b"=")).join(words)


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_random_packets(counting: Path, arch: str, count: int) -> None:
    """The stub answers each packet, or the program runs to an end that the stub tells. Nothing else ends it."""
    chance, sent = Random(f"packets {arch}"), 0
    while sent < count:
        with waiting(counting, arch) as (process, port):
            client, answer = Client(port), b""
            client.ask(b"Z0,0,1")
            while sent < count and not ENDED.match(answer):
                packet = random_packet(chance)
                sent += 1
                try:
                    answer = client.ask(packet)
                except (AssertionError, ConnectionError):  # the stub has closed
                    assert packet[:1] in b"kDvR", packet
                    break
            client.socket.close()
            process.terminate()
            _, said = process.communicate(timeout=60)
        assert not re.search("Traceback|internal error|Fatal", said), said


def test_descriptions() -> None:
    import xml.etree.ElementTree as ET

    for bits, count in ((32, 42), (64, 60)):
        tree = ET.fromstring(target_xml(bits).replace(b'<!DOCTYPE target SYSTEM "gdb-target.dtd">', b""))
        numbers = [int(register.get("regnum") or -1) for register in tree.iter("reg")]
        assert numbers == list(range(len(layout(bits)))) and len(numbers) == count


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_escapes(data: bytes) -> None:
    assert unescape(escape(data)) == data and not set(escape(data)) & set(b"$#*")


def test_addresses() -> None:
    assert parse_address("99") == ("127.0.0.1", 99) and parse_address("[::1]:5") == ("::1", 5)
    for text in ("", "x", "1:", "70000", "host:"):
        with pytest.raises(UsageError, match="is not PORT"):
            parse_address(text)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = uselib("run", "--gdb", str(taken.getsockname()[1]), "/bin/true")
    assert done.returncode == 1 and done.stderr.startswith("uselib: --gdb: cannot listen on 127.0.0.1:")


@needs_gdb
def test_threads(arch: str, tmp_path: Path) -> None:
    """The list of threads, their registers and stacks, steps of one, a run of one alone."""
    program = musl_program((PROGRAMS / "thread_programs" / "basic.c").read_text(), arch, tmp_path)
    script = """
        break count_up; continue; info threads; thread 1; bt 12; thread 2; p $pc == &count_up; stepi; stepi; thread
        delete; set scheduler-locking on; stepi; thread; set scheduler-locking off; continue
    """
    with waiting(program, arch, "20") as (process, port):
        said = gdb(port, f"file {program}", *commands(script))
        out, _ = process.communicate(timeout=30)
    assert "hit Breakpoint 1" in said and "[Switching to Thread 1001]" in said
    assert re.search(r"1 +Thread 1000 \(program, in a system call that waits\)", said), said
    assert re.search(r"\* 2 +Thread 1001 \(program\) +0x\w+ in count_up \(\)", said)
    assert re.search(r"9 +Thread 1008 \(program\)", said)
    assert said.count("[Current thread is 2 (Thread 1001)]") == 2, said
    assert "exited normally" in said and out.startswith("mutex: 160\n") and process.returncode == 0
