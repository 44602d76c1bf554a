"""The exchange that the kernel makes in memory of several processes is atomic."""

from __future__ import annotations

import ctypes
import mmap
import os

import pytest

from uselib.emulator.machine import core
from uselib.emulator.machine.unicorn_library import library

PROCESSES, STEPS = 3, 20_000


def test_no_step_is_lost() -> None:
    functions = core.attach(library())
    if functions is None:
        pytest.skip("the CPU is as Unicorn has it")
    exchange = functions.uselib_core_exchange_word
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    word = ctypes.c_uint32.from_buffer(memory)
    at = ctypes.addressof(word)
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if not child:
            for _ in range(STEPS):
                before = word.value
                while (found := exchange(at, before, before + 1)) != before:
                    before = found
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES
    assert word.value == PROCESSES * STEPS
    assert exchange(at, 5, 6) == PROCESSES * STEPS  # another value is there, and stays
    assert word.value == PROCESSES * STEPS
