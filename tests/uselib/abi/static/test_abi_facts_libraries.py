"""Facts of target libraries, of their stubs, and of programs linked with them, on both machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.mkshlib import EMULATION, compile_c, mkshlib
from support.tools import needs
from uselib.abi.static.model.facts import Facts, FileKind, ProgramFacts
from uselib.abi.static.readers.reading import kind_of, read_any, read_facts, read_program
from uselib.cli import main
from uselib.linker.c_types.types import Record
from uselib.linker.errors import FormatError
from uselib.linker.image import Machine

pytestmark = needs("gcc", "ld")
BASE = 0x61000000

SOURCE = """
struct point { int x, y; };
int counter = 7;
const char greeting[] = "hello";
const char *const names[] = { "a", "b" };
char room[70000];
int add(struct point *p, int n) { return p->x + n + counter; }
void *my_alloc(unsigned long n) { return (void *)n; }
int twice(int n) { return add((struct point *)&counter, n) * 2; }
__attribute__((weak)) int perhaps(void) { return 1; }
static int quiet(int n) { return n; }
"""
SPEC = """#name t
#version 1.0.0
#address .text 0x61000000
#branch
add 1
.empty_slot 2
twice 3
#objects
"""


def _library(directory: Path, machine: Machine, *options: str, source: str = SOURCE, version: str = "1.0.0") -> Path:
    directory.mkdir(exist_ok=True)
    made = compile_c(directory, machine, "t", source, "-g", "-fdata-sections")
    mkshlib(
        "--name", "t", "--version", version, "--text", hex(BASE), "--format", "both", "-o", directory, *options, made
    )
    return directory / "shlib" / f"libt_s.{version}"


def test_target_library(tmp_path: Path, machine: Machine) -> None:
    facts = read_facts(_library(tmp_path, machine, "--interposable", "my_alloc"))
    assert facts.kind is FileKind.TARGET and facts.machine is machine and facts.fixed and facts.typed
    assert facts.identity is not None and facts.identity.file_name == "libt_s.1.0.0"
    assert list(facts.slots.values()) == ["add", "my_alloc", "perhaps", "twice"]
    assert facts.unknown == () and facts.producer.startswith("GNU C")
    table = facts.functions["add"].address
    for number, name in facts.slots.items():
        function = facts.functions[name]
        assert (function.slot, function.address) == (number, table + 8 * (number - 1))
        assert (
            facts.text[0] <= function.implementation < facts.text[1]
            and function.size
            and function.code
            and function.type
        )
        assert function.place.endswith(
            "t.c:" + str(1 + SOURCE[: SOURCE.index(f" {name}(" if name != "my_alloc" else "*my_")].count("\n"))
        )
    assert facts.functions["perhaps"].weak and not facts.functions["add"].weak
    assert facts.functions["my_alloc"].interposable and not facts.functions["add"].interposable
    assert facts.data_range[0] <= facts.functions["my_alloc"].pointer < facts.data_range[1]
    assert set(facts.data) == {"counter", "greeting", "names", "room"}
    assert facts.data["counter"].contents == b"\x07\0\0\0" and facts.data["greeting"].contents == b"hello\0"
    assert facts.data["names"].contents == bytes(2 * machine.word)  # addresses within the library are no contents
    assert facts.data["room"].contents is None and facts.data["room"].size == 70000
    assert any(isinstance(row, Record) and row.name == "point" for row in facts.types.rows)


def test_stub_says_what_the_target_says(tmp_path: Path, machine: Machine) -> None:
    target = read_facts(_library(tmp_path, machine, "--interposable", "my_alloc"))
    archive, directory = read_facts(tmp_path / "lib" / "libt_s.a"), read_facts(tmp_path / "lib" / "libt_s")
    for stub in archive, directory:
        assert stub.kind is FileKind.STUB and stub.identity == target.identity and stub.slots == target.slots
        assert not stub.typed and len(stub.unknown) == 1 and "a stub library has names" in stub.unknown[0]
        for name, function in target.functions.items():
            other = stub.functions[name]
            assert (other.address, other.slot, other.interposable, other.pointer) == (
                function.address,
                function.slot,
                function.interposable,
                function.pointer,
            )
        assert {n: (d.address, d.size) for n, d in stub.data.items()} == {
            n: (d.address, d.size) for n, d in target.data.items()
        }


def test_empty_slots(tmp_path: Path, machine: Machine) -> None:
    made = compile_c(tmp_path, machine, "t", SOURCE, "-g")
    (tmp_path / "t.spec").write_text(f"{SPEC}{made}\n")
    mkshlib("-s", tmp_path / "t.spec", "-o", tmp_path)
    expected = {1: "add", 2: "", 3: "twice", 4: "my_alloc", 5: "perhaps"}
    for path in tmp_path / "shlib" / "libt_s.1.0.0", tmp_path / "lib" / "libt_s.a":
        assert read_facts(path).slots == expected


def test_history(tmp_path: Path, machine: Machine) -> None:
    first = _library(tmp_path, machine)
    changed = SOURCE.replace("my_alloc", "obtain").replace("int twice(int n)", "static int twice(int n)")
    changed = changed.replace("const char greeting", "static const char greeting")
    options = ("--previous", str(first), "--retire", "twice,greeting", "--rename", "my_alloc=obtain")
    target = read_facts(_library(tmp_path, machine, *options, source=changed, version="1.1.0"))
    stub = read_facts(tmp_path / "lib" / "libt_s.1.1.0.a")
    old = read_facts(first)
    for facts in target, stub:
        assert facts.functions["obtain"].former_names == ("my_alloc",)
        assert facts.functions["obtain"].slot == old.functions["my_alloc"].slot
        assert facts.functions["twice"].retired and facts.functions["twice"].slot == old.functions["twice"].slot
        assert facts.data["greeting"].retired and facts.data["greeting"].address == old.data["greeting"].address
        assert facts.slots == {1: "add", 2: "obtain", 3: "perhaps", 4: "twice"}
        assert "my_alloc" not in facts.functions


def test_code_digest_ignores_moving_and_sees_changes(tmp_path: Path, machine: Machine) -> None:
    old = read_facts(_library(tmp_path / "old", machine))
    moved = "int before(int n) { return n * 77 + 3; }\nint more = 9;\n" + SOURCE
    new = read_facts(_library(tmp_path / "new", machine, source=moved))
    assert old.functions["twice"].implementation != new.functions["twice"].implementation
    for name in old.functions:
        assert old.functions[name].code == new.functions[name].code, name
    changed = read_facts(_library(tmp_path / "other", machine, source=SOURCE.replace("* 2", "* 3")))
    assert {n for n in old.functions if old.functions[n].code != changed.functions[n].code} == {"twice"}


def test_code_digest_knows_what_is_called(tmp_path: Path, machine: Machine) -> None:
    text = "int a(int n) {{ return n * 3; }} int b(int n) {{ return n * 5; }} int x = 1, y = 2; int f(void) {{ return {0}(1) + 7 + {1}; }}\n"
    text += "int g(void) {{ return 4; }}\n"
    options = "__attribute__((noipa)) "
    facts = [
        read_facts(
            _library(
                tmp_path / name,
                machine,
                source=(more + text)
                .format(*uses)
                .replace("int a(", options + "int a(")
                .replace("int b(", options + "int b("),
            )
        )
        for name, uses, more in (
            ("0", "ax", ""),
            ("1", "bx", ""),
            ("2", "ay", ""),
            ("3", "ax", "int before(int n) {{ return n; }}\n"),
        )
    ]
    codes = [one.functions["f"].code for one in facts]
    assert codes[0] == codes[3] and len(set(codes)) == 3
    assert len({one.functions["g"].code for one in facts}) == 1
    # another library's function, called from a function that moves
    _library(tmp_path / "0", machine, source=text.format("a", "x"))
    found = []
    for version, more in ("1.0.0", ""), ("1.1.0", "int pad(int n) { return n / 3; }\n"):
        made = compile_c(tmp_path, machine, "u", more + "int a(int); int calls(void) { return a(2) + 1; }", "-g")
        mkshlib(
            "--name",
            "u",
            "--version",
            version,
            "--text",
            "0x62000000",
            "-o",
            tmp_path,
            made,
            tmp_path / "0" / "lib" / "libt_s.a",
        )
        found.append(read_facts(tmp_path / "shlib" / f"libu_s.{version}").functions["calls"])
    assert found[0].implementation != found[1].implementation and found[0].code == found[1].code


def test_stripped_library_is_not_silently_complete(tmp_path: Path) -> None:
    path = _library(tmp_path, Machine.X86_64)
    subprocess.run(["objcopy", "--strip-debug", str(path), str(tmp_path / "plain")], check=True)
    facts = read_facts(tmp_path / "plain")
    assert len(facts.functions) == 4 and not facts.typed
    assert facts.unknown == (f"{tmp_path / 'plain'}: it has no debug information: types are not compared",)
    subprocess.run(["objcopy", "--strip-all", str(path), str(tmp_path / "bare")], check=True)
    said = read_facts(tmp_path / "bare").unknown
    assert any(
        "it has no symbols (stripped): which function is in which slot is not known" in sentence for sentence in said
    )


# -- programs ----------------------------------------------------------------------------------------------------------

USER = """
struct point { int x, y; };
typedef struct { double d; } mine_t;
enum color { RED, GREEN };
extern int counter;
int add(struct point *p, int n);
int use(struct point *p, mine_t *m, enum color c) { return add(p, c) + counter + (int)m->d; }
void _start(void) { use(0, 0, RED); }
"""


def _check_program(facts: ProgramFacts, typed: bool = True) -> None:
    assert facts.uses is not None
    uses = {use.name: use for use in facts.uses}
    assert {"add", "counter"} <= set(uses)
    assert (uses["add"].kind, uses["counter"].kind) == ("function", "data")
    assert uses["add"].library == "libt_s.1.0.0" and uses["add"].address
    assert [who.file_name for who in facts.needs] == ["libt_s.1.0.0"]
    if typed:
        assert uses["add"].type is not None and uses["counter"].type is not None
        assert set(facts.records) == {"point", "mine_t", "color"}


def test_program_of_our_linker(tmp_path: Path, machine: Machine) -> None:
    _library(tmp_path, machine)
    user = compile_c(tmp_path, machine, "user", USER, "-g")
    output = tmp_path / "program"
    assert main(["ld", "-m", EMULATION[machine], "-o", str(output), str(user), str(tmp_path / "lib" / "libt_s.a")]) == 0
    facts = read_program(output)
    _check_program(facts)
    assert {use.name for use in facts.uses or ()} == {"add", "counter"} and len(facts.bindings) == 2
    assert kind_of(output) is FileKind.PROGRAM and isinstance(read_any(output), ProgramFacts)
    with pytest.raises(FormatError, match="is a program, not a library"):
        read_facts(output)


@needs("clang")
def test_what_a_compiler_does_not_tell_is_said(tmp_path: Path) -> None:
    """clang -O0 describes neither functions nor data that are defined elsewhere."""
    _library(tmp_path, Machine.X86_64)
    user = compile_c(tmp_path, Machine.X86_64, "user", USER, "-g", "-O0", compiler="clang")
    assert main(["ld", "-o", str(tmp_path / "program"), str(user), str(tmp_path / "lib" / "libt_s.a")]) == 0
    facts = read_program(tmp_path / "program")
    assert facts.typed and all(use.type is None for use in facts.uses or ())
    assert facts.unknown == (f"{tmp_path / 'program'}: its debug information has no declaration of: add, counter",)


def test_program_of_another_linker(tmp_path: Path, machine: Machine) -> None:
    """No binding note: what it takes is told by the absolute symbols of the stub."""
    _library(tmp_path, machine)
    user = compile_c(tmp_path, machine, "user", USER, "-g")
    end = tmp_path / "end.s"
    end.write_text('.section .lib,"a"\n.byte 0\n.section .note.GNU-stack,"",@progbits\n')
    subprocess.run(
        ["gcc", "-m32" if machine is Machine.I386 else "-m64", "-c", str(end), "-o", str(tmp_path / "end.o")],
        check=True,
    )
    output = tmp_path / "program"
    command = ["ld", "-m", EMULATION[machine], "-o", output, user, tmp_path / "lib" / "libt_s.a", tmp_path / "end.o"]
    subprocess.run(list(map(str, command)), check=True)
    _check_program(read_program(output))
    subprocess.run(["strip", str(output)], check=True)
    facts = read_program(output)
    assert facts.uses is None
    assert any("neither a binding note nor symbols" in sentence for sentence in facts.unknown)
    assert any("no debug information" in sentence for sentence in facts.unknown)


def test_library_as_a_user(tmp_path: Path) -> None:
    _library(tmp_path, Machine.X86_64)
    made = compile_c(tmp_path, Machine.X86_64, "u", USER.replace("void _start(void) { use(0, 0, RED); }", ""), "-g")
    mkshlib(
        "--name", "u", "--version", "2.0.0", "--text", "0x62000000", "-o", tmp_path, made, tmp_path / "lib" / "libt_s.a"
    )
    _check_program(read_program(tmp_path / "shlib" / "libu_s.2.0.0"))
    assert read_facts(tmp_path / "shlib" / "libu_s.2.0.0").dependencies == ("libt_s.1.0.0",)
    with pytest.raises(FormatError, match="is a stub library: it uses nothing"):
        read_program(tmp_path / "lib" / "libu_s.a")


def test_one_library_seen_from_both_sides(tmp_path: Path) -> None:
    """The type that a program was compiled with and the library's own are written alike."""
    path = _library(tmp_path, Machine.X86_64)
    library: Facts = read_facts(path)
    row = library.functions["add"].type
    assert row is not None
    assert library.types[row] is not None
