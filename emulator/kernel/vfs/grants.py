"""The tree of grants: which of the host's directories and files the guest sees, and where."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from uselib.emulator.kernel.proc.tree import entries, terminals
from uselib.emulator.kernel.vfs.places import STEP, Handle, Node, ProcView, SyntheticFile

_SYNTHETIC: dict[bytes, SyntheticFile] = {
    b"dev/null": SyntheticFile("null"),
    b"dev/zero": SyntheticFile("zero"),
    b"dev/full": SyntheticFile("full"),
    b"dev/random": SyntheticFile("random"),
    b"dev/urandom": SyntheticFile("urandom"),
    b"dev/tty": SyntheticFile("tty"),
    b"dev/ptmx": SyntheticFile("ptmx"),
    b"dev/stdin": SyntheticFile("stdin", link=True),
    b"dev/stdout": SyntheticFile("stdout", link=True),
    b"dev/stderr": SyntheticFile("stderr", link=True),
    b"dev/fd": SyntheticFile("fd", link=True),
}

# File systems that show or change the host itself. They are never entered, wherever they are mounted.
_FORBIDDEN = frozenset(
    {"proc", "sysfs", "debugfs", "tracefs", "securityfs", "configfs", "cgroup", "cgroup2", "bpf", "pstore", "efivarfs"}
    | {"binfmt_misc", "rpc_pipefs", "nfsd", "selinuxfs", "fusectl", "mqueue"}
)


def forbidden_devices() -> frozenset[int]:
    """st_dev of the host's mounted file systems that no guest may enter."""
    found = set()
    try:
        with open("/proc/self/mountinfo", "rb") as table:
            for line in table:
                head, _, tail = line.partition(b" - ")
                if tail.split(b" ", 1)[0].decode() in _FORBIDDEN:
                    major, _, minor = head.split()[2].partition(b":")
                    found.add(os.makedev(int(major), int(minor)))
    except OSError:
        pass
    return frozenset(found)


def build_tree(
    cwd: str,
    readable: Iterable[str],
    writable: Iterable[str],
    root: str | None,
    sysroot: str | None,
    forbidden: frozenset[int],
) -> Node:
    """The root of the tree. See Namespace.build. Raises OSError."""
    tree = Node()
    inside = os.path.realpath(root) if root is not None else None
    if inside is not None:
        tree.handle = open_directory(inside)
    grants = [(name, False) for name in readable] + [(name, True) for name in writable]
    if cwd and inside is None:
        grants.append((cwd, False))
    if sysroot is not None and inside is None:
        grants.append((sysroot, False))
    for name, write in grants:
        places = (os.path.realpath(name), os.path.abspath(name))
        if inside is not None and (places[0] + "/").startswith(inside.rstrip("/") + "/"):
            places = (places[0],) * 2  # links to it exist in the tree
        for place in dict.fromkeys(places):
            below = inside is not None and (place + "/").startswith(inside.rstrip("/") + "/")
            place_in_guest = place[len(inside.rstrip("/")) :] if inside is not None and below else place
            _grant(tree, os.fsencode(place_in_guest), os.path.realpath(name), write)
    for path, special in _SYNTHETIC.items():
        _place(tree, path).special = special
    _place(tree, b"dev/pts").lister = terminals
    _place(tree, b"proc").lister = entries
    _spread(tree, False, forbidden)
    memory = _place(tree, b"dev/shm")
    memory.handle, memory.children, memory.memory, memory.writable, memory.mode = None, {}, True, True, 0o1777
    memory.lister = _memory_files
    return tree


def _memory_files(view: ProcView) -> dict[bytes, Node]:
    """/dev/shm"""
    return {name: Node(special=SyntheticFile("shm")) for name in view.memory_files().names()}


def open_directory(path: str) -> Handle:
    return Handle(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def _place(tree: Node, path: bytes) -> Node:
    """The node at a path, made with those above it where missing."""
    for part in path.split(b"/"):
        if part:
            tree = tree.children.setdefault(part, Node())
    return tree


def _grant(tree: Node, place: bytes, host: str, writable: bool) -> None:
    node = _place(tree, place)
    node.writable = node.writable or writable
    if node.handle is not None:
        return
    if os.path.isdir(host):
        node.handle = open_directory(host)
    else:
        node.handle = open_directory(os.path.dirname(host))
        node.file = os.fsencode(os.path.basename(host))
        os.close(os.open(node.file, STEP, dir_fd=node.handle.fd))


def _spread(node: Node, writable: bool, forbidden: frozenset[int]) -> None:
    """Makes grants below a writable one writable. Gives a plain directory between grants the host's directory, if the host has one."""
    node.writable = (node.writable or writable) and node.special is None and node.lister is None
    if node.handle is not None and os.fstat(node.handle.fd).st_dev in forbidden:
        raise PermissionError(
            errno.EACCES, "not a file system that a guest may see", os.readlink(f"/proc/self/fd/{node.handle.fd}")
        )
    for name, child in node.children.items():
        made = child.special is not None or child.lister is not None
        if child.handle is None and not made and node.handle is not None and not node.file:
            child.handle = _below(node.handle, name, forbidden)
        _spread(child, node.writable, forbidden)


def _below(parent: Handle, name: bytes, forbidden: frozenset[int]) -> Handle | None:
    """The host's directory of that name, if there is one that the guest may see. The host's /dev is a file system of its own and is not
    shown, since nothing in it could be opened.
    """
    try:
        handle = Handle(os.open(name, STEP | os.O_DIRECTORY, dir_fd=parent.fd))
    except OSError:
        return None
    device = os.fstat(handle.fd).st_dev
    mounted = name == b"dev" and device != os.fstat(parent.fd).st_dev
    return None if mounted or device in forbidden else handle
