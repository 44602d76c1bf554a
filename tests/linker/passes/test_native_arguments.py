"""The native part's functions with arguments of wrong types, lengths and values: an exception, and no crash.

Tests that fail here would end the interpreter, so each batch runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from uselib.linker.passes import native

SCRIPT = """
import random
import sys
from uselib.linker import _native
from uselib.linker.passes.model import DynamicBinding, InputSection, Symbol
from uselib.linker.passes.native_take import LAYOUT

name, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
COUNTS = {"odd": 7, "apply": 22, "values": 5, "layout": 2, "take": 13, "symbol_table": 6, "symbol_flags": 5, "scan": 17, "place": 13,
          "sorted_rows": 5, "hash_order": 2, "gnu_hash": 6, "sysv_hash": 2, "dynamic_symbols": 5, "branches": 8, "export": 4}


def symbol():
    made = Symbol(chance.choice(["", "a", "\\udcff"]), None, None, chance.choice([0, 3, -1, 1 << 70]))
    if chance.randrange(2):
        made.dynamic = chance.choice(
            [DynamicBinding(), 3, DynamicBinding(plt=-5, number=-1), DynamicBinding(preemptible=True, plt=1 << 80)]
        )
    if chance.randrange(4) == 0:
        made.section = chance.choice([InputSection(None, 0, "s", 1, 2, 8, 1), "text"])
    if chance.randrange(6) == 0:
        del made.rank
    return made


def data():
    return bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 8, 23, 24, 48, 256, 6144])))


def odd_item():
    return chance.choice([None, 0, -1, 1 << 80, "x", symbol(), (b"", 1), (data(), 3, b"a\\0", [None])])


def answer(*words):
    return chance.choice([None, 0, -7, 1 << 90, "x", (), [], ("n", 1, 2, 3, 4, 5)])


def value(kind):
    makers = [
        lambda: chance.choice([0, 1, 2, 4, 8, -1, 255, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 70, -(1 << 63)]),
        data, lambda: bytearray(data()), lambda: memoryview(data()),
        lambda: [odd_item() for _ in range(chance.randrange(4))],
        lambda: [symbol() for _ in range(3)], lambda: {}, lambda: {symbol(): 5, "a": symbol(), "b": 3},
        lambda: None, lambda: "text", lambda: LAYOUT, symbol, lambda: answer,
    ]
    return makers[kind]() if kind is not None else chance.choice(makers)()


LIKELY = {  # kinds that are right: a call gets past the check of types
    "odd": [2, 0, 0, 1, 0, 0, 1],
    "apply": [10, 2, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 4, 5, 7, 0, 12],
    "values": [1, 0, 0, 4, 4],
    "layout": [11, 11],
    "take": [10, 1, 0, 0, 1, 7, 4, 4, 9, 0, 6, 6, 12],
    "symbol_table": [10, 0, 4, 5, 12, 12],
    "symbol_flags": [10, 1, 0, 0, 5],
    "scan": [10, 1, 0, 0, 1, 2, 1, 0, 0, 0, 0, 5, 9, 4, 7, 6, 0],
    "place": [10, 1, 2, 0, 0, 0, 0, 0, 0, 0, 4, 5, 0],
    "sorted_rows": [2, 0, 0, 0, 0],
    "hash_order": [4, 0],
    "gnu_hash": [4, 0, 0, 0, 0, 0],
    "sysv_hash": [4, 0],
    "dynamic_symbols": [10, 0, 5, 4, 12],
    "branches": [10, 1, 0, 5, 0, 0, 0, 0],
    "export": [10, 5, 4, 12],
}
for _ in range(600):
    words = [value(kind if chance.randrange(12) else None) for kind in LIKELY[name]]
    if chance.randrange(40) == 0:
        words.pop()
    try:
        getattr(_native, name)(*words)
    except (TypeError, ValueError, OverflowError, MemoryError, IndexError, AttributeError, BufferError, SystemError) as failure:
        assert not isinstance(failure, SystemError), failure
assert len(LIKELY[name]) == COUNTS[name]
"""
NAMES = (
    "odd apply values layout take symbol_table symbol_flags scan place sorted_rows hash_order gnu_hash sysv_hash "
    "dynamic_symbols branches export"
).split()


@pytest.mark.skipif(not native.AVAILABLE, reason="the native part was not built")
@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments(name: str) -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT, name, "1"], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
