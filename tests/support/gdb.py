"""A real gdb in batch mode, and its protocol by hand."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess

GDB = shutil.which("gdb")


def gdb(port: int, *commands: str) -> str:
    """What gdb says to these commands; it fails if one of them does."""
    words = [str(GDB), "-q", "-nx", "-batch", "-iex", "set auto-load no"]
    for command in (
        "set pagination off",
        "set confirm off",
        "set breakpoint pending on",
        f"target remote 127.0.0.1:{port}",
        *commands,
    ):
        words += ["-ex", command]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    return done.stdout + done.stderr


class Client:
    """The protocol by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(b"$%b#%02x" % (data, sum(data) & 0xFF))

    def receive(self) -> bytes:
        while True:
            found = re.search(rb"\$([^#]*)#..", self.buffer, re.S)
            if found:
                self.buffer = self.buffer[found.end() :]
                self.socket.sendall(b"+")
                return found[1]
            more = self.socket.recv(4096)
            assert more, "the stub is gone"
            self.buffer += more

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.receive()
