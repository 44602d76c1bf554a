"""The page of old system calls: gettimeofday, time and getcpu at fixed addresses, which static programs of before 2012 call.

Nothing is mapped there. A fetch from one of the three addresses is carried out as the call, and returns to the caller, as Linux does it
(vsyscall=xonly); any other address in the page is a fault.
Source: arch/x86/entry/vsyscall/vsyscall_64.c (emulate_vsyscall) of Linux.
"""

from __future__ import annotations

import errno

from uselib.linker.image import Machine
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import MemoryFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uselib.emulator.kernel.process import Process
    from uselib.emulator.process.interfaces import Fault

PAGE = 0xFFFF_FFFF_FF60_0000
_CALLS = {PAGE: 96, PAGE + 0x400: 201, PAGE + 0x800: 309}  # gettimeofday, time, getcpu
_RAX, _RSI, _RDI, _RSP, _RIP = 0, 4, 5, 7, 16  # in CpuState.general


def emulate(process: Process, call: Callable[[int, Sequence[int]], int], fault: Fault) -> bool:
    """Whether the fault was a call of that kind, which has been carried out. call: makes a system call."""
    number = _CALLS.get(fault.address)
    if number is None or fault.access != "execute" or process.machine is not Machine.X86_64:
        return False
    registers = process.cpu.general()
    try:
        caller = int.from_bytes(process.memory.read(registers[_RSP], 8), "little")
    except MemoryFault:
        return False
    result = call(number, (registers[_RDI], registers[_RSI], 0, 0, 0, 0))
    if result == -errno.EFAULT:
        return False
    registers[_RAX] = result & 0xFFFF_FFFF_FFFF_FFFF
    registers[_RSP] += 8
    registers[_RIP] = caller
    process.cpu.set_general(registers)
    return True
