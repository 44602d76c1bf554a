"""Pairs of library versions and programs linked with the old one, for tests of `uselib abi`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.programs import build, source, sysroot
from uselib.abi.dynamic.run.result import AbiRequest, AbiResult
from uselib.abi.dynamic.run.run import compare_runs
from uselib.commands import cc, mkshlib

OPTIONS = ("-O1", "-g", "-fno-builtin", "-fno-toplevel-reorder")


def library(
    folder: Path,
    arch: str,
    text: str,
    branch: str = "",
    version: str = "1.0.0",
    name: str = "pair",
    *options: str,
    text_address: str = "0x61000000",
    data_address: str = "0x61008000",
) -> Path:
    """Makes a target library below `folder`. branch: the names of its slots in order, `-` for none. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--sysroot", str(sysroot(arch)), *(options or OPTIONS), "-c", "-o", str(folder / "lib.o")]
    assert cc.run([*words, str(source(folder / "lib.c", text))]) == 0
    rows = [f"#name {name}", f"#version {version}", f"#address .text {text_address}", f"#address .data {data_address}"]
    slots = list(enumerate(branch.split(), 1))
    rows += ["#branch", *(f".empty_slot {n}" if slot == "-" else f"{slot} {n}" for n, slot in slots)] if slots else []
    rows += ["#objects", str(folder / "lib.o"), "#objects noload", "-lc_s"]
    spec = source(folder / "lib.spec", "\n".join(rows) + "\n")
    assert mkshlib.run(["-q", "-L", str(sysroot(arch) / "lib"), "-s", str(spec), "-o", str(folder)]) == 0
    return folder / "shlib" / f"lib{name}_s.{version}"


@dataclass(frozen=True)
class Pair:
    """Two versions and a program linked with the old one."""

    arch: str
    program: Path
    old: Path
    new: Path

    def request(self, *arguments: str, **changes: object) -> AbiRequest:
        words = ("--sysroot", str(sysroot(self.arch)))
        values = {"arguments": arguments, "run_words": words, "max_seconds": 60.0, **changes}
        return AbiRequest(str(self.program), str(self.old), str(self.new), **values)  # type: ignore[arg-type]

    def compare(self, *arguments: str, **changes: object) -> AbiResult:
        return compare_runs(self.request(*arguments, **changes))


def pair(
    folder: Path,
    arch: str,
    old: str,
    new: str,
    program: str,
    old_branch: str = "",
    new_branch: str = "",
    version: str = "1.0.0",
    scheme: str = "uselib",
    options: tuple[str, ...] = (),
) -> Pair:
    """Builds everything. The program is linked with the old version."""
    old_file = library(folder / "old", arch, old, old_branch, "1.0.0", "pair", *options)
    new_file = library(folder / "new", arch, new, new_branch or old_branch, version, "pair", *options)
    text = source(folder / "main.c", program)
    main = build(folder / "main", arch, scheme, *(options or OPTIONS), text, "-L", folder / "old" / "lib", "-lpair_s")
    return Pair(arch, main, old_file, new_file)
