"""The frame that the kernel puts on a guest's stack to run a signal handler, and reading it back (sigreturn).

Layouts: struct rt_sigframe of x86-64, struct sigframe_ia32 and rt_sigframe_ia32 (arch/x86/include/asm/sigframe.h),
struct sigcontext (uapi/asm/sigcontext.h), struct _fpstate_32. Programs and debuggers read these; musl's sigreturn
stubs depend on where the frame lies relative to the stack pointer.

    x86-64, from the new stack pointer up          i386, rt (without SA_SIGINFO: pretcode, sig, sigcontext, ...)
      0  return address (the restorer)               0  return address
      8  ucontext: flags, link, stack (40 bytes)     4  sig, 8 &siginfo, 12 &ucontext
     48  sigcontext (256 bytes)                      16 siginfo (128 bytes)
    304  signal mask                                144 ucontext: flags, link, stack (20), sigcontext (88), mask (8)
    312  siginfo (128 bytes)                        260 retcode (8 bytes)
    above, 64-byte aligned: FXSAVE image            above: 112 bytes of FSAVE, FXSAVE image
"""

from __future__ import annotations

import struct

from uselib.emulator.machine.registers import INDEX
from uselib.emulator.process.interfaces import CpuState
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import AddressSpace

_64 = INDEX[64] | {"eflags": INDEX[64]["rflags"]}  # positions in Cpu.general()
_32 = INDEX[32]
_CONTEXT_ORDER = "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip rflags"
_ORDER_64 = tuple(_64[name] for name in _CONTEXT_ORDER.split())
_ORDER_32 = tuple(_32[name] for name in "edi esi ebp esp ebx edx ecx eax".split())  # between the segments and trapno

_CONTEXT_64 = struct.Struct("<18Q4H5Q64x")  # registers; cs gs fs ss; err trapno oldmask cr2 fpstate
_UCONTEXT_64 = struct.Struct("<QQQiIQ")  # flags link; ss_sp ss_flags pad ss_size
_CONTEXT_32 = struct.Struct("<4I8I2I2I2I2I2I")
_UCONTEXT_32 = struct.Struct("<IIIiI")
_FSAVE_HEADER = struct.Struct("<7I")
_UC_SIGCONTEXT_SS, _UC_STRICT_RESTORE_SS = 2, 4
_CODE_64, _DATA = 0x33, 0x2B  # __USER_CS, __USER_DS
_REDZONE = 128
_FIX_EFLAGS = 0x50DD5  # flags that sigreturn lets a program change: AC OF DF TF SF ZF AF PF CF RF
_CLEAR_EFLAGS = 0x10500  # a handler starts with DF, TF and RF clear

_SIGSYS, _SYS_SECCOMP = 31, 1
SI_USER, SI_KERNEL, SI_TIMER, SI_TKILL = 0, 0x80, -2, -6


@dataclass(frozen=True)
class SignalInfo:
    """What siginfo_t says. Kill: pid, uid. Fault: address. SIGCHLD: pid, uid, status. Queue: value. timer_create: timer, overrun, value."""

    signal: int
    code: int = SI_USER
    pid: int = 0
    uid: int = 0
    address: int = 0
    status: int = 0
    value: int = 0
    error: int = 0  # for the frame: page-fault error code
    trap: int = 0  # for the frame: x86 vector
    fault: bool = False
    timer: int = 0  # the timer's number, and how many more times it has expired
    overrun: int = 0
    number: int = 0  # si_errno

    def encode(self, word: int) -> bytes:
        """siginfo_t, 128 bytes."""
        head = struct.pack("<iii", self.signal, self.number, self.code) + bytes(4 if word == 8 else 0)
        if self.fault:
            body = struct.pack("<Q" if word == 8 else "<I", self.address)
        elif self.signal == 17 and self.code > 0 and self.code < SI_KERNEL:
            body = struct.pack("<iii", self.pid, self.uid, self.status)
        elif self.signal == _SIGSYS and self.code == _SYS_SECCOMP:  # status: the call; error: the architecture
            body = struct.pack("<QII" if word == 8 else "<III", self.address, self.status, self.error)
        elif self.code == SI_TIMER:
            body = struct.pack("<ii", self.timer, self.overrun) + (self.value % (1 << 8 * word)).to_bytes(
                word, "little"
            )
        else:
            body = struct.pack("<iI", self.pid, self.uid) + (self.value % (1 << 8 * word)).to_bytes(word, "little")
        return (head + body).ljust(128, b"\0")


@dataclass(frozen=True)
class Delivery:
    """One handler to be entered."""

    info: SignalInfo
    handler: int
    restorer: int
    siginfo: bool  # SA_SIGINFO
    mask: int  # to be restored afterwards
    stack: tuple[int, int, int]  # sigaltstack: ss_sp, ss_flags, ss_size
    switch_stack: bool  # start at the top of it


def push(cpu: CpuState, space: AddressSpace, delivery: Delivery) -> None:
    """Writes the frame and sets the registers for the handler. Raises MemoryFault if the stack cannot take it."""
    (_push_64 if cpu.bits == 64 else _push_32)(cpu, space, delivery)


def pop(cpu: CpuState, space: AddressSpace, *, rt: bool) -> tuple[int, tuple[int, int, int] | None]:
    """Restores the registers from the frame at the stack pointer; returns the signal mask and the alternate stack (rt).

    Raises MemoryFault.
    """
    if cpu.bits == 64:
        return _pop_64(cpu, space)
    return _pop_32_rt(cpu, space) if rt else _pop_32(cpu, space)


def _push_64(cpu: CpuState, space: AddressSpace, d: Delivery) -> None:
    registers = cpu.general()
    top = d.stack[0] + d.stack[2] if d.switch_stack else registers[_64["rsp"]] - _REDZONE
    float_at = (top - 512) & -64
    frame = ((float_at - 440) & -16) - 8
    info, segments = d.info, cpu.segments()
    selectors = (segments["cs"], 0, 0, segments["ss"])
    fault = (info.error, info.trap, d.mask, info.address if info.trap == 14 else 0, float_at)
    context = _CONTEXT_64.pack(*(registers[i] for i in _ORDER_64), *selectors, *fault)
    head = _UCONTEXT_64.pack(_UC_SIGCONTEXT_SS | _UC_STRICT_RESTORE_SS, 0, d.stack[0], d.stack[1], 0, d.stack[2])
    data = struct.pack("<Q", d.restorer) + head + context + struct.pack("<Q", d.mask) + info.encode(8)
    space.write(float_at, cpu.float_state())
    space.write(frame, data)
    registers[_64["rdi"]], registers[_64["rsi"]], registers[_64["rdx"]] = info.signal, frame + 312, frame + 8
    registers[_64["rax"]], registers[_64["rip"]], registers[_64["rsp"]] = 0, d.handler, frame
    registers[_64["eflags"]] &= ~_CLEAR_EFLAGS
    cpu.set_segments({"cs": _CODE_64, "ss": _DATA})
    cpu.set_general(registers)


def _pop_64(cpu: CpuState, space: AddressSpace) -> tuple[int, tuple[int, int, int]]:
    registers = cpu.general()
    frame = registers[_64["rsp"]] - 8
    data = space.read(frame, 440)
    _, _, stack, flags, _, size = _UCONTEXT_64.unpack_from(data, 8)
    fields = _CONTEXT_64.unpack_from(data, 48)
    old_flags = registers[_64["eflags"]]
    for position, value in zip(_ORDER_64, fields[:18], strict=True):
        registers[position] = value
    registers[_64["eflags"]] = old_flags & ~_FIX_EFLAGS | registers[_64["eflags"]] & _FIX_EFLAGS
    (mask,) = struct.unpack_from("<Q", data, 304)
    if fields[26]:
        cpu.set_float_state(space.read(fields[26], 512))
    cpu.set_segments({"cs": fields[18] | 3, "ss": fields[21] | 3})
    cpu.set_general(registers)
    return mask, (stack, flags, size)


def _fsave(state: bytes) -> bytes:
    """The FSAVE part of _fpstate_32 from an FXSAVE image (convert_from_fxsr)."""
    control, status, abridged = struct.unpack_from("<HHB", state)
    tags = sum((0 if abridged >> i & 1 else 3) << 2 * i for i in range(8))
    head = _FSAVE_HEADER.pack(control | 0xFFFF0000, status | 0xFFFF0000, tags | 0xFFFF0000, 0, 0, 0, 0xFFFF0000)
    stack = b"".join(state[32 + 16 * i : 42 + 16 * i] for i in range(8))
    return head + stack + struct.pack("<HH", status, 0)  # magic 0: an FXSAVE image follows


def _context_32(cpu: CpuState, registers: list[int], info: SignalInfo, mask: int, float_at: int) -> bytes:
    r, s = registers, cpu.segments()
    selectors = (s[name] for name in ("gs", "fs", "es", "ds"))
    at = (info.trap, info.error, r[_32["eip"]], s["cs"], r[_32["eflags"]], r[_32["esp"]], s["ss"], float_at)
    end = (mask & 0xFFFF_FFFF, info.address if info.trap == 14 else 0)
    return _CONTEXT_32.pack(*selectors, *(r[i] for i in _ORDER_32), *at, *end)


# popl %eax / movl $119,%eax / int $0x80   and   movl $173,%eax / int $0x80
_RETCODE = bytes.fromhex("58 b8 77000000 cd80")
_RT_RETCODE = bytes.fromhex("b8 ad000000 cd80 00")


def _push_32(cpu: CpuState, space: AddressSpace, d: Delivery) -> None:
    registers = cpu.general()
    top = d.stack[0] + d.stack[2] if d.switch_stack else registers[_32["esp"]]
    float_at = ((top - 624) & -16) & 0xFFFF_FFFF
    state = cpu.float_state()
    info = d.info
    context = _context_32(cpu, registers, info, d.mask, float_at)
    if d.siginfo:
        size = 268
        frame = ((float_at - size + 4) & -16) - 4
        head = struct.pack("<IiII", d.restorer or frame + 260, info.signal, frame + 16, frame + 144)
        data = (
            head
            + info.encode(4)
            + _UCONTEXT_32.pack(1, 0, *d.stack)
            + context
            + struct.pack("<Q", d.mask)
            + _RT_RETCODE
        )
        registers[_32["edx"]], registers[_32["ecx"]] = frame + 16, frame + 144
    else:
        size = 8 + 88 + 624 + 4 + 8  # with the unused fpstate that the kernel keeps for old debuggers
        frame = ((float_at - size + 4) & -16) - 4
        head = struct.pack("<Ii", d.restorer or frame + 724, info.signal)
        data = head + context + bytes(624) + struct.pack("<I", d.mask >> 32) + _RETCODE
        registers[_32["edx"]], registers[_32["ecx"]] = 0, 0
    space.write(float_at, _fsave(state) + state)
    space.write(frame, data)
    registers[_32["eax"]], registers[_32["eip"]], registers[_32["esp"]] = info.signal, d.handler, frame
    registers[_32["eflags"]] &= ~_CLEAR_EFLAGS
    cpu.set_general(registers)


def _restore_32(cpu: CpuState, space: AddressSpace, context: bytes) -> int:
    fields = _CONTEXT_32.unpack(context)
    selectors = dict(zip(("gs", "fs", "es", "ds"), fields[:4], strict=True))
    _trap, _error, eip, _cs, eflags, _sp, _ss, float_at, mask, _cr2 = fields[12:]
    registers = cpu.general()
    flags = registers[_32["eflags"]] & ~_FIX_EFLAGS | eflags & _FIX_EFLAGS
    if float_at:
        cpu.set_float_state(space.read(float_at + 112, 512))
    cpu.set_segments({name: value & 0xFFFF for name, value in selectors.items()})
    for position, value in zip(_ORDER_32, fields[4:12], strict=True):
        registers[position] = value
    registers[_32["eip"]], registers[_32["eflags"]] = eip, flags
    cpu.set_general(registers)
    return int(mask)


def _pop_32(cpu: CpuState, space: AddressSpace) -> tuple[int, None]:
    frame = cpu.general()[_32["esp"]] - 8
    data = space.read(frame, 8 + 88 + 624 + 4)
    mask = _restore_32(cpu, space, data[8:96])
    return mask | struct.unpack_from("<I", data, 720)[0] << 32, None


def _pop_32_rt(cpu: CpuState, space: AddressSpace) -> tuple[int, tuple[int, int, int]]:
    frame = cpu.general()[_32["esp"]] - 4
    data = space.read(frame, 268)
    _, _, stack, flags, size = _UCONTEXT_32.unpack_from(data, 144)
    (mask,) = struct.unpack_from("<Q", data, 252)
    _restore_32(cpu, space, data[164:252])
    return mask, (stack, flags, size)
