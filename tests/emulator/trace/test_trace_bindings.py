"""Symbol bindings in traces: what the words hold, and how many objects were asked, against LD_DEBUG of glibc."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.command import printed
from support.dynamic import SOURCES, WORDS, build, native

WAYS = {  # compiler, how calls are bound
    "lazy": ("pie", "-Wl,-z,lazy"),
    "now": ("pie", "-Wl,-z,now"),
    "no-plt": ("pie", "-fno-plt"),
    "no-pie": ("no-pie", "-Wl,-z,lazy"),
    "no-relro": ("no-pie", "-Wl,-z,lazy,-z,norelro"),
    "i386": ("i386-pie", "-Wl,-z,lazy"),
    "i386-no-pie": ("i386-no-pie", "-Wl,-z,lazy"),
    "musl": ("musl", "-Wl,-z,lazy"),
}
ALWAYS = ("lazy", "musl")


def made(way: str, folder: Path) -> list[str]:
    """The command of the program with every kind of reference."""
    kind, option = WAYS[way]
    shared = ["-shared", "-fPIC", *(["-DNO_IFUNC"] if kind == "musl" else [])]
    library = build(kind, SOURCES / "bound_library.c", folder / "libbound.so", *shared)
    plugin = build(kind, SOURCES / "bound_library.c", folder / "plugin.so", *shared, "-DPLUGIN", "-Wl,-z,lazy")
    options = (option, f"-Wl,-rpath,{folder}", "-ldl")
    program = build(kind, SOURCES / "bound.c", folder / "bound", str(library), *options)
    return [str(program), str(plugin)]


def bindings(command: Sequence[str], trace: Path, *options: str) -> list[dict[str, Any]]:
    printed("trace", "record", "--bindings", "-o", trace, *options, "--root", "/", *command)
    rows = [json.loads(line) for line in printed("trace", "export", "--format", "jsonl", trace).splitlines()]
    return [row for row in rows if row["event"] == "binding"]


@pytest.mark.parametrize("way", [pytest.param(w, marks=() if w in ALWAYS else pytest.mark.slow) for w in WAYS])
def test_every_kind_of_reference(way: str, tmp_path: Path) -> None:
    rows = bindings(made(way, tmp_path), tmp_path / "trace")
    of_program = {(row["symbol"], row["when"]): row for row in rows if row["referrer"] == "bound"}
    lazy = way not in ("now", "no-plt", "musl")
    pie = "no-pie" not in WAYS[way][0]
    call = of_program["first", "first call" if lazy else "load"]
    assert (call["definer"], call["result"], call["asked"]) == ("libbound.so", "", 2)
    assert call["kind"].endswith("GLOB_DAT" if way == "no-plt" else "JUMP_SLOT")
    check_addresses(of_program, pie)
    if way != "musl":
        chosen = next(row for (name, _), row in of_program.items() if name == "chosen")
        assert (chosen["definer"], chosen["result"], chosen["when"]) == ("libbound.so", "IFUNC", call["when"])
    if pie:
        assert of_program["missing", "load"]["definer"] == "" and of_program["missing", "load"]["asked"] >= 3
    assert any(name == "per_thread" and row["result"] == "TLS" for (name, _), row in of_program.items())
    check_dlsym(of_program)
    check_plugin(rows, way)
    assert all(row["asked"] is not None for row in rows)


def check_addresses(of_program: dict[tuple[str, str], dict[str, Any]], pie: bool) -> None:
    """Of a function and of a variable."""
    pointer = of_program.get(("second", "load"))
    if pie:  # else the linker may take the PLT's entry
        assert pointer is not None and (pointer["definer"], pointer["asked"]) == ("libbound.so", 2)
    else:
        assert of_program["shared_value", "load"]["result"] == "copy"
        assert of_program["shared_value", "load"]["asked"] == 1  # the program itself is not asked
    if pie or pointer is None:
        assert of_program["second", "dlsym"]["definer"] == "libbound.so"


def check_dlsym(of_program: dict[tuple[str, str], dict[str, Any]]) -> None:
    found, nothing = of_program["in_plugin", "dlsym"], of_program["no_such", "dlsym"]
    assert found["definer"] == "plugin.so" and found["asked"] == 1
    assert (nothing["definer"], nothing["address"]) == ("", "0x0")


def check_plugin(rows: list[dict[str, Any]], way: str) -> None:
    plugins = [row for row in rows if row["referrer"] == "plugin.so" and row["symbol"] == "first"]
    assert [row["definer"] for row in plugins] == ["libbound.so"]
    assert [row["when"] for row in plugins] == ["load" if way == "musl" else "first call"]


def test_order_filters_and_views(tmp_path: Path) -> None:
    """A first call is bound before the call; filters; show, summary, live."""
    command, trace = made("lazy", tmp_path), tmp_path / "trace"
    rows = bindings(command, trace, "--from", "bound", "--symbol", "f*", "--symbol", "second")
    assert {row["referrer"] for row in rows} == {"bound"} and {row["symbol"][0] for row in rows} <= {"f", "s"}
    shown = printed("trace", "show", trace).splitlines()
    bound = next(n for n, line in enumerate(shown) if "binds first to libbound.so at" in line)
    assert "!first(" in shown[bound + 1] and "(first call, R_X86_64_JUMP_SLOT, 2 objects asked)" in shown[bound]
    assert all(" binds " in line for line in printed("trace", "show", "--bindings", trace).splitlines())
    assert re.search(
        r"^symbols bound: 1 \(load\), 1 \(first call\), 1 \(dlsym\)$", printed("trace", "summary", trace), re.M
    )
    assert "binding,0," in printed("trace", "export", "--format", "csv", trace)
    live = tmp_path / "live"
    printed("trace", "--bindings", "-o", live, "--root", "/", *command)
    lines = [line for line in live.read_text().splitlines() if "first" in line and "bound" in line]
    assert re.fullmatch(r" +-  bound binds first to libbound\.so at 0x\w+ \(first call, .*\)", lines[0])
    assert "libbound.so:first" in lines[1]


def test_events_are_the_same_without(tmp_path: Path) -> None:
    """And both recorders see the same bindings, in each run."""
    command = made("lazy", tmp_path)
    exports = []
    for options in (("--bindings",), ("--bindings", "--recorder", "python"), ("--bindings",), ()):
        printed("trace", "record", *options, "-o", tmp_path / "trace", "--root", "/", *command)
        exports.append(printed("trace", "export", "--format", "jsonl", tmp_path / "trace").splitlines())
    assert exports[0] == exports[1] == exports[2]
    assert [line for line in exports[0] if '"binding"' not in line] == exports[3]


def said_by_glibc(command: Sequence[str], folder: Path) -> dict[tuple[str, str, str], int]:
    """Who, symbol, where found -> objects asked at the first look-up, from a native run."""
    log = folder / "log"
    done = native(*command, variables={"LD_DEBUG": "bindings,symbols", "LD_DEBUG_OUTPUT": str(log)})
    assert done.returncode == 0
    first = min(folder.glob("log.*"), key=lambda path: int(path.suffix[1:]))
    found: dict[tuple[str, str, str], int] = {}
    asked, last = 0, ""
    for line in first.read_text().splitlines():
        if symbol := re.search(r"symbol=(\S+);  lookup in file=", line):
            asked, last = (asked if symbol[1] == last else 0) + 1, symbol[1]
        elif row := re.search(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol `(\S+)'", line):
            who, where = (os.path.basename(os.path.realpath(path)) for path in row.groups()[:2])
            found.setdefault((who, row[3], where), asked)
            asked, last = 0, ""
    return found


def compare_with_glibc(command: Sequence[str], folder: Path) -> int:
    theirs = said_by_glibc(command, folder)
    ours: dict[tuple[str, str, str], int] = {}
    for row in bindings(command, folder / "trace", *(f"--env={name}={value}" for name, value in WORDS.items())):
        assert row["asked"] is not None, row
        if (
            row["definer"] and "IRELATIVE" not in row["kind"] and row["when"] != "dlsym"
        ):  # LD_DEBUG: dlsym's caller is the handle's
            ours.setdefault((row["referrer"], row["symbol"].partition("@")[0], row["definer"]), row["asked"])
    assert {key: theirs.get(key) for key in ours} == ours
    linker_own = ("malloc", "calloc", "realloc", "free")  # ld.so looks them up for itself
    dlsyms = ("second", "in_plugin")
    missing = {key for key in theirs.keys() - ours.keys() if "__vdso" not in key[1] and key[1] not in linker_own}
    assert {key for key in missing if not key[1].startswith("PyInit_") and key[1] not in dlsyms} == set()
    return len(ours)


@pytest.mark.parametrize(
    "way", ["lazy", pytest.param("no-pie", marks=pytest.mark.slow), pytest.param("i386", marks=pytest.mark.slow)]
)
def test_as_glibc_says(way: str, tmp_path: Path) -> None:
    assert compare_with_glibc(made(way, tmp_path), tmp_path) > 30


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("/bin/ls", "/"), ("/usr/bin/git", "--version"), ("/usr/bin/python3", "-c", "import json, ctypes")]
)
def test_of_real_programs_as_glibc_says(command: tuple[str, ...], tmp_path: Path) -> None:
    if not os.path.exists(command[0]):
        pytest.skip(f"needs {command[0]}")
    assert compare_with_glibc(command, tmp_path) > 50


def test_another_address_than_expected_has_no_count(tmp_path: Path) -> None:
    """LD_AUDIT's la_symbind gives another function."""
    text = """
        #define _GNU_SOURCE
        #include <link.h>
        #include <string.h>
        static int other(int n) { return n + 1000; }
        unsigned la_version(unsigned n) { return n; }
        unsigned la_objopen(struct link_map *m, Lmid_t id, uintptr_t *c) { return LA_FLG_BINDTO | LA_FLG_BINDFROM; }
        uintptr_t la_symbind64(ElfW(Sym) *s, unsigned n, uintptr_t *a, uintptr_t *b, unsigned *f, const char *name) {
            *f |= LA_SYMB_NOPLTENTER | LA_SYMB_NOPLTEXIT;
            return strcmp(name, "first") ? s->st_value : (uintptr_t)other;
        }
    """
    source = tmp_path / "audit.c"
    source.write_text(text)
    audit = build("pie", source, tmp_path / "audit.so", "-shared", "-fPIC")
    command = made("lazy", tmp_path)
    rows = bindings(command, tmp_path / "trace", "--from", "bound", "--symbol", "first", f"--env=LD_AUDIT={audit}")
    assert [(row["definer"], row["asked"]) for row in rows] == [("audit.so", None)]
    assert "an unknown number of objects asked" in printed("trace", "show", "--bindings", tmp_path / "trace")
