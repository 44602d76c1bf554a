"""Arguments and results as text: one line a case, for what users see."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uselib.emulator.trace.prototypes import values
from uselib.emulator.trace.prototypes.capture import Capture, CaptureKind, wanted, wanted_result, wanted_words
from uselib.emulator.trace.prototypes.declarations import from_file, standard
from uselib.emulator.trace.prototypes.decode import CallDecoder
from uselib.emulator.trace.prototypes.type_views import Prototype
from uselib.linker.image import Machine

I386, X86_64 = Machine.I386, Machine.X86_64
TABLE = 0x601040


def names(address: int) -> str:
    return "table+0x10" if address == TABLE else ""


def prototype(name: str, machine: Machine) -> Prototype:
    found = standard(machine).find(name)
    assert found is not None
    return found


def text(value: bytes, cut: bool = False) -> tuple[bytes, bool]:
    return value, cut


BOTH = [  # function, words, payload, arguments
    ("open", [1, 0o1101, 0o644], {0: text(b"/etc/passwd")}, '"/etc/passwd", O_WRONLY|O_CREAT|O_TRUNC, 0644'),
    ("open", [1, 0, 0o644], {0: text(b"a\0")}, '"a", O_RDONLY'),
    ("open", [1, 0o20200002, 0o600], {}, "0x1, O_RDWR|O_TMPFILE, 0600"),
    ("openat", [0xFFFFFF9C, 1, 0x80000], {1: text(b".")}, 'AT_FDCWD, ".", O_RDONLY|O_CLOEXEC'),
    ("openat", [5, 1, 0x40000000], {}, "5, 0x1, O_RDONLY|0x40000000"),
    (
        "mmap",
        [0, 4096, 3, 0x22, 0xFFFFFFFF, 0, 0],
        {},
        "NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0",
    ),
    ("mprotect", [TABLE, 4096, 0], {}, "0x601040 <table+0x10>, 4096, PROT_NONE"),
    ("access", [1, 0], {0: text(b"x")}, '"x", F_OK'),
    ("access", [1, 6], {0: text(b"x")}, '"x", R_OK|W_OK'),
    ("kill", [1234, 9], {}, "1234, SIGKILL"),
    ("kill", [0xFFFFFFFF, 0], {}, "-1, 0"),
    ("chmod", [1, 0o4755], {0: text(b"x")}, '"x", 04755'),
    ("socket", [2, 0o2000001, 0], {}, "AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0"),
    ("putchar", [10], {}, "'\\n'"),
    ("isalpha", [0xFFFFFFFF], {}, "EOF"),
    ("isalpha", [300], {}, "300"),
    ("strlen", [1], {0: text(b'say "hi"\t\x01\n\x7f5')}, '"say \\"hi\\"\\t\\1\\n\\1775"'),
    ("strlen", [1], {0: text("größe".encode())}, '"größe"'),
    ("strlen", [1], {0: text(b"")}, '""'),
    ("strlen", [0], {}, "NULL"),
    ("strlen", [TABLE], {}, "0x601040 <table+0x10>"),
    ("strlen", [1], {0: text(b"x" * 300)}, f'"{"x" * 64}"...'),
    ("strlen", [1], {0: text(b"abc", True)}, '"abc"...'),
    ("strlen", [1], {0: text(b"abc\0", True)}, '"abc"'),
    ("write", [1, 2, 3], {1: text(b"abcdef")}, '1, "abc", 3'),
    ("write", [1, 2, 300], {1: text(b"abcdef", True)}, '1, "abcdef"..., 300'),
    ("write", [1, 2, 0], {1: text(b"abcdef")}, '1, "", 0'),
    ("fwrite", [1, 2, 3, TABLE], {0: text(b"a\0b\0c\0d\0")}, '"a\\0b\\0c\\0", 2, 3, 0x601040 <table+0x10>'),
    ("read", [0, TABLE, 100], {1: text(b"garbage")}, "0, 0x601040 <table+0x10>, 100"),
    ("strcat", [1, 2], {0: text(b"abc"), 1: text(b"def")}, '"abc", "def"'),
    ("strcat", [1, 2], {0: text(b"\xff\x01"), 1: text(b"def")}, '0x1, "def"'),
    ("qsort", [TABLE, 3, 4, TABLE], {}, "0x601040 <table+0x10>, 3, 4, 0x601040 <table+0x10>"),
    ("fork", [1, 2, 3], {}, ""),
    ("printf", [1, 2], {}, "0x1, ..."),
    ("printf", [1, 5], {0: text(b"100%%\n")}, '"100%%\\n"'),
    ("printf", [1, 0xFFFFFFFB, TABLE, ord("x")], {0: text(b"%d %s %c"), 2: text(b"hi")}, '"%d %s %c", -5, "hi", \'x\''),
    ("printf", [1, 0xFF, 0xFF, 0xFF, 8], {0: text(b"%hhd %x %#o %5.2hu")}, '"%hhd %x %#o %5.2hu", -1, 0xff, 0377, 8'),
    ("printf", [1, 5, 2, TABLE], {0: text(b"%*.*s|"), 3: text(b"hello")}, '"%*.*s|", 5, 2, "he"'),
    ("printf", [1, TABLE, 3], {0: text(b"%.3s|"), 1: text(b"abc", True)}, '"%.3s|", "abc"'),
    ("printf", [1, 0, TABLE], {0: text(b"%p %n")}, '"%p %n", NULL, 0x601040 <table+0x10>'),
    ("printf", [1, 2, 3], {0: text(b"%d %k %d")}, '"%d %k %d", 2, ...'),
    ("printf", [1, 2, 3], {0: text(b"%2$d")}, '"%2$d", ...'),
    ("printf", [1, 2, 3], {0: text(b"%d and", True)}, '"%d and"..., 2, ...'),
    ("printf", [1, 2], {0: text(b"%d %d %d")}, '"%d %d %d", 2, ?, ?'),
    ("snprintf", [TABLE, 8, 3, 7], {2: text(b"%zu"), 0: text(b"junk")}, '0x601040 <table+0x10>, 8, "%zu", 7'),
    (
        "sscanf",
        [1, 2, TABLE, 0],
        {0: text(b"5 x"), 1: text(b"%d %*s %[^]a]")},
        '"5 x", "%d %*s %[^]a]", 0x601040 <table+0x10>, NULL',
    ),
    ("setlocale", [6, 0], {}, "LC_ALL, NULL"),
    ("execl", [1, 2, 3], {0: text(b"/bin/ls"), 1: text(b"ls")}, '"/bin/ls", "ls", ...'),
    ("poll", [1, 1, 5], {0: text(struct.pack("<iHH", 7, 5, 0))}, "{fd=7, events=POLLIN|POLLOUT, revents=0}, 1, 5"),
    ("clock_gettime", [1, TABLE], {1: text(bytes(16))}, "CLOCK_MONOTONIC, 0x601040 <table+0x10>"),
    ("nanosleep", [TABLE, 0], {0: text(struct.pack("<qq", 1, 5))}, "{tv_sec=1, tv_nsec=5}, NULL"),
    ("nanosleep", [TABLE, 0], {0: text(bytes(8))}, "{tv_sec=0, ...}, NULL"),
]


@pytest.mark.parametrize("machine", list(Machine))
@pytest.mark.parametrize(("function", "words", "payload", "expected"), BOTH)
def test_arguments(
    machine: Machine, function: str, words: list[int], payload: dict[int, tuple[bytes, bool]], expected: str
) -> None:
    shown = CallDecoder(machine, names).arguments(prototype(function, machine), words, payload)
    assert ", ".join(shown) == expected


RESULTS = [
    (I386, "getchar", [0xFFFFFFFF, 0, 0], {}, "EOF"),
    (I386, "lseek", [5, 1, 0], {}, str((1 << 32) + 5)),
    (I386, "malloc", [TABLE, 0, 0], {}, "0x601040 <table+0x10>"),
    (X86_64, "open", [0xFFFFFFFF, 0, 0], {}, "-1"),
    (X86_64, "open", [0xFFFFFFFFFFFFFFFF, 0, 0], {}, "-1"),
    (X86_64, "free", [5, 0, 0], {}, ""),
    (X86_64, "getenv", [TABLE, 0, 0], {0: text(b"/bin")}, '"/bin"'),
    (X86_64, "strchr", [0, 0, 0], {}, "NULL"),
    (X86_64, "sqrt", [0, 0, struct.unpack("<Q", struct.pack("<d", 1.5))[0]], {}, "1.5"),
    (X86_64, "sqrtf", [0, 0, struct.unpack("<I", struct.pack("<f", 0.1))[0]], {}, "0.1"),
    (X86_64, "sqrtl", [0, 0, 0], {}, "?"),
    (I386, "sqrtl", [0, 0, struct.unpack("<Q", struct.pack("<d", math.inf))[0]], {}, "inf"),
    (X86_64, "div", [(5 << 32) + 3, 0, 0], {}, "{quot=3, rem=5}"),
    (X86_64, "ldiv", [3, 5, 0], {}, "{quot=3, rem=5}"),
    (I386, "div", [TABLE, 0, 0], {}, "0x601040 <table+0x10>"),
    (I386, "div", [TABLE, 0, 0], {0: text(struct.pack("<ii", 1, 2))}, "{quot=1, rem=2}"),
    (X86_64, "csqrt", [0, 0, 0], {}, "?"),
    (X86_64, "umask", [0o22, 0, 0], {}, "022"),
]


@pytest.mark.parametrize(("machine", "function", "words", "payload", "expected"), RESULTS)
def test_results(
    machine: Machine, function: str, words: list[int], payload: dict[int, tuple[bytes, bool]], expected: str
) -> None:
    assert CallDecoder(machine, names).result(prototype(function, machine), words, payload) == expected


def test_wide_arguments_differ_by_machine() -> None:
    lseek = [3, 5, 0, 1]  # i386: the offset takes two words
    assert CallDecoder(I386).arguments(prototype("lseek", I386), lseek) == ["3", "5", "SEEK_CUR"]
    assert CallDecoder(X86_64).arguments(prototype("lseek", X86_64), lseek) == ["3", "5", "SEEK_SET"]
    power = [0, 0x3FF80000, 0, 0x40000000]
    assert CallDecoder(I386).arguments(prototype("pow", I386), power) == ["1.5", "2.0"]
    assert CallDecoder(X86_64).arguments(prototype("pow", X86_64), power) == ["?", "?"]


def test_without_prototype() -> None:
    decoder = CallDecoder(X86_64, names)
    assert decoder.arguments(None, [1, TABLE, 0, 255, 5], {3: text(b"key")}) == [
        "0x1",
        "0x601040 <table+0x10>",
        "0x0",
        '"key"',
    ]
    assert decoder.result(None, [16, 0, 0]) == "0x10"


STRING, BYTES = CaptureKind.STRING, CaptureKind.BYTES


def test_what_is_copied() -> None:
    def rows(name: str, machine: Machine) -> list[tuple[int, CaptureKind]]:
        return [(c.word, c.kind) for c in wanted(prototype(name, machine), machine)]

    for machine in Machine:
        assert rows("strcpy", machine) == [(1, STRING)]
        assert rows("fprintf", machine) == [(word, STRING) for word in range(1, 11)]  # any of them may be a string
        assert rows("sscanf", machine) == [(0, STRING), (1, STRING)]
        assert rows("malloc", machine) == []
        assert rows("stat", machine) == [(0, STRING)]
        assert wanted(prototype("nanosleep", machine), machine) == (Capture(0, BYTES, 16),)
        assert wanted(prototype("write", machine), machine) == (Capture(1, BYTES, 128, (2,)),)
        assert [c.kind for c in wanted_result(prototype("getenv", machine))] == [STRING]
        assert wanted_result(prototype("getpid", machine)) == ()
        assert wanted_words(prototype("getpid", machine), machine) == 0
        assert wanted_words(prototype("printf", machine), machine) == 11
    assert rows("inet_ntop", X86_64) == []
    assert wanted_words(prototype("lseek", I386), I386) == 4
    assert wanted_words(prototype("lseek", X86_64), X86_64) == 3
    vector = wanted(prototype("pow", X86_64), X86_64, registers=True)
    assert [c.kind for c in vector] == [CaptureKind.VECTOR]


def test_enumerations_and_flags() -> None:
    declared = from_file(
        "enum e { A, B = 5 }; enum f { NONE, X = 1, Y = 2, Z = 4, XY = 3 } __attribute__((flag_enum));"
        "enum g { P = 1, Q = 2, R = 4 }; void f(enum e a, enum f b, enum g c);",
        "x.h",
        X86_64,
    )
    decoder, f = CallDecoder(X86_64), declared.find("f")
    cases = {(0, 0, 1): "A NONE P", (5, 3, 3): "B XY P|Q", (7, 7, 8): "7 XY|Z 0x8", (5, 9, 0): "B X|0x8 0"}
    for words, expected in cases.items():
        assert " ".join(decoder.arguments(f, words)) == expected


@given(st.floats(width=32))
@example((2 - 2**-23) * 2.0**127)  # the largest: its shorter decimals are no floats
def test_floats_survive(value: float) -> None:
    data = struct.pack("<f", value)
    shown = values.floating(data)
    assert math.isnan(value) if shown == "nan" else struct.pack("<f", float(shown)) == data


@given(st.integers(0, (1 << 80) - 1))
def test_every_long_double_is_shown(bits: int) -> None:
    assert values.floating(bits.to_bytes(10, "little"))


@given(st.binary(max_size=40))
def test_strings_are_valid_c(data: bytes) -> None:
    """Escapes read back give the same bytes: no octal escape runs into the digit behind it."""
    shown = values.quoted(data)
    assert shown.startswith('"') and shown.endswith('"')
    if shown.isascii():
        octal = {f"\\{n:o}": n for n in range(256)}
        assert octal  # Python reads the same escapes as C
        assert shown[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1") == data


@given(
    st.sampled_from(sorted(standard(I386).names())),
    st.lists(st.integers(0, (1 << 64) - 1), max_size=11),
    st.dictionaries(st.integers(0, 70), st.tuples(st.binary(max_size=80), st.booleans())),
    st.sampled_from(list(Machine)),
)
def test_nothing_breaks_the_decoder(
    name: str, words: list[int], payload: dict[int, tuple[bytes, bool]], machine: Machine
) -> None:
    """Whatever a trace file holds, there is a line of text."""
    found = standard(machine).find(name)
    decoder = CallDecoder(machine, names)
    shown = decoder.arguments(found, words, payload)
    back = decoder.result(found, [*words, 0, 0, 0][:4], payload)
    assert all(item and "\n" not in item for item in shown) and "\n" not in back
