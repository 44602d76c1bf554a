"""Random graphs of shared objects with versions, weak, protected and hidden definitions and names that several define: linked by ours and by
GNU ld, glibc binds every reference to the same definition (LD_DEBUG=bindings)."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from support.command import uselib
from support.tools import native, needs

pytestmark = [needs("as", "ld"), native]
INTERPRETER = "/lib64/ld-linux-x86-64.so.2"
FUNCTIONS, VARIABLES = ("fa", "fb", "fc", "fd", "fe"), ("va", "vb", "vc")
VISIBILITIES = ("", "", "", "protected", "hidden")
OPTIONS = ((), (), ("-Bsymbolic",), ("-Bsymbolic-functions",), ("-z", "now"), ("-z", "pack-relative-relocs"))


class Definition(NamedTuple):
    name: str
    weak: bool
    visibility: str
    version: str  # "V1", "local": the script hides it; empty: no script names it


class Node(NamedTuple):
    """A shared object, or the program (the last)."""

    name: str
    definitions: tuple[Definition, ...]
    references: tuple[tuple[str, bool], ...]  # name, weak
    needed: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def visible(self) -> set[str]:
        return {d.name for d in self.definitions if d.visibility != "hidden" and d.version != "local"}


def graph(seed: int) -> list[Node]:
    """Objects in the order in which they are linked: each needs some of those before it; the program needs all."""
    chance, nodes = random.Random(seed), list[Node]()
    for number in range(chance.randint(2, 4)):
        scripted = chance.random() < 0.5
        names = [name for name in (*FUNCTIONS, *VARIABLES) if chance.random() < 0.5]
        definitions = tuple(
            Definition(
                name,
                chance.random() < 0.3,
                chance.choice(VISIBILITIES),
                chance.choice(("V1", "V1", "", "local")) if scripted else "",
            )
            for name in names
        )
        needed = [node for node in nodes if chance.random() < 0.6]
        known = set().union(*(node.visible for node in needed), names)
        references = [name for name in (*FUNCTIONS, *VARIABLES) if chance.random() < 0.6]
        nodes.append(
            Node(
                f"lib{number}.so",
                definitions,
                tuple((name, name not in known or chance.random() < 0.2) for name in references),
                tuple(node.name for node in needed),
                chance.choice(OPTIONS),
            )
        )
    known = set().union(*(node.visible for node in nodes))
    own = tuple(Definition(name, False, "", "") for name in FUNCTIONS if chance.random() < 0.2)
    used = [(name, False) for name in sorted(known) if chance.random() < 0.7]
    kind = chance.choice((("-pie",), ("-pie", "-E"), ("-no-pie",), ("-no-pie", "-z", "now")))
    nodes.append(Node("program", own, tuple(used), tuple(node.name for node in nodes), kind))
    return nodes


def source(node: Node, moves: bool) -> str:
    """Calls and accesses by PLT, GOT and pointers; those of a program that does not move directly."""
    lines = []
    for name, weak, visibility, _ in node.definitions:
        function = name in FUNCTIONS
        lines += [f".{'weak' if weak else 'globl'} {name}", f".type {name},@{'function' if function else 'object'}"]
        lines += [f".{visibility} {name}"] * bool(visibility)
        lines += [
            ".text" if function else ".data",
            f"{name}: {'ret' if function else '.quad 1'}",
            f".size {name},.-{name}",
        ]
    own = {definition.name for definition in node.definitions}
    lines += [".text", ".globl run_" + node.name.partition(".")[0], "run_" + node.name.partition(".")[0] + ":"]
    for name, weak in node.references:
        if weak and name not in own:
            lines.append(f".weak {name}")
        if name in FUNCTIONS and not weak:
            lines.append(f"call {name}@PLT")
        lines.append(
            f"mov {name}@GOTPCREL(%rip),%rax"
            if moves
            else f"mov {name},%eax"
            if name in VARIABLES
            else f"mov ${name},%eax"
        )
    lines.append("ret")
    lines += [".data", *(f".quad {name}" for name, _ in node.references)]
    if node.name == "program":
        calls = "".join(f"call run_{name.partition('.')[0]}@PLT\n" for name in (*node.needed, "program"))
        lines.append(f".text\n.globl _start\n_start: and $-16,%rsp\n{calls}mov $60,%eax\nxor %edi,%edi\nsyscall")
    return "\n".join(lines) + "\n"


def script(node: Node) -> str:
    names: dict[str, list[str]] = {"V1": [], "local": []}
    for definition in node.definitions:
        if definition.version:
            names[definition.version].append(f"{definition.name};")
    return f"V1 {{ global: run_*; {' '.join(names['V1'])} local: never_defined; {' '.join(names['local'])} }};\n"


def bindings(folder: Path) -> set[tuple[str, ...]]:
    """(object, defining object, symbol, version) of a run with everything bound at start-up. Not what an object finds in itself: either
    linker may bind that at link time."""
    variables = {**os.environ, "LD_DEBUG": "bindings", "LD_BIND_NOW": "1", "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([folder / "program"], env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = re.findall(r"binding file (\S+) \[0\] to (\S+) \[0\]: \w+ symbol `(\w+)'(?: \[(\w+)\])?", done.stderr)
    found = ((os.path.basename(one), os.path.basename(two), name, version) for one, two, name, version in rows)
    return {row for row in found if row[0] != row[1]}


def built(folder: Path, nodes: list[Node], ours: bool) -> Path | None:
    """The folder with what was linked; None if the program uses directly what a shared object protects, which is refused."""
    place = folder / ("ours" if ours else "gnu")
    place.mkdir()
    for node in nodes:
        stem = node.name.partition(".")[0]
        words = [folder / f"{stem}.o", *(place / name for name in node.needed), *node.options, "-o", place / node.name]
        if node.name == "program":
            words += ["--dynamic-linker", INTERPRETER]
        else:
            words += ["-shared", "-soname", node.name]
        if any(definition.version for definition in node.definitions):
            words.append(f"--version-script={folder / stem}.map")
        words.append(f"-rpath-link={place}")
        text = list(map(str, words))
        done = uselib("ld", *text) if ours else subprocess.run(["ld", *text], capture_output=True, text=True)
        if done.returncode and "protected" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("seed", [pytest.param(n, marks=pytest.mark.slow) if n >= 4 else n for n in range(60)])
def test_bound_as_by_gnu_ld(tmp_path: Path, seed: int) -> None:
    nodes = graph(seed)
    for node in nodes:
        stem = node.name.partition(".")[0]
        (tmp_path / f"{stem}.s").write_text(source(node, "-no-pie" not in node.options))
        (tmp_path / f"{stem}.map").write_text(script(node))
        subprocess.run(["as", tmp_path / f"{stem}.s", "-o", tmp_path / f"{stem}.o"], check=True)
    gnu, ours = built(tmp_path, nodes, ours=False), built(tmp_path, nodes, ours=True)
    assert (ours is None) == (gnu is None)
    if ours is not None and gnu is not None:
        assert bindings(ours) == bindings(gnu) != set()
