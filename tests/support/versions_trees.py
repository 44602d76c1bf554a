"""Directories of library files as hypothesis generates them: versions, links, odd names."""

import os
from pathlib import Path

from hypothesis import strategies as st

VERSIONS = [f"{major}.{minor}.{patch}" for major in (1, 2) for minor in (1, 2, 3, 10) for patch in (0, 1, 2, 10)]
ODD = ["libfoo_s", "libfoo_s.1", "libfoo_s.1.2", "libfoo_s.2", "libfoo_s.1.2.1.1", "libfoo_s.1.02.1", "libfoo_s.1.2.65536",
       "libfoo_s.1.2.65535", "libfoo_s.1.2.1~", "libfoo_s.1.2.99999999999", "libfoo_sx.1.2.1", "xlibfoo_s.1.3.1", "libfoo_s.1.2.",
       "libfoo_s.1..1", "libfoo_s.-1.2.1", "libfoo_s.1.2.\u0663", "libfoo_s.1.2.+1", "a.1.2.3"]  # fmt: skip
NAMES = st.one_of(st.sampled_from([f"libfoo_s.{v}" for v in VERSIONS]), st.sampled_from(ODD))
KINDS = st.sampled_from(["file"] * 6 + ["link", "link", "dangling", "cycle", "directory", "fifo", "through a file"])
DIRECTORY = st.one_of(st.none(), st.just("file"), st.dictionaries(NAMES, KINDS, max_size=6))
PLACES = ("e1", "e2", "r1", "r2")
PATHS = st.sampled_from(
    ["", ":", "e1", "e1:e2", "e1/:nowhere:e2", ":e1", "e2:", "e1/../e2", "e1:e1:e2", "x" * 4090, "e1:" + "x" * 4090]
)
TREES = st.fixed_dictionaries(dict.fromkeys(PLACES, DIRECTORY))


def make(where: Path, tree: dict[str, dict[str, str] | str | None], content: bytes = b"") -> None:
    for place, entries in tree.items():
        if isinstance(entries, dict):
            (where / place).mkdir()
            for name, kind in entries.items():
                make_entry(where / place, name, kind, content)
        elif entries is not None:
            (where / place).write_bytes(b"")


def make_entry(directory: Path, name: str, kind: str, content: bytes) -> None:
    path = directory / name
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("link", "dangling", "cycle", "through a file"):
        (directory / "real").write_bytes(content)
        path.symlink_to({"link": "real", "dangling": "gone", "cycle": name, "through a file": "real/x"}[kind])
    else:
        path.write_bytes(content)
