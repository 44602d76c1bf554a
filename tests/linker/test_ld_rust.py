"""A Rust program linked by ours: threads, thread-local data, a caught panic, the test harness; the same output as with GNU ld."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.dynamic_links import LINKERS
from support.tools import native, needs
from uselib.commands.ld_dir import directory as link_directory

pytestmark = [needs("rustc", "gcc", "ld"), native, pytest.mark.slow]
PROGRAM = """
use std::collections::BTreeMap; use std::sync::mpsc; use std::thread;
thread_local!(static OWN: std::cell::Cell<u32> = std::cell::Cell::new(7));
fn main() {
    let mut words = BTreeMap::new();
    for word in "a b a c".split(' ') { *words.entry(word).or_insert(0) += 1; }
    let (tx, rx) = mpsc::channel();
    for i in 0..3 { let tx = tx.clone(); thread::spawn(move || { OWN.with(|own| own.set(i)); tx.send(OWN.with(|own| own.get())).unwrap(); }); }
    drop(tx);
    let mut found: Vec<_> = rx.iter().collect(); found.sort();
    println!("{:?} {:?} {} {}", words, found, OWN.with(|own| own.get()), std::panic::catch_unwind(|| panic!("no")).is_err());
}
#[test] fn adds() { assert_eq!(2 + 2, 4); }
#[test] #[should_panic] fn fails() { panic!() }
"""


@pytest.mark.parametrize(
    "words", [("-O",), ("-O", "-C", "lto=fat"), ("-C", "target-feature=+crt-static"), ("--test",)], ids=" ".join
)
def test_rust(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "p.rs").write_text(PROGRAM)
    found = []
    for by in LINKERS:
        place = ["-C", f"link-arg=-B{link_directory() if by == 'ours' else '/usr/bin'}", "-C", "link-arg=-fuse-ld=bfd"][
            : 2 if by == "ours" else 4
        ]
        command = ["rustc", *words, "-C", "linker=gcc", *place, "p.rs", "-o", by]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
        done = subprocess.run(
            [tmp_path / by, *(["--test-threads=1"] if "--test" in words else [])],
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = [line.partition("; finished in")[0] for line in done.stdout.splitlines()]
        found.append((lines, done.returncode))
    assert found[0] == found[1]
    assert found[0][1] == 0 and any("true" in line or "2 passed" in line for line in found[0][0])
