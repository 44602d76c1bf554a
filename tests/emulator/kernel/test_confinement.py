"""A hostile guest cannot name, read or change anything outside what it was granted.

Each test makes system calls as a guest. `secret` lies outside every grant, and no call may return its contents.
"""

from __future__ import annotations

import ctypes
import os
import socket as host_socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernel import DATA, Kernel, kernel
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.linker.image import Machine

SECRET = b"secret"
AT = C.AT_FDCWD
CREATE = C.O_CREAT | C.O_WRONLY


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """outside/secret; home (readable: the cwd) with a file and links that lead out; work (writable)."""
    for name in ("outside/deep", "home/sub", "work/sub"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside/secret").write_bytes(SECRET)
    (tmp_path / "home/file").write_bytes(b"file")
    (tmp_path / "work/own").write_bytes(b"own")
    for name in ("home", "work"):
        links = tmp_path / name
        (links / "absolute").symlink_to(tmp_path / "outside/secret")
        (links / "relative").symlink_to("../outside/secret")
        (links / "directory").symlink_to("../outside")
        (links / "up").symlink_to("..")
        (links / "inside").symlink_to(tmp_path / "home/file")
        (links / "loop").symlink_to("loop")
        (links / "proc").symlink_to("/proc")
    return tmp_path


@pytest.fixture
def guest(machine: Machine, world: Path) -> Iterator[Kernel]:
    with kernel(machine, cwd=str(world / "home"), writable=[str(world / "work")]) as made:
        yield made


def ways_to(world: Path) -> list[bytes]:
    """Paths that lead to outside/secret on the host."""
    host = os.fsencode(world)
    return [
        host + b"/outside/secret",
        b"../outside/secret",
        b"sub/../../outside/secret",
        b"./../home/../outside/secret",
        b"../" * 30 + host.lstrip(b"/") + b"/outside/secret",
        b"absolute",
        b"relative",
        b"directory/secret",
        b"up/outside/secret",
        b"../work/absolute",
        b"../work/directory/secret",
        b"../work/up/outside/secret",
        b"/proc/self/root" + host + b"/outside/secret",
        b"/proc/self/cwd/../outside/secret",
        b"/proc/1/root" + host + b"/outside/secret",
        b"/dev/fd/../../.." + host + b"/outside/secret",
        b"//" + host + b"//outside///secret",
        b"/proc/thread-self/root" + host + b"/outside/secret",
        b"proc/self/root" + host + b"/outside/secret",
    ]


def test_no_path_leads_out(guest: Kernel, world: Path) -> None:
    for path in ways_to(world):
        assert guest.contents(path) in ("ENOENT", "ENOTDIR", "EACCES"), path
        for name in ("stat", "lstat", "access", "chdir"):
            if name == "lstat" and path.rpartition(b"/")[2] in (b"absolute", b"relative"):
                continue  # the link itself may be looked at
            assert guest.result(name, path, guest.buffer if "stat" in name else 0) in ("ENOENT", "ENOTDIR"), (
                name,
                path,
            )


def test_the_same_paths_do_work_natively(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the host these paths lead to the secret."""
    monkeypatch.chdir(world / "home")
    for path in ways_to(world)[:12]:
        assert Path(os.fsdecode(path)).read_bytes() == SECRET


HIDDEN = b"""
/etc/passwd /etc/shadow /root/.ssh /sys/kernel /proc/1/mem /proc/1/environ /proc/kcore
/dev/mem /dev/sda /dev/kmsg /proc/self/map_files
""".split()


@pytest.mark.parametrize("path", HIDDEN)
def test_host_directories_without_a_grant_are_not_shown(guest: Kernel, path: bytes) -> None:
    assert guest.contents(path) == "ENOENT"
    assert guest.open(path, CREATE) in ("ENOENT", "EROFS")


def test_memory_by_proc_is_the_guests_own(guest: Kernel) -> None:
    """The host process has something at the addresses of its own objects; the guest has not."""
    fd = guest.open(b"/proc/self/mem", C.O_RDWR)
    assert isinstance(fd, int)
    guest.memory.write(guest.buffer + 64, b"of the guest")
    assert guest("pread64", fd, guest.buffer, 12, guest.buffer + 64, 0) == 12 and guest.bytes(12) == b"of the guest"
    secret = ctypes.create_string_buffer(b"of the host")
    place = ctypes.addressof(secret)
    words = (place, 0) if guest.machine.word == 8 else (place & 0xFFFF_FFFF, place >> 32)
    assert guest.result("pread64", fd, guest.buffer, 8, *words) == "EIO"
    assert guest.result("pwrite64", fd, b"changed", 8, *words) == "EIO"
    assert secret.value == b"of the host"
    assert guest.result("read", fd, guest.buffer, 8) == "EIO"  # at 0


def test_granted_files_are_shown(guest: Kernel, world: Path) -> None:
    assert guest.contents(b"file") == b"file"
    assert guest.contents(b"inside") == b"file"
    assert guest.contents(b"../work/own") == b"own"
    assert guest.contents(os.fsencode(world / "work/up/home/file")) == b"file"
    assert guest.contents(b"/proc/self/cwd/file") == b"file"
    assert guest.contents(b"loop") == "ELOOP"


def test_directories_above_a_grant_show_only_the_grant(guest: Kernel, world: Path) -> None:
    assert guest.entries(os.fsencode(world)) == [b".", b"..", b"home", b"work"]
    top = guest.entries(b"/")
    assert set(top) == {b".", b"..", b"dev", b"proc", os.fsencode(world.parts[1])}


def snapshot(world: Path) -> dict[str, tuple[int, float, bytes]]:
    found = {}
    for folder, _, names in os.walk(world):
        for path in [Path(folder), *(Path(folder) / name for name in names)]:
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path)] = (status.st_mode, status.st_mtime, content)
    return found


def changes(guest: Kernel, path: bytes, writable: bytes) -> Iterator[tuple[str, int | str]]:
    """Everything that could change `path`; `writable` is a directory that may be written."""
    for flags in (
        C.O_WRONLY,
        C.O_RDWR,
        C.O_TRUNC,
        CREATE,
        CREATE | C.O_EXCL,
        C.O_RDWR | C.O_TRUNC,
        C.O_WRONLY | C.O_APPEND,
    ):
        yield f"open {flags:#o}", guest.open(path, flags)
    yield "creat", guest.result("creat", path, 0o644)
    yield "truncate", guest.result("truncate", path, 0)
    yield "unlink", guest.result("unlink", path)
    yield "rmdir", guest.result("rmdir", path)
    yield "chmod", guest.result("chmod", path, 0o777)
    yield "fchmodat", guest.result("fchmodat", AT, path, 0o777)
    yield "chown", guest.result("chown", path, 1000, 1000)
    yield "utimes", guest.result("utimes", path, 0)
    yield "utimensat", guest.result("utimensat", AT, path, 0, 0)
    yield "mkdir", guest.result("mkdir", path, 0o755)
    yield "mknod", guest.result("mknod", path, 0o100644, 0)
    yield "symlink", guest.result("symlink", b"x", path)
    yield "link to", guest.result("link", writable + b"/own", path)
    yield "rename away", guest.result("rename", path, writable + b"/stolen")
    yield "rename to", guest.result("rename", writable + b"/own", path)
    yield "link away", guest.result("link", path, writable + b"/linked")


UNCHANGED = [
    b"/".join((b"..", b"work", b"directory", b"new")),
    *b"""
file inside new sub sub/new /new ../new ../outside/new ../outside/secret absolute /etc/passwd
/proc/self/status /proc/self/cwd/file
""".split(),
]


@pytest.mark.parametrize("path", UNCHANGED)
def test_nothing_else_is_changed(guest: Kernel, world: Path, path: bytes) -> None:
    work = os.fsencode(world / "work")
    before = snapshot(world)
    for what, result in changes(guest, path, work):
        assert isinstance(result, str), (what, path)
    assert snapshot(world) == before
    assert guest.open(path, CREATE) in ("EROFS", "EACCES", "ENOENT", "EISDIR")


def test_outside_writable_directories_changes_fail_as_on_a_read_only_file_system(guest: Kernel, world: Path) -> None:
    for path in (b"new", b"sub/new", b"/new", b"/tmp/new", b"../new", os.fsencode(world) + b"/new"):
        assert guest.open(path, CREATE) == "EROFS", path
        assert guest.result("mkdir", path, 0o755) == "EROFS", path
    for path in (b"file", b"inside", b"../work/inside"):
        assert guest.open(path, C.O_WRONLY) == "EROFS"
        assert guest.open(path, C.O_TRUNC) == "EROFS"
        assert guest.result("truncate", path, 0) == "EROFS"
        assert guest.result("chmod", path, 0) == "EROFS"
    assert guest.result("unlink", b"file") == "EROFS"
    assert guest.result("access", b"file", 2) == "EROFS"


def test_the_writable_directory_can_be_written(guest: Kernel, world: Path) -> None:
    work = os.fsencode(world / "work")
    assert guest.result("mkdir", work + b"/d", 0o755) == 0
    fd = guest.open(work + b"/d/f", CREATE)
    assert isinstance(fd, int)
    assert guest("write", fd, b"abc", 3) == 3
    assert guest.result("rename", work + b"/d/f", work + b"/g") == 0
    assert (world / "work/g").read_bytes() == b"abc"
    assert guest.result("symlink", b"g", work + b"/s") == 0
    assert guest.contents(work + b"/s") == b"abc"
    assert guest.result("link", work + b"/g", work + b"/h") == 0
    assert guest.result("unlink", work + b"/g") == 0
    assert guest.result("rmdir", work + b"/d") == 0


def test_a_hard_link_cannot_make_a_file_writable(guest: Kernel, world: Path) -> None:
    work = os.fsencode(world / "work")
    for name in (b"file", b"inside"):
        for flags in (0, C.AT_SYMLINK_FOLLOW):
            if name == b"inside" and not flags:
                continue
            assert guest.result("linkat", AT, name, AT, work + b"/linked", flags) == "EXDEV"
    fd = guest.open(b"file")
    assert guest.result("linkat", fd, b"", AT, work + b"/linked", C.AT_EMPTY_PATH) == "ENOENT"
    link = b"/proc/self/fd/%d" % fd
    assert guest.result("linkat", AT, link, AT, work + b"/linked", C.AT_SYMLINK_FOLLOW) == "EXDEV"
    assert not (world / "work/linked").exists()


def test_a_descriptor_gives_no_more_than_it_was_opened_for(guest: Kernel, world: Path) -> None:
    fd = guest.open(b"file")
    assert isinstance(fd, int)
    again = b"/proc/self/fd/%d" % fd
    assert guest.open(again, C.O_RDWR) == "EACCES"
    assert guest.open(again, C.O_WRONLY | C.O_TRUNC) == "EACCES"
    assert guest.contents(again) == b"file"
    for name, *arguments in (("fchmod", 0o777), ("fchown", 1000, 1000), ("ftruncate", 0), ("fallocate", 0, 0, 100)):
        assert guest.result(name, fd, *arguments) in ("EROFS", "EBADF", "EINVAL"), name
    assert guest.result("utimensat", fd, 0, 0, 0) == "EROFS"
    assert guest.result("write", fd, b"x", 1) == "EBADF"
    assert (world / "home/file").read_bytes() == b"file"


def test_o_path_descriptors_cannot_read_or_write(guest: Kernel, world: Path) -> None:
    fd = guest.open(b"../home/file", C.O_PATH)
    assert isinstance(fd, int)
    for name, *arguments in (
        ("read", guest.buffer, 1),
        ("write", guest.buffer, 1),
        ("fchmod", 0o777),
        ("ftruncate", 0),
        ("ioctl", 0x5401, guest.buffer),
        ("fsync",),
        ("getdents64", guest.buffer, 100),
        ("lseek", 0, 0),
    ):
        assert guest.result(name, fd, *arguments) in ("EBADF", "EINVAL"), name
    assert guest.open(b"/proc/self/fd/%d" % fd, C.O_RDWR) in ("EBADF", "EACCES")
    above = guest.open(b"..", C.O_PATH)
    assert isinstance(above, int)
    assert guest.result("openat", above, b"outside/secret", 0, 0) == "ENOENT"
    assert guest.result("fchdir", above) == 0
    assert guest.contents(b"outside/secret") == "ENOENT"
    assert guest.contents(b"home/file") == b"file"
    link = guest.open(b"home/absolute", C.O_PATH | C.O_NOFOLLOW)
    assert isinstance(link, int)
    assert guest.open(b"/proc/self/fd/%d" % link) != SECRET
    assert guest.result("openat", link, b"x", 0, 0) == "ENOTDIR"


def test_a_directory_descriptor_does_not_lead_above_the_grant(guest: Kernel, world: Path) -> None:
    fd = guest.open(b"sub", C.O_DIRECTORY)
    assert isinstance(fd, int)
    assert guest.result("openat", fd, b"../../outside/secret", 0, 0) == "ENOENT"
    assert guest.result("openat", fd, b"../directory/secret", 0, 0) == "ENOENT"
    (world / "home/sub").rename(world / "outside/sub")  # moved out of the grant behind the guest's back
    assert guest.result("openat", fd, b"../secret", 0, 0) == "ENOENT"
    assert guest.result("fchdir", fd) == 0
    for path in (b"../secret", b"../../outside/secret", b"../../../outside/secret"):
        assert guest.contents(path) == "ENOENT"
    assert guest.result("openat", fd, b"../file", 0, 0) != "ENOENT"  # `..` is where it was in the guest's tree


class Swap:
    """Changes the host's files at the n-th look-up of a name, so that a race happens in every run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: bytes, action: object, count: int = 1) -> None:
        real, left = os.open, [count]

        def racing(path, flags, *rest, **more):  # type: ignore[no-untyped-def]
            if path == name:
                left[0] -= 1
                if left[0] == 0:
                    action()  # type: ignore[operator]
            return real(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", racing)


@pytest.mark.parametrize("count", [1, 2])
def test_race_a_file_becomes_a_link(guest: Kernel, world: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Between look-up and open the name becomes a link to the secret."""
    target = world / "work/own"

    def swap() -> None:
        target.unlink()
        target.symlink_to(world / "outside/secret")

    Swap(monkeypatch, b"own", swap, count)
    for flags in (C.O_RDONLY, C.O_RDWR, C.O_WRONLY | C.O_TRUNC):
        assert isinstance(guest.open(b"../work/own", flags), str)
    assert (world / "outside/secret").read_bytes() == SECRET


@pytest.mark.parametrize("count", [1, 2])
def test_race_a_directory_becomes_a_link(
    guest: Kernel, world: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    (world / "work/sub/secret").write_bytes(b"mine")

    def swap() -> None:
        (world / "work/sub").rename(world / "work/gone")
        (world / "work/sub").symlink_to(world / "outside")

    Swap(monkeypatch, b"sub" if count == 1 else b"secret", swap)
    result = guest.contents(b"../work/sub/secret")
    assert result in ("ENOENT", b"mine")


def test_race_a_file_becomes_a_fifo(guest: Kernel, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not hang waiting for the other end."""
    target = world / "work/own"

    def swap() -> None:
        target.unlink()
        os.mkfifo(target)

    Swap(monkeypatch, b"own", swap, 2)
    with pytest.MonkeyPatch.context():
        result = guest.open(b"../work/own", C.O_RDWR)
    assert not isinstance(result, str) or result in ("EAGAIN", "ENXIO")


def test_devices_fifos_and_sockets(guest: Kernel, world: Path) -> None:
    work = os.fsencode(world / "work")
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        assert guest.result("mknod", work + b"/node", kind | 0o666, os.makedev(1, 3)) == "EPERM"
    os.mkfifo(world / "home/fifo")
    assert guest.open(b"fifo", C.O_RDONLY | C.O_NONBLOCK) == "EACCES"
    assert guest.result("mknod", work + b"/fifo", stat.S_IFIFO | 0o666, 0) == 0
    assert isinstance(guest.open(work + b"/fifo", C.O_RDWR | C.O_NONBLOCK), int)
    if os.geteuid() == 0:
        os.mknod(world / "work/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        assert guest.open(work + b"/null", C.O_RDWR) == "EACCES"


def test_no_set_id_bits(guest: Kernel, world: Path) -> None:
    work = os.fsencode(world / "work")
    fd = guest.open(work + b"/tool", CREATE, 0o6777)
    assert isinstance(fd, int)
    assert guest.result("fchmod", fd, 0o6755) == 0
    assert guest.result("chmod", work + b"/tool", 0o6755) == 0
    assert guest.result("mkdir", work + b"/dir", 0o7777) == 0
    assert guest.result("mknod", work + b"/node", 0o106777, 0) == 0
    for name in ("tool", "dir", "node"):
        assert not (world / "work" / name).stat().st_mode & 0o6000, name


def test_no_network_and_no_foreign_sockets(guest: Kernel) -> None:
    with host_socket.socket() as listener, host_socket.socket(host_socket.AF_UNIX) as abstract:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        abstract.bind(b"\0uselib-test-%d" % os.getpid())
        abstract.listen()
        name = struct.pack("<H", 1) + abstract.getsockname()
        for address in (struct.pack("<H", 2) + struct.pack(">H4s8x", port, bytes((127, 0, 0, 1))), name):
            fd = guest.result("socket", address[0], 1, 0)
            guest.memory.write(DATA, address)
            assert guest.result("connect", fd, DATA, len(address)) == "ECONNREFUSED"
            assert guest.result("bind", fd, DATA, len(address)) == 0  # the guest's names are its own
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    guest.memory.write(DATA, struct.pack("<H", 2) + struct.pack(">H4s8x", 53, bytes((192, 0, 2, 1))))
    for kind in (1, 2):
        assert guest.result("connect", guest.result("socket", 2, kind, 0), DATA, 16) == "ENETUNREACH"
    for domain, error in (
        (16, "EAFNOSUPPORT"),
        (17, "EPERM"),
        (40, "EAFNOSUPPORT"),
    ):  # netlink, packets, virtual machines
        assert guest.result("socket", domain, 3, 0) == error
    assert guest.result("socket", 2, 3, 1) == "EPERM"
    refused = "mount pivot_root init_module swapon reboot bpf kexec_load ptrace"  # for the machine's superuser, which no guest is
    for name in refused.split():
        assert guest.result(name, 0, 0, 0, 0, 0) == "EPERM", name
    absent = """
        open_by_handle_at keyctl io_uring_setup
    """
    for name in absent.split():
        assert guest.result(name, 0, 0, 0, 0, 0) == "ENOSYS", name


def test_no_ioctl_or_fcntl_reaches_beyond(guest: Kernel) -> None:
    fd = guest.open(b"/dev/null", C.O_RDWR)
    for request in (
        0x5412,
        0x541C,
        0x5409,
        0x40086602,
        0x40049409,
    ):  # TIOCSTI, TIOCLINUX, TCSBRK, SETFLAGS, FICLONE
        assert guest.result("ioctl", fd, request, guest.buffer) == "ENOTTY", hex(request)
    assert guest.result("fcntl", fd, 8, os.getpid()) == "ESRCH"  # F_SETOWN
    for command in (1024, 1026):  # F_SETLEASE, F_NOTIFY
        assert guest.result("fcntl", fd, command, os.getpid()) == "EINVAL", command


def test_a_directory_as_standard_input_is_not_passed_on(world: Path, machine: Machine) -> None:
    from uselib.emulator.kernel.vfs.descriptors import FileTable

    saved, directory = os.dup(0), os.open(world / "outside", os.O_RDONLY)
    try:
        os.dup2(directory, 0)
        assert 0 not in FileTable.standard().descriptors
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(directory)


def test_forbidden_file_systems_are_not_entered(world: Path, machine: Machine) -> None:
    """A grant that has /proc or /sys below it does not show them."""
    with kernel(machine, cwd="/") as guest:
        assert guest.contents(b"/proc/self/environ") == b""  # the guest's own: it has no program yet
        assert guest.contents(b"proc/1/status") == "ENOENT"
        if os.path.ismount("/sys"):
            assert guest.open(b"/sys/kernel") == "EACCES"
        assert guest.contents(b"/proc/self/comm") == b"\n"
    with pytest.raises(OSError):
        Namespace.build(cwd="/proc")


@pytest.fixture
def rooted(machine: Machine, world: Path) -> Iterator[Kernel]:
    with kernel(machine, root=str(world / "home"), writable=[str(world / "home/sub")]) as made:
        yield made


def test_root(rooted: Kernel, world: Path) -> None:
    assert rooted.contents(b"/file") == b"file"
    assert rooted.contents(b"/../../../file") == b"file"
    for path in (b"absolute", b"relative", b"directory/secret", b"/../outside/secret", b"/up/outside/secret"):
        assert rooted.contents(path) == "ENOENT", path
    assert rooted.open(b"/new", CREATE) == "EROFS"
    assert isinstance(rooted.open(b"/sub/new", CREATE), int)
    assert (world / "home/sub/new").exists()
    assert rooted.result("getcwd", rooted.buffer, 100) == 2
    (world / "home/to_file").symlink_to("/file")  # an absolute link means the guest's root
    assert rooted.contents(b"to_file") == b"file"


def test_sysroot_is_a_second_root_for_reading(machine: Machine, world: Path) -> None:
    (world / "tree/shlib").mkdir(parents=True)
    (world / "tree/shlib/libc_s.1.0.0").write_bytes(b"library")
    (world / "tree/shlib/link").symlink_to("/shlib/libc_s.1.0.0")
    (world / "tree/shlib/out").symlink_to("../../outside/secret")
    (world / "tree/shlib/out2").symlink_to(world / "outside/secret")
    with kernel(machine, cwd=str(world / "home"), sysroot=str(world / "tree"), writable=[str(world / "work")]) as guest:
        assert guest.contents(b"/shlib/libc_s.1.0.0") == b"library"
        assert guest.contents(b"/shlib/link") == b"library"
        assert guest.contents(b"/shlib/out") == "ENOENT"
        assert guest.contents(b"/shlib/out2") == "ENOENT"
        assert guest.contents(os.fsencode(world / "tree/shlib/libc_s.1.0.0")) == b"library"
        assert guest.open(b"/shlib/libc_s.1.0.0", C.O_WRONLY) == "EROFS"
        assert guest.open(b"/shlib/new", CREATE) == "EROFS"
        assert guest.result("unlink", b"/shlib/link") == "EROFS"
        assert guest.result("rename", b"/shlib/link", os.fsencode(world / "work/link")) == "EROFS"
        assert guest.result("chdir", b"/shlib") == 0
        assert guest.contents(b"libc_s.1.0.0") == b"library"
        assert guest.contents(b"../../outside/secret") == "ENOENT"


def test_the_grant_of_a_file_shows_no_other_file(machine: Machine, world: Path) -> None:
    with kernel(machine, cwd=str(world / "home"), readable=[str(world / "outside/deep/../secret")]) as guest:
        path = os.fsencode(world / "outside/secret")
        assert guest.contents(path) == SECRET
        assert guest.entries(os.fsencode(world / "outside")) == [b".", b"..", b"secret"]
        assert guest.open(os.fsencode(world / "outside/deep")) == "ENOENT"
        assert isinstance(guest.open(path, C.O_WRONLY), str)
        assert guest.result("unlink", path) in ("EROFS", "EBUSY")
    with kernel(machine, cwd=str(world / "home"), writable=[str(world / "work/own")]) as guest:
        path = os.fsencode(world / "work/own")
        assert isinstance(guest.open(path, C.O_WRONLY), int)
        assert guest.result("unlink", path) == "EBUSY"
        assert guest.result("rename", path, path + b"2") == "EBUSY"
        assert guest.open(os.fsencode(world / "work/new"), CREATE) == "EROFS"


def test_limits_of_paths(guest: Kernel) -> None:
    assert guest.open(b"x" * 256) == "ENAMETOOLONG"
    assert guest.open(b"./" * 2040) != "ENAMETOOLONG"
    assert guest.open(b"./" * 2050) == "ENAMETOOLONG"
    assert guest.open(b"") == "ENOENT"
    assert guest.open(b"file/") == "ENOTDIR"
    assert guest.open(b"file/..") == "ENOTDIR"
    assert guest.open(b"file", C.O_DIRECTORY) == "ENOTDIR"


def test_link_chains_end(guest: Kernel, world: Path) -> None:
    work = os.fsencode(world / "work")
    previous = b"own"
    for number in range(45):
        assert guest.result("symlink", previous, work + b"/l%d" % number) == 0
        previous = b"l%d" % number
    assert guest.contents(work + b"/l39") == b"own"
    assert guest.contents(work + b"/l44") == "ELOOP"
    long = b"/".join([b"l44"] * 800)
    assert guest.result("symlink", long, work + b"/long") == 0
    assert guest.contents(work + b"/long") in ("ELOOP", "ENOTDIR")


def test_names_with_odd_bytes(guest: Kernel, world: Path) -> None:
    work = os.fsencode(world / "work")
    for name in (b"\xff\xfe", b"a\nb", b" ", b"*", b"\\", b"-rf"):
        assert isinstance(guest.open(work + b"/" + name, CREATE), int)
        assert name in guest.entries(work)


def test_resolve_raises_only_documented_errors(world: Path) -> None:
    namespace = Namespace.build(cwd=str(world / "home"))
    with pytest.raises(GuestError):
        namespace.resolve(namespace.top(), b"")
    assert not namespace.resolve(namespace.top(), b"/nothing").exists
