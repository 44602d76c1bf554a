"""Restartable sequences (rseq(2)): a sequence is aborted when its thread has lost the processor or is about to enter a signal handler.

Source: rseq_ip_fixup in kernel/rseq.c of Linux 6.1, struct rseq_cs in include/uapi/linux/rseq.h.
"""

from __future__ import annotations

import struct

from uselib.emulator.kernel.signals.numbers import SIGSEGV
from uselib.emulator.kernel.threads.thread import Sequences
from uselib.emulator.process.interfaces import CpuState, ProcessEnded
from uselib.loader.memory.access import MemoryFault
from uselib.loader.memory.address_space import AddressSpace

_DESCRIPTOR = struct.Struct("<IIQQQ")  # version, flags, start_ip, post_commit_offset, abort_ip
POINTER = 8  # offset of the descriptor's address in the area


def interrupt(cpu: CpuState, memory: AddressSpace, sequences: Sequences) -> None:
    """Aborts the sequence that the thread is in. Its registers are on the CPU. Raises ProcessEnded (SIGSEGV) for an invalid descriptor."""
    try:
        place = int.from_bytes(memory.read(sequences.area + POINTER, 8), "little")
        if not place:
            return
        version, _, start, length, abort = _DESCRIPTOR.unpack(memory.read(place, _DESCRIPTOR.size))
        if version or memory.read(abort - 4, 4) != sequences.signature.to_bytes(4, "little"):
            raise ProcessEnded(signal=SIGSEGV)
        memory.write(sequences.area + POINTER, bytes(8))
    except MemoryFault:
        raise ProcessEnded(signal=SIGSEGV) from None
    if start <= cpu.pc < start + length:
        registers = cpu.general()
        registers[-2] = abort
        cpu.set_general(registers)
