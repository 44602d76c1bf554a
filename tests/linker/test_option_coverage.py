"""Every option that GNU ld's --help names is accepted, or refused by name with what to do instead."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.command import uselib
from support.tools import needs
from uselib.linker.command_line import parse
from uselib.linker.errors import UsageError
from uselib.linker.option_table import FLAG, IGNORED, IGNORED_VALUE, REFUSED, REFUSED_VALUE, TABLE, VALUE

# a value for each option that looks at what it gets; all others get "1"
VALUES = {
    "m": "elf_x86_64", "emulation": "elf_x86_64", "z": "now", "section-start": ".x=1", "defsym": "a=1", "hash-style": "gnu",
    "compress-debug-sections": "zlib", "oformat": "binary", "unresolved-symbols": "report-all", "build-id": "none", "a": "shared",
    "orphan-handling": "place", "plugin-opt": "x", "scheme": "static",
}  # fmt: skip
# options that stand in pairs, or are refused for formats or shapes
PREPARED = {
    "plugin-opt": ("-plugin", "p"), ")": ("-(",), "end-group": ("-(",), "pop-state": ("--push-state",), "N": ("-m", "i386linux"),
    "omagic": ("-m", "i386linux"), "qmagic": ("-m", "i386linux"),
}  # fmt: skip
FOLLOWED = {"(": ("-)",), "start-group": ("-)",)}


def _manual() -> list[tuple[str, bool]]:
    """The options of `ld --help`, and whether a value follows."""
    text = subprocess.run(["ld", "--help"], capture_output=True, text=True, check=True).stdout.partition(
        "supported targets"
    )[0]
    found: dict[str, bool] = {}
    for line in re.findall(r"^  +(-.*)", text, re.M):
        for word in re.split(r"\s{2,}", line)[0].split(", "):
            match = re.fullmatch(r"--?([A-Za-z()][\w+-]*)( ?\[?=?.*)?", word)
            if match and match[1] != "z":
                found[match[1]] = found.get(match[1], False) or bool((match[2] or "").strip())
    return list(found.items())


@needs("ld")
def test_every_option_of_the_manual() -> None:
    options = _manual()
    assert len(options) > 200
    missing = [name for name, _ in options if name not in TABLE]
    assert missing == []
    for name, _ in options:
        kind, _ = TABLE[name]
        dashes = "-" if len(name) == 1 else "--"
        value = [VALUES.get(name, "1")] if kind in (VALUE, IGNORED_VALUE, REFUSED_VALUE) else []
        words = [*PREPARED.get(name, ()), f"{dashes}{name}", *value, *FOLLOWED.get(name, ())]
        if kind in (REFUSED, REFUSED_VALUE) or name in ("T", "script"):
            with pytest.raises(UsageError, match=rf"{dashes}{name}.*not supported.*;"):
                parse(words)
        else:
            parse(words)


@needs("ld")
def test_keywords_of_the_manual() -> None:
    """Those of -z."""
    text = subprocess.run(["ld", "--help"], capture_output=True, text=True, check=True).stdout
    words = re.findall(r"^ +-z ([\w-]+)(=\S+)?", text, re.M)
    assert len(words) > 30
    for word, value in words:
        if word.endswith("-"):  # x86-64-{baseline|v[234]}
            word += "v3"
        if word == "noreloc-overflow":
            with pytest.raises(UsageError, match=r"-z noreloc-overflow: not supported; a value"):
                parse(["-z", word])
        else:
            given = "hidden" if word.endswith("visibility") else "0x1000"
            parse(["-z", f"{word}={given if value else ''}".rstrip("=")])


def test_the_table_has_a_use_for_each() -> None:
    assert {kind for kind, _ in TABLE.values()} == {FLAG, VALUE, IGNORED, IGNORED_VALUE, REFUSED, REFUSED_VALUE}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--print-output-format"], "elf64-x86-64\n"),
        (["-m", "elf_i386", "--print-output-format"], "elf32-i386\n"),
        (["--sysroot=/there", "--print-sysroot"], "/there\n"),
    ],
)
def test_what_it_prints(words: list[str], text: str) -> None:
    done = uselib("ld", *words)
    assert (done.stdout, done.returncode) == (text, 0)


def assemble(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.s").write_text(text)
    subprocess.run(["as", f"{name}.s", "-o", f"{name}.o"], cwd=folder, check=True)


@needs("as", "ld", "readelf")
def test_what_they_do(tmp_path: Path) -> None:
    """As GNU ld: -a, --ignore-unresolved-symbol, --gc-keep-exported, --noinhibit-exec, --spare-dynamic-tags, -Ur, -Y."""
    assemble(tmp_path, "m", '.globl _start\n_start: call one\n.section .text.kept,"ax"\n.globl kept\nkept: ret\n')
    assemble(tmp_path, "one", ".globl one\none: ret\n")
    run = subprocess.run
    run(["ar", "rcs", "libone.a", "one.o"], cwd=tmp_path, check=True)
    run(["ld", "-shared", "one.o", "-o", "libone.so", "-soname", "libone.so"], cwd=tmp_path, check=True)
    cases = [
        ["-L.", "-a", "archive", "-lone"],
        ["-L.", "-a", "archive", "-a", "shared", "-lone"],
        ["-Y", ".", "-lone"],
        ["--ignore-unresolved-symbol=one"],
        ["--noinhibit-exec"],
        ["one.o", "--gc-sections"],
        ["one.o", "--gc-sections", "--gc-keep-exported"],
        ["-Ur", "one.o"],
    ]
    for words in cases:
        found = []
        for linker in (["ld"], None):
            command = ["m.o", *words, "-o", "out"]
            done = (
                run([*linker, *command], cwd=tmp_path, capture_output=True, text=True)
                if linker
                else uselib("ld", *command, cwd=tmp_path)
            )
            text = run(["readelf", "-dsW", "out"], cwd=tmp_path, capture_output=True, text=True).stdout
            needed = re.findall(r"NEEDED.*\[(.*)\]", text)
            found.append(
                (done.returncode, needed, "kept" in text, bool(re.search(r"FUNC|NOTYPE.*\d+ one$", text, re.M)))
            )
            (tmp_path / "out").unlink(missing_ok=True)
        assert found[0] == found[1], words
    sizes = []
    for count in ("0", "3"):
        assert (
            uselib("ld", "-shared", "one.o", f"--spare-dynamic-tags={count}", "-o", "out", cwd=tmp_path).returncode == 0
        )
        text = run(["readelf", "-SW", "out"], cwd=tmp_path, capture_output=True, text=True).stdout
        sizes.append(int(re.findall(r"\.dynamic +DYNAMIC +\w+ \w+ (\w+)", text)[0], 16))
    assert sizes[1] - sizes[0] == 3 * 16


@needs("as", "ld", "readelf")
@pytest.mark.parametrize(
    "words", [("-z", "unique"), ("-z", "lam-u48"), ("-z", "lam-u57", "-z", "ibt"), ("-z", "globalaudit")], ids=" ".join
)
def test_keywords_that_are_recorded(tmp_path: Path, words: tuple[str, ...]) -> None:
    assemble(tmp_path, "one", ".globl one\none: ret\n")
    subprocess.run(["ld", "-shared", *words, "one.o", "-o", "gnu"], cwd=tmp_path, check=True)
    assert uselib("ld", "-shared", *words, "one.o", "-o", "ours", cwd=tmp_path).returncode == 0
    pattern = r"\(((?:GNU_)?FLAGS\w*)\) +(.*)|(x86 feature: .*)"
    texts = [
        subprocess.run(["readelf", "-dnW", tmp_path / by], capture_output=True, text=True).stdout
        for by in ("gnu", "ours")
    ]
    assert re.findall(pattern, texts[1]) == re.findall(pattern, texts[0]) != []


TEXT = ".globl fn\nfn: movabs outside, %rax\n movabs outside, %rax\n movabs own, %rax\n ret\n.data\nown: .quad 1\n"


@needs("as", "readelf")
def test_text_relocations(tmp_path: Path) -> None:
    """An error with their places, one for each symbol; -z notext makes them, --warn-textrel with warnings, -z text goes before that."""
    assemble(tmp_path, "t", TEXT)
    for words in ((), ("-z", "text"), ("-z", "notext", "-z", "text"), ("--warn-textrel", "-z", "text")):
        done = uselib("ld", "-shared", *words, "t.o", "-o", "out", cwd=tmp_path)
        assert done.returncode == 1 and not (tmp_path / "out").exists()
        lines = done.stderr.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith(
            "uselib: t.o:(.text+0x2): relocation against symbol `outside' in read-only section `.text'; compile"
        )
    for words, warned in (("-z", "notext"), 0), (("--warn-textrel",), 3), (("--warn-shared-textrel",), 3):
        done = uselib("ld", "-shared", *words, "t.o", "-o", "out", cwd=tmp_path)
        assert done.returncode == 0 and done.stderr.count("warning") == warned
        assert ("creating DT_TEXTREL in a shared object" in done.stderr) == bool(warned)
        text = subprocess.run(["readelf", "-d", tmp_path / "out"], capture_output=True, text=True).stdout
        assert "(TEXTREL)" in text and re.search(r"\(FLAGS\) +TEXTREL", text)
