"""Any sequence of compatible changes keeps the output of every program linked with any earlier release.

A model of a library (functions and data with values of their own) is changed at random and released again and again;
each release gets a program that uses all that it offers, and every program runs with every later release: functions and data that are still
there must give the same values, and retired functions must end the program with their names.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.mkshlib import mkshlib
from support.releases import Shop
from support.tools import MACHINES, needs
from uselib.cli import main
from uselib.linker.formats.ar import Archive
from uselib.linker.image import Machine, Version
from uselib.linker.library.releases import previous
from uselib.linker.library.releases.history import PlaceState, SlotState
from uselib.runtime import build as runtime_build

pytestmark = needs("gcc", "ld")

PATCH = ("reorder", "grow", "private", "less private", "grow private data", "stub next")
MINOR = ("add function", "add data", "rename function", "rename data", "retire function", "retire data", "interposable")
EDITS = st.lists(st.tuples(st.sampled_from(PATCH + MINOR), st.integers(0, 1 << 30)), min_size=1, max_size=5)


@dataclass(frozen=True)
class Model:
    """A library: functions NAME -> (value, length of code), data NAME -> (value, elements)."""

    functions: dict[str, tuple[int, int]]
    data: dict[str, tuple[int, int]]
    order: int = 0  # seed of the order in the sources
    private: int = 1
    private_data: int = 3
    interposable: frozenset[str] = frozenset()
    next_value: int = 10
    options: tuple[str, ...] = field(default=())  # of the release to come
    minor: bool = False

    def sources(self) -> tuple[str, str]:
        chance = random.Random(self.order)
        texts = [f"static int helper{n}(int x) {{ return x * {n + 2}; }}" for n in range(self.private)]
        use = " + ".join(["0", *(f"0 * helper{n}(x)" for n in range(self.private))])
        own = f"static volatile char own[{self.private_data}] = {{1}};"
        code = []
        for name, (value, length) in self.functions.items():
            more = "own[0]++; " * length
            code.append(f"__attribute__((noipa)) int {name}(int x) {{ {more}return x + {value} + {use}; }}")
        for name, (value, count) in self.data.items():
            kind = "short" if value % 3 == 0 else "long"
            values = ", ".join(str(value + n) for n in range(count)) if value % 2 else ""
            code.append(f"{kind} {name}[{count}] = {{{values}}};")
            code.append(f"long get_{value}(int n) {{ return {name}[n]; }}")
        chance.shuffle(code)
        half = chance.randrange(len(code) + 1)
        head = "".join(texts) + own
        declared = "".join(f"extern {'short' if v % 3 == 0 else 'long'} {n}[{c}];" for n, (v, c) in self.data.items())
        return declared + head + "\n".join(code[:half]), declared + head + "\n".join(code[half:])


def program_for(model: Model) -> tuple[str, list[tuple[str, str, str]]]:
    """A program that uses everything, an item for each character `1` of its argument: (text, [(kind, name, output)])."""
    rows, lines, declared = [], [], []
    for name, (value, _) in model.functions.items():
        declared.append(f"int {name}(int);")
        rows.append(("function", name, f"{value + len(rows)}\n"))
        lines.append(f"put_number({name}({len(lines)}));")
    for name, (value, count) in model.data.items():
        declared.append(f"extern {'short' if value % 3 == 0 else 'long'} {name}[{count}]; long get_{value}(int);")
        first = value + count - 1 if value % 2 else 0
        rows.append(("data", name, f"{first}\n{first + 5}\n"))
        at = count - 1
        lines.append(f"put_number({name}[{at}]); {name}[{at}] += 5; put_number(get_{value}({at}));")
    body = "".join(f"if (argument[{n}] == '1') {{ {line} }}\n" for n, line in enumerate(lines))
    return "".join(declared) + f"int main_(void) {{ {body} return 0; }}", rows


def pick(names: dict[str, tuple[int, int]], number: int) -> str:
    return sorted(names)[number % len(names)]


def fresh_name(model: Model, number: int) -> str:
    return f"{chr(ord('a') + number % 26)}_{model.next_value - 1}"


def grow(model: Model, number: int) -> Model:
    name = pick(model.functions, number)
    base, length = model.functions[name]
    return replace(model, functions={**model.functions, name: (base, length + number % 40)})


def add_function(model: Model, number: int) -> Model:
    row = (model.next_value - 1, number % 7)
    return replace(model, functions={**model.functions, fresh_name(model, number): row})


def add_data(model: Model, number: int) -> Model:
    row = (model.next_value - 1, 1 + number % 9)
    return replace(model, data={**model.data, fresh_name(model, number): row})


def make_interposable(model: Model, number: int) -> Model:
    return replace(model, interposable=model.interposable | {pick(model.functions, number)})


def rename(model: Model, number: int, field: str) -> Model | None:
    names = getattr(model, field)
    old, now = pick(names, number), fresh_name(model, number)
    if any(old in option for option in model.options):
        return None  # once a release
    renamed = {now if name == old else name: row for name, row in names.items()}
    interposable = frozenset(now if name == old else name for name in model.interposable)
    options = (*model.options, "--rename", f"{old}={now}")
    return replace(model, options=options, interposable=interposable, **{field: renamed})


def retire(model: Model, number: int, field: str) -> Model | None:
    names = getattr(model, field)
    gone = pick(names, number)
    if len(names) < 2 or any(gone in option for option in model.options):
        return None
    rest = {name: row for name, row in names.items() if name != gone}
    words = gone if field == "functions" else f"{gone},get_{names[gone][0]}"
    options = (*model.options, "--retire", words)
    return replace(model, options=options, interposable=model.interposable - {gone}, **{field: rest})


CHANGES: dict[str, Callable[[Model, int], Model | None]] = {
    "reorder": lambda model, number: replace(model, order=number),
    "grow": grow,
    "private": lambda model, number: replace(model, private=model.private + 1),
    "less private": lambda model, number: replace(model, private=max(0, model.private - 1)),
    "grow private data": lambda model, number: replace(model, private_data=model.private_data + number % 100),
    "stub next": lambda model, number: model,
    "add function": add_function,
    "add data": add_data,
    "interposable": make_interposable,
    "rename function": lambda model, number: rename(model, number, "functions"),
    "rename data": lambda model, number: rename(model, number, "data"),
    "retire function": lambda model, number: retire(model, number, "functions"),
    "retire data": lambda model, number: retire(model, number, "data"),
}


def edited(model: Model, edit: str, number: int) -> Model:
    """The model after one change; `number` chooses what it concerns. The model itself where the change cannot be made."""
    new = replace(model, next_value=model.next_value + 1, minor=model.minor or edit in MINOR)
    return CHANGES[edit](new, number) or model


def follow(model: Model, step: list[tuple[str, int]]) -> Model:
    """The model after the changes of a release."""
    fresh = set(model.functions) | set(model.data)
    for edit, chosen in step:
        changed = edited(model, edit, chosen)
        added = {part.partition("=")[2] for part in changed.options} - {""}
        # what came in this very release has no earlier name or slot
        touched = [part.split("=")[0].split(",")[0] for part in changed.options[len(model.options) + 1 :]]
        if all(name in fresh and name not in added for name in touched):
            model = changed
    return model


@dataclass(frozen=True)
class OldProgram:
    """A program, what it prints for each thing that it uses, and what it was linked with."""

    file: Path
    rows: list[tuple[str, str, str]]
    known: dict[str, tuple[int, int]]

    def check(self, shop: Shop, version: str, model: Model, emulated: bool) -> None:
        """It prints the same for everything that is left, and a retired function prints its name."""
        by_value = {value for value, _ in (*model.functions.values(), *model.data.values())}
        lives = [self.known[name][0] in by_value for _, name, _ in self.rows]
        mask = "".join("01"[alive] for alive in lives)
        output = "".join(out for (_, _, out), alive in zip(self.rows, lives, strict=True) if alive)
        assert shop.run(self.file, version, emulated, mask) == (output, "", 0), (self.file, version, mask)
        gone = [n for n, alive in enumerate(lives) if not alive and self.rows[n][0] == "function"]
        if gone:
            mask = "".join("01"[n == gone[-1]] for n in range(len(lives)))
            out, err, status = shop.run(self.file, version, emulated, mask)
            assert (out, status) == ("", 127) and " was retired in 1." in err and f"; {self.file.name}, linked" in err


def check_history(shop: Shop, version: str, model: Model) -> None:
    """It has all exports, and no two of them at one address."""
    history = shop.history(version)
    assert history.functions().keys() >= model.functions.keys() and history.data_places().keys() >= model.data.keys()
    ends = sorted((place.address, place.end) for place in history.places)
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))


def check(shop: Shop, steps: list[list[tuple[str, int]]], emulated: bool = False) -> None:
    """Releases the model after each step, and runs every program with every release from its own on."""
    model = Model({"f": (1, 1), "g": (2, 0), "h": (3, 3)}, {"d": (4, 2), "e": (5, 3)})
    version, before = Version(1, 0, 0), None
    programs: list[OldProgram] = []
    for number, step in enumerate([[], *steps]):
        model = follow(model, step)
        if number:
            version = Version(1, version.minor + 1, 0) if model.minor else Version(1, version.minor, version.patch + 1)
        options = [*model.options]
        if model.interposable:
            options += ["--interposable", ",".join(sorted(model.interposable))]
        shop.release(str(version), *model.sources(), before=before, options=tuple(options))
        text, rows = program_for(model)
        program = shop.program(f"p{number}", text, str(version))
        programs.append(OldProgram(program, rows, {**model.functions, **model.data}))
        model = replace(model, options=(), minor=False)
        for old in programs:
            old.check(shop, str(version), model, emulated)
        check_history(shop, str(version), model)
        before = shop.library(str(version)) if number % 2 else shop.stub(str(version))


SLOW_OK = settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
    derandomize=True,
)


@SLOW_OK
@given(st.sampled_from(MACHINES), st.lists(EDITS, min_size=1, max_size=4))
def test_old_programs_stay_as_they_were(machine: Machine, steps: list[list[tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        check(Shop(Path(directory), machine), steps)


@pytest.mark.slow
@settings(parent=SLOW_OK, max_examples=150, derandomize=False)
@given(st.sampled_from(MACHINES), st.lists(EDITS, min_size=1, max_size=6))
def test_old_programs_stay_as_they_were_at_length(machine: Machine, steps: list[list[tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        check(Shop(Path(directory), machine), steps)


ALL = [
    [("add function", 3), ("add data", 0), ("reorder", 99), ("interposable", 1)],
    [("rename function", 0), ("rename data", 1), ("grow", 77), ("private", 0)],
    [("retire function", 2), ("retire data", 0), ("add data", 25), ("grow private data", 90), ("less private", 0)],
]


@pytest.mark.parametrize("emulated", [False, True], ids=["native", "emulated"])
def test_every_kind_of_change(tmp_path: Path, machine: Machine, emulated: bool) -> None:
    shop = Shop(tmp_path, machine)
    check(shop, ALL if not emulated else [[edit for step in ALL for edit in step]], emulated)
    if not emulated:
        last = shop.history("1.3.0")
        assert {s.state for s in last.slots} == {SlotState.FUNCTION, SlotState.RETIRED}
        assert {p.state for p in last.places} == {PlaceState.DATA, PlaceState.POINTER, PlaceState.RETIRED}


CLIENT = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(int argc, char **argv) {
  int a[] = {5, 3, 9, 1};
  qsort(a, 4, sizeof *a, less);
  printf("%d %d %s %.3f\\n", a[0], a[3], strerror(ENOENT), 3.14159);
  setenv("X", "y", 1);
  char *copy = strdup("text");
  printf("%s %s %d %c\\n", copy, getenv("X"), environ != 0, getopt(argc, argv, "a"));
  return optind;
}
"""


@pytest.mark.parametrize("arch", ["x86_64", pytest.param("i386", marks=pytest.mark.slow)])
def test_a_whole_c_library_in_another_order(tmp_path: Path, arch: str) -> None:
    """musl with its members shuffled is a patch release, and programs linked with the one before do not notice."""
    if not Path(f"/usr/lib/{arch}-linux-musl/libc.a").exists():
        pytest.skip("needs musl")
    root = tmp_path / "root"
    assert main(["sysroot", str(root), "--arch", arch, "--libc", "musl"]) == 0
    old = next((root / "shlib").iterdir())
    before = previous.read(old).history
    (tmp_path / "client.c").write_text(CLIENT)
    program = tmp_path / "client"
    assert main(["cc", "--sysroot", str(root), "--scheme", "mmap", str(tmp_path / "client.c"), "-o", str(program)]) == 0
    book = Archive((root / "lib/libc.a").read_bytes(), "libc.a")
    (tmp_path / "o").mkdir()
    objects = []
    for number, member in enumerate(book.members()):
        objects.append(tmp_path / f"o/{number}.o")
        objects[-1].write_bytes(book.data[member.start : member.start + member.size])
    random.Random(1).shuffle(objects)
    helper = tmp_path / "interposed.o"
    source = runtime_build.ROOT / "musl" / "interposed.c"
    assert main(["cc", "--sysroot", str(root), "-c", str(source), "-o", str(helper)]) == 0
    version = replace(before.version, patch=before.version.patch + 1)
    pointers = [p.name.partition("$")[0] for p in before.places if p.state is PlaceState.POINTER]
    words = ["--name", "c", "--version", version, "--previous", old, "--hide", "_init,_fini"]
    words += ["--private-archive", root / "lib/libbuiltins.a", "--interposable", ",".join(pointers)]
    mkshlib(*words, "-o", tmp_path, *objects, helper)
    new = tmp_path / f"shlib/{before.name}.{version}"
    after = previous.read(new).history
    assert (after.slots, after.places) == (before.slots, before.places)
    assert new.read_bytes()[0x2000:0x8000] != old.read_bytes()[0x2000:0x8000]  # the code did move
    new.rename(new.with_name(before.file_name))
    emulator = [sys.executable, "-m", "uselib.cli", "run", "--sysroot", str(root), "--library-path", str(new.parent)]
    for command in ([str(program)], [*emulator, str(program)]):
        environment = {**os.environ, "LD_LIBRARY_PATH": str(new.parent)}
        ran = subprocess.run([*command, "-a"], capture_output=True, text=True, env=environment, timeout=60)
        assert (ran.stdout, ran.stderr, ran.returncode) == ("1 9 No such file or directory 3.142\ntext y 1 a\n", "", 2)
