"""Unicorn's C interface, as much of it as the machine needs, through ctypes.

The Python binding that comes with Unicorn takes 40 ms to import and 3-5 us for a register; this layer takes 1 ms and under
1 us for a whole set of registers, which is what a system call needs. unicorn_library.py finds and loads the library file;
tests/emulator/machine/test_machine_run.py compares the constants below with the binding's.

Source: unicorn.h, x86.h of Unicorn 2.1.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_int, c_size_t, c_uint32, c_uint64, c_void_p

from uselib.emulator.machine import core, stop_checks
from uselib.emulator.machine.unicorn_library import EngineError, library
from uselib.linker.quick_typing import Any

ARCH_X86 = 4
MODE_32, MODE_64 = 4, 8
PROT_ALL = 7

HOOK_INTR = 1
HOOK_INSN = 1 << 1
HOOK_CODE = 1 << 2
HOOK_BLOCK = 1 << 3
HOOK_TLB_FILL = 1 << 17

INSN_SYSCALL = 699

ERR_OK = 0
ERR_INSN_INVALID = 10

MEM_READ, MEM_WRITE, MEM_FETCH = 16, 17, 18

TLB_CPU, TLB_VIRTUAL = 0, 1

_CTL_WRITE = 1 << 30
_CTL_TB_REMOVE_CACHE = 9
_CTL_TB_FLUSH = 10
_CTL_TLB_FLUSH = 11
_CTL_TLB_TYPE = 12
_CTL_TCG_BUFFER_SIZE = 13


def _ctl_write(control: int, count: int) -> int:
    """UC_CTL_WRITE: control number, number of arguments, direction."""
    return control | count << 26 | _CTL_WRITE


INTR_CALLBACK = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
BLOCK_CALLBACK = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_void_p)
TLB_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_bool, c_void_p, c_uint64, c_int, c_void_p, c_void_p)
INSN_CALLBACK = ctypes.CFUNCTYPE(c_uint32, c_void_p, c_void_p)
_HOOK_BEGIN = 24  # offset of begin, end, callback, data in struct hook of Unicorn 2.1.4


class RegisterSet:
    """A fixed list of registers that are read and written together, in one call of Unicorn's.

    Values are unsigned 64-bit integers (a 32-bit register fills the low half).
    """

    __slots__ = ("_ids", "_pointers", "_read", "_uc", "_write", "count", "values")

    def __init__(self, engine: Engine, registers: tuple[int, ...]) -> None:
        self.count = len(registers)
        self.values = (c_uint64 * self.count)()
        base = ctypes.addressof(self.values)
        self._ids = (c_int * self.count)(*registers)
        self._pointers = (c_void_p * self.count)(*(base + 8 * i for i in range(self.count)))
        self._uc = engine.handle
        self._read, self._write = engine.lib.uc_reg_read_batch, engine.lib.uc_reg_write_batch

    def load(self) -> list[int]:
        self._read(self._uc, self._ids, self._pointers, self.count)
        return self.values[:]

    def store(self, values: Sequence[int]) -> None:
        self.values[:] = list(values)
        self._write(self._uc, self._ids, self._pointers, self.count)


class Engine:
    """One Unicorn instance. Not thread-safe, but `stop` may be called from another thread."""

    def __init__(self, bits: int) -> None:
        """bits: 32 or 64."""
        self.lib = library()
        self._core = core.attach(self.lib)  # before the engine is made: it looks its functions up
        handle = c_void_p()
        self._check(self.lib.uc_open(ARCH_X86, MODE_32 if bits == 32 else MODE_64, ctypes.byref(handle)), "open")
        self.handle: int | None = handle.value
        self._callbacks: list[Any] = []  # ctypes callbacks live as long as the engine
        self._start, self._stop = self.lib.uc_emu_start, self.lib.uc_emu_stop
        self.counting = False  # every instruction is counted, each iteration of a string instruction too
        self.core: ctypes.CDLL | None = None  # replaced parts of the CPU; None: it is as Unicorn has it
        self.calls: int | None = None  # where native code finds which system calls it answers (native_calls.py)
        self.until = 0  # address where Unicorn stops by itself, on a page that can be looked up; nothing runs there
        self._one = c_uint64()
        self._one_ref = ctypes.addressof(self._one)
        self._windows: list[int] = []  # host addresses of guest memory, known to the core
        self._unchecked: ctypes.c_uint8 | None = None  # in the engine: 1 = no checks behind memory accesses
        self._stopping: set[int] = set()  # hooks on instructions that may stop the CPU

    def _check(self, status: int, what: str) -> None:
        if status:
            raise EngineError(f"unicorn: {what}: {self.lib.uc_strerror(status).decode()}")

    def close(self) -> None:
        if self.handle is not None:
            if self.core is not None:
                self.core.uselib_core_watch(self.handle, None, None, 0)
                self.core.uselib_core_no_slices(self.handle)
            self.lib.uc_close(self.handle)
            self.handle = self._unchecked = None
            self._callbacks.clear()
            if self.core is not None:
                for host in self._windows:
                    self.core.uselib_core_no_window(host)
            self._windows.clear()

    # -- registers --------------------------------------------------------------------------------------------------

    def read(self, register: int) -> int:
        self._one.value = 0
        self.lib.uc_reg_read(self.handle, register, self._one_ref)
        return self._one.value

    def write(self, register: int, value: int) -> None:
        self._one.value = value
        self.lib.uc_reg_write(self.handle, register, self._one_ref)

    def read_bytes(self, register: int, size: int) -> bytes:
        """A wide register (XMM: 16 bytes, ST: 10 bytes, descriptor tables: struct uc_x86_mmr, 24 bytes)."""
        buffer = ctypes.create_string_buffer(size)
        self._check(self.lib.uc_reg_read(self.handle, register, buffer), "reg_read")
        return buffer.raw

    def write_bytes(self, register: int, value: bytes) -> None:
        self._check(self.lib.uc_reg_write(self.handle, register, ctypes.create_string_buffer(value, 32)), "reg_write")

    # -- the registers of several threads -----------------------------------------------------------------------------

    def new_context(self) -> int:
        """Room for all registers: general, segments with their bases, floating point. `free_context` after use."""
        context = c_void_p()
        self._check(self.lib.uc_context_alloc(self.handle, ctypes.byref(context)), "context")
        assert context.value is not None
        return context.value

    def save_context(self, context: int) -> None:
        """Between two runs only: within one, parts of the registers are the host's."""
        self._check(self.lib.uc_context_save(self.handle, context), "save")

    def restore_context(self, context: int) -> None:
        self._check(self.lib.uc_context_restore(self.handle, context), "restore")

    def free_context(self, context: int) -> None:
        self.lib.uc_free(context)

    # -- running ----------------------------------------------------------------------------------------------------

    def start(self, pc: int) -> int:
        """Runs from `pc` until something stops it; returns Unicorn's status (ERR_*). (Unicorn's own limit on instructions is
        not offered: it is a hook that stops the CPU, which stop_checks.py would have to know of.)"""
        if self.core is not None:
            return int(self.core.uselib_core_start(self.handle, pc, self.until, self.counting, self.calls))
        return int(self._start(self.handle, pc, self.until, 0, 0))

    @property
    def error_code(self) -> int:
        """What the latest exception pushed, of vectors that push one; 0 where it is not to be had."""
        if self.core is None:
            return 0
        return ctypes.c_int32.from_address(self.core.uselib_core_env(self.handle) + core.ERROR_CODE).value

    @property
    def interrupt_was_instruction(self) -> bool:
        """Whether an instruction (INT1, INT3, INT n) has asked for the latest vector; False where that is not to be had."""
        if self.core is None:
            return False
        return ctypes.c_int32.from_address(self.core.uselib_core_env(self.handle) + core.IS_INSTRUCTION).value != 0

    @property
    def looked_up(self) -> int | None:
        """The address of the latest page lookup, to the byte; None where only its page is known."""
        return None if self.core is None else int(self.core.uselib_core_asked())

    def enter_user_mode(self, bits: int, descriptors: int) -> bool:
        """Privilege level 3 from now on, with Linux's selectors; False where that cannot be done, and all stays at level 0.
        descriptors: host address of the table of segment descriptors, 16 entries of 8 bytes."""
        if self.core is None:
            return False
        self.core.uselib_core_user_mode(self.handle, bits, descriptors)
        return True

    def selectors(self) -> dict[str, int]:
        """Of the six segments, by name, after enter_user_mode."""
        assert self.core is not None
        return {
            name: self.core.uselib_core_selector(self.handle, n)
            for n, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs"))
        }

    @property
    def executes_64(self) -> bool:
        """Whether CS is that of 64-bit code; False where that is not to be had."""
        return self.core is not None and bool(self.core.uselib_core_wide(self.handle))

    def set_code_segment(self, code: int, stack: int) -> bool:
        """CS and SS, after enter_user_mode; False if a program may not have these."""
        assert self.core is not None
        return bool(self.core.uselib_core_set_code(self.handle, code, stack))

    def stop(self) -> None:
        self._stop(self.handle)

    # -- memory and translations ------------------------------------------------------------------------------------

    def map_host(self, address: int, size: int, host: int) -> None:
        """Guest range [address, address + size) is host memory at `host`. Permissions come from the TLB callback alone."""
        self._check(self.lib.uc_mem_map_ptr(self.handle, address, size, PROT_ALL, host), f"map {address:#x}+{size:#x}")
        if self.core is not None and not self.core.uselib_core_window(host, size, address):
            self._windows.append(host)

    def host_fault(self) -> tuple[int, int]:
        """After a run that ended with vector 14: the guest address that the host had no page for, the kind of access (MEM_*)."""
        assert self.core is not None  # nothing else raises this vector
        found = (c_uint64 * 2)()
        self.core.uselib_core_fault(found)
        return found[0], found[1]

    def lost_page(self) -> int:
        """Host address of a page of guest memory that was not there when this process accessed it, and is an anonymous page now; 0:
        none. Each is told once."""
        return 0 if self.core is None else int(self.core.uselib_core_lost())

    def exchange_word(self, host: int, expected: int, value: int) -> int | None:
        """At once: the word at an address of the host becomes `value` if it is `expected`. What it was; None where that cannot be had."""
        return None if self.core is None else int(self.core.uselib_core_exchange_word(host, expected, value))

    def map_device(self, address: int, size: int, read: int, write: int, data: int) -> None:
        """Physical range [address, address + size) is a device: addresses of u64 read(uc, offset, size, data) and
        void write(uc, offset, size, value, data)."""
        status = self.lib.uc_mmio_map(
            c_void_p(self.handle), c_uint64(address), c_size_t(size), c_void_p(read), c_void_p(data), c_void_p(write), c_void_p(data)
        )  # fmt: skip
        self._check(status, f"map device {address:#x}+{size:#x}")

    def use_virtual_tlb(self) -> None:
        self._check(self.lib.uc_ctl(c_void_p(self.handle), _ctl_write(_CTL_TLB_TYPE, 1), c_int(TLB_VIRTUAL)), "tlb")

    def use_core(self) -> None:
        """Takes the replaced parts of the CPU (core.py), where they can be had. After use_virtual_tlb, which initialises the engine."""
        if self._core is not None and self._core.uselib_core_fits(self.handle):
            self.core = self._core

    def check_blocks_only(self) -> None:
        """Translates without checks behind memory accesses (stop_checks.py) as long as no instruction hook may stop the CPU.
        For engines without memory hooks whose pages are the TLB callback's. Where it cannot be done, all stays as it was."""
        assert self.handle is not None
        self._unchecked = stop_checks.locate(self.lib, self.handle)
        self._set_unchecked()

    def _set_unchecked(self) -> None:
        if self._unchecked is not None:
            self._unchecked.value = not self._stopping

    def choose_blocks(self, handle: int, callback: int, data: int, filter_at: int, bits: int) -> bool:
        """Has a block hook for everywhere called for blocks only whose address a Bloom filter holds (2 ** bits bits at `filter_at`; the
        hash is that of native/core/translate.c) when they are translated. False where that cannot be done: it is called for all."""
        if self.core is None or self.handle is None:
            return False
        fields = (c_uint64 * 4).from_address(handle + _HOOK_BEGIN)
        if list(fields) != [
            1,
            0,
            callback,
            data,
        ]:  # the handle is the address of Unicorn's struct hook, if it is as we know it
            return False
        return bool(self.core.uselib_core_watch(self.handle, ctypes.addressof(fields), filter_at, bits))

    drop_control = _ctl_write(_CTL_TB_REMOVE_CACHE, 2)  # likewise; then two addresses
    flush_control = _ctl_write(_CTL_TLB_FLUSH, 0)  # uc_ctl's control word, for native code

    def flush_tlb(self) -> None:
        self.lib.uc_ctl(c_void_p(self.handle), self.flush_control)

    def grow_tlb(self) -> int:
        """Makes the TLB larger than it begins; the address of its size for native code, or 0 where that cannot be done."""
        return 0 if self.core is None else int(self.core.uselib_core_grow_tlb(self.handle))

    def hook_lookups(self, callback: Any, data: int) -> None:
        """UC_HOOK_TLB_FILL: bool f(uc, page address, access, struct uc_tlb_entry *, data), a ctypes callback or an address."""
        self.hook(HOOK_TLB_FILL, callback, data=data)

    def private(self, name: str) -> int:
        """Address of a function of the x86 target within Unicorn, which its library exports without declaring it; 0 if this release
        does not, or is not known (stop_checks.KNOWN)."""
        if not stop_checks.known(self.lib):
            return 0
        try:
            return self.function(f"{name}_x86_64")
        except AttributeError:
            return 0

    def flush_translations(self) -> None:
        self.lib.uc_ctl(c_void_p(self.handle), _ctl_write(_CTL_TB_FLUSH, 0))

    def drop_translations(self, begin: int, end: int) -> None:
        self.lib.uc_ctl(c_void_p(self.handle), _ctl_write(_CTL_TB_REMOVE_CACHE, 2), c_uint64(begin), c_uint64(end))

    # -- hooks ------------------------------------------------------------------------------------------------------

    def hook(
        self,
        kind: int,
        callback: Any,
        begin: int = 1,
        end: int = 0,
        instruction: int | None = None,
        data: int = 0,
        stops: bool = True,
    ) -> int:
        """Adds a hook; `callback` is a ctypes callback or a native function's address. begin > end means everywhere.

        An instruction hook (HOOK_CODE) with `stops` may call `stop` or set the program counter, and that holds before its
        instruction. Flush the translations after adding or removing one."""
        if not isinstance(callback, int):
            self._callbacks.append(callback)
        pointer = callback if isinstance(callback, int) else ctypes.cast(callback, c_void_p).value
        handle = c_size_t()
        extra = [c_int(instruction)] if instruction is not None else []
        status = self.lib.uc_hook_add(
            c_void_p(self.handle), ctypes.byref(handle), c_int(kind), c_void_p(pointer), c_void_p(data),
            c_uint64(begin), c_uint64(end), *extra,
        )  # fmt: skip
        self._check(status, "hook")
        if kind == HOOK_CODE and stops:
            self._stopping.add(handle.value)
            self._set_unchecked()
        return handle.value

    def unhook(self, hook: int) -> None:
        self._check(self.lib.uc_hook_del(self.handle, hook), "unhook")
        self._stopping.discard(hook)
        self._set_unchecked()

    @property
    def stop_function(self) -> int:
        """Address of uc_emu_stop: as a native callback it ends the run at an instruction without entering Python
        (its first argument is the engine, like every callback's; it ignores the others)."""
        return self.function("uc_emu_stop")

    def function(self, name: str) -> int:
        """Address of a function of the library."""
        address = ctypes.cast(getattr(self.lib, name), c_void_p).value
        assert address is not None
        return address
