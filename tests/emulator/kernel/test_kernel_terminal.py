"""Terminal calls on a pseudo-terminal: the same answers natively and emulated."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

from support.paths import ROOT
from support.programs import musl_program

SOURCE = r"""
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
int main(void)
{
    struct termios t;
    struct winsize w;
    char line[100];
    int n;
    printf("%d %d\n", isatty(0), isatty(1));
    printf("%d\n", tcgetattr(0, &t));
    printf("%x %x %x %x %d\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_cc[VINTR]);
    printf("%d", ioctl(0, TIOCGWINSZ, &w));
    printf(" %d %d\n", w.ws_row, w.ws_col);
    t.c_lflag &= ~ECHO;
    printf("%d\n", tcsetattr(0, TCSANOW, &t));
    tcgetattr(0, &t);
    printf("echo %d\n", !!(t.c_lflag & ECHO));
    printf("ready\n"); fflush(stdout);
    struct pollfd p = {0, POLLIN};
    printf("%d", poll(&p, 1, 5000));
    printf(" %d\n", p.revents);
    printf("%d %d\n", ioctl(0, FIONREAD, &n), n);
    n = read(0, line, sizeof line);
    printf("%d %.*s", n, n, line);
    int tty = open("/dev/tty", O_RDWR);
    printf("tty %d\n", tty >= 0 && isatty(tty));
    printf("ttyname %d\n", lseek(0, 0, SEEK_CUR) == -1 && errno == ESPIPE);
    return 0;
}
"""


def session(command: list[str]) -> bytes:
    """Runs it on a terminal of 33 x 77, typing a line when it is ready."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=environment,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(slave)
        output = b""
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            output += data
            if b"ready\r\n" in data:
                os.write(master, b"typed line\n")
        process.wait(timeout=30)
    os.close(master)
    return output


def test_same_on_a_terminal(arch: str, tmp_path: Path) -> None:
    program = str(musl_program(SOURCE, arch, tmp_path))
    native = session([program])
    assert b"33 77" in native and b"typed line" in native
    assert session([sys.executable, "-m", "uselib.cli", "run", program]) == native
