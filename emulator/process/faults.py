"""From a CPU exception to a Fault: signal, si_code and the exact address, as the kernel's trap handlers give them.

Unicorn tells only the page of a refused access; the byte comes from decoding the instruction (capstone) with the
registers as they were before it. Source: arch/x86/mm/fault.c, arch/x86/kernel/traps.c of Linux.
"""

from __future__ import annotations

from uselib.emulator.machine.engine import MEM_FETCH, MEM_READ, MEM_WRITE
from uselib.emulator.process.interfaces import CpuState, Fault
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import PAGE, AddressSpace, MemoryFault, page_down

if TYPE_CHECKING:
    from uselib.emulator.process.operands import MemoryOperand

SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV = 4, 5, 7, 8, 11
SEGV_MAPERR, SEGV_ACCERR = 1, 2
BUS_ADRALN, BUS_ADRERR = 1, 2
ILL_ILLOPN = 2
TRAP_BRKPT, TRAP_TRACE = 1, 2
FPE_INTDIV, FPE_FLTDIV = 1, 3
SI_KERNEL = 0x80
VECTOR_DEBUG, VECTOR_PROTECTION, VECTOR_PAGE, VECTOR_X87, VECTOR_SSE = 1, 13, 14, 16, 19
VECTOR_ALIGNMENT = 17
OF_OPERANDS = frozenset(
    {VECTOR_PROTECTION, VECTOR_ALIGNMENT}
)  # what an operand in memory raises: not canonical, not aligned
_KINDS = {MEM_READ: "read", MEM_WRITE: "write", MEM_FETCH: "execute"}
_HOLE, _LAST_PAGE = 1 << 47, 0xFFFF_F000  # first address that is not canonical; last page of 32-bit addresses
_FLOAT_PENDING = 0x80  # ES of the x87's status word
_PF_PROT, _PF_WRITE, _PF_USER, _PF_INSTR = 1, 2, 4, 16

# vector -> (signal, code); the address is the program counter's for these
_VECTORS = {
    0: (SIGFPE, FPE_INTDIV),  # divide error
    1: (SIGTRAP, TRAP_TRACE),  # single step
    3: (SIGTRAP, SI_KERNEL),  # int3
    4: (SIGSEGV, SI_KERNEL),  # into
    5: (SIGSEGV, SI_KERNEL),  # bound
    6: (SIGILL, ILL_ILLOPN),  # ud2
    12: (SIGBUS, SI_KERNEL),  # stack segment
    VECTOR_ALIGNMENT: (SIGBUS, BUS_ADRALN),  # alignment check
}


def int1(pc: int) -> Fault:
    """INT1, whose vector is that of a single step. Source: exc_debug_user, get_si_code."""
    return Fault(SIGTRAP, TRAP_BRKPT, pc, trap=VECTOR_DEBUG)


def of_vector(vector: int, pc: int, error: int = 0) -> Fault:
    """An exception or software interrupt other than a page fault; any unknown one is a protection fault. error: the error code that
    the processor pushes (Intel SDM volume 3, 6.13)."""
    if vector == VECTOR_PROTECTION:
        return general_protection(error)
    signal, code = _VECTORS.get(vector, (SIGSEGV, SI_KERNEL))
    return Fault(signal, code, 0 if code == SI_KERNEL or signal == SIGBUS else pc, trap=vector if vector < 32 else 13)


# Exception bits of the x87's status word, in the order in which Linux looks at them (fpu__exception_code), and si_code
_FLOAT_CODES = ((0x01, 7), (0x04, 3), (0x08, 4), (0x12, 5), (0x20, 6))  # FPE_FLTINV, FLTDIV, FLTOVF, FLTUND, FLTRES


def of_float(pc: int, state: bytes, vector: int) -> Fault:
    """An unmasked exception of the x87 or of SSE; state: as Cpu.float_state gives it. Source: fpu__exception_code."""
    if vector == VECTOR_X87:
        control, status = int.from_bytes(state[0:2], "little"), int.from_bytes(state[2:4], "little")
        raised = status & ~control
    else:
        mxcsr = int.from_bytes(state[24:28], "little")
        raised = mxcsr & ~(mxcsr >> 7) & 0x3F
    code = next((code for bits, code in _FLOAT_CODES if raised & bits), FPE_FLTDIV)
    return Fault(SIGFPE, code, pc, trap=vector)


def illegal_instruction(pc: int) -> Fault:
    return Fault(SIGILL, ILL_ILLOPN, pc, trap=6)


def general_protection(error: int = 0) -> Fault:
    """A privileged instruction, a bad selector, an address that is not canonical: no address is told."""
    return Fault(SIGSEGV, SI_KERNEL, 0, trap=VECTOR_PROTECTION, error=error, note="general protection fault")


def stack_fault() -> Fault:
    """An address behind the stack segment's that is not canonical, or wraps (#SS). Source: exc_stack_segment."""
    return Fault(SIGBUS, SI_KERNEL, 0, trap=12, note="stack fault")


def _error_code(kind: str) -> int:
    """Of a page fault, without _PF_PROT."""
    return _PF_USER | (_PF_WRITE if kind == "write" else 0) | (_PF_INSTR if kind == "execute" else 0)


def page_fault(
    space: AddressSpace,
    cpu: CpuState,
    page: int,
    access: int,
    exact: int | None = None,
    *,
    beyond_file: bool = False,
) -> Fault:
    """The access that the page table refused. exact: its address, where the CPU tells it. beyond_file: the mapped file ended before it, though
    another process may have made it longer meanwhile."""
    registers = cpu.general()
    pc = registers[-2]
    hole = cpu.code_bits == 64 and _HOLE <= page < (1 << 64) - _HOLE
    if hole or (cpu.code_bits == 32 and page in (0, _LAST_PAGE)):
        beyond = _outside(space, cpu, registers, page) if access != MEM_FETCH else None
        if beyond or hole:
            return beyond or general_protection()
    kind = _KINDS[access]
    if access == MEM_FETCH:
        address = pc if page_down(pc) == page else page
    elif exact is not None and page_down(exact) == page:
        address = exact
    else:
        address = _operand(space, cpu, registers, page)
    error = _error_code(kind)
    if beyond_file:
        return _beyond_file(address, kind, error)
    try:
        space.check(address, 1, kind)
    except MemoryFault as failure:
        if failure.beyond_file:
            return _beyond_file(address, kind, error)
        code = SEGV_ACCERR if failure.mapped else SEGV_MAPERR
        error |= _PF_PROT if failure.mapped else 0
        return Fault(SIGSEGV, code, address, kind, error=error, note="stack overflow" if failure.stack_overflow else "")
    return Fault(SIGSEGV, SEGV_ACCERR, address, kind, error=error | _PF_PROT)


def _beyond_file(address: int, kind: str, error: int) -> Fault:
    return Fault(SIGBUS, BUS_ADRERR, address, kind, error=error, note="behind the end of the mapped file")


def of_host(space: AddressSpace, cpu: CpuState, address: int, access: int) -> Fault:
    """The host had no page for an access that the page table allowed: the mapped file has become shorter meanwhile, or there is no room for
    the page. address: a byte that the instruction accesses there; not always the first."""
    kind, page = _KINDS[access], page_down(address)
    registers = cpu.general()
    first = registers[-2] if kind == "execute" else _operand(space, cpu, registers, page)
    if page < first < address:
        address = first
    vma = space.find(address)
    error = _error_code(kind)
    beyond = vma is not None and vma.file is not None and vma.offset + address - vma.start >= vma.file.size()
    note = "behind the end of the mapped file" if beyond else "the host has no page for it"
    return Fault(SIGBUS, BUS_ADRERR, address, kind, error=error, note=note)


def reaching(space: AddressSpace, bits: int, pc: int, page: int) -> int:
    """The address of the instruction, counted on from `pc` without branches, that reaches into `page` or begins it."""
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64 if bits == 64 else capstone.CS_MODE_32)
    for instruction in decoder.disasm_lite(space.read(pc, page - pc), pc):
        pc = instruction[0] + instruction[1]
    return int(pc)  # what is left of the bytes before `page` is the beginning of an instruction


def _operand(space: AddressSpace, cpu: CpuState, registers: list[int], page: int) -> int:
    """The first byte that the instruction touches in `page`; the page's start if decoding does not tell."""
    for access in _accesses(space, cpu, registers):
        if access.touches(page, page + PAGE):
            return max(access.address, page)
    return page


def _accesses(space: AddressSpace, cpu: CpuState, registers: list[int]) -> list[MemoryOperand]:
    from uselib.emulator.process import operands

    instruction = operands.instruction_at(space, cpu.code_bits, registers[-2])
    return [] if instruction is None else operands.accesses(space, cpu, registers, instruction)


def _outside(space: AddressSpace, cpu: CpuState, registers: list[int], page: int) -> Fault | None:
    """What an operand in the refused page gives that is not canonical, or in 32-bit mode goes on behind the last address: #SS in the stack
    segment, else #GP; None: it is a page fault."""
    for access in _accesses(space, cpu, registers):
        wraps = cpu.code_bits == 32 and access.address + access.size > 1 << 32
        if wraps or (cpu.code_bits == 64 and access.touches(_HOLE, (1 << 64) - _HOLE)):
            return stack_fault() if access.stack else general_protection()
        if access.touches(page, page + PAGE):
            return None
    return None


def not_aligned(space: AddressSpace, cpu: CpuState) -> Fault:
    """#AC; where an operand of 32-bit code goes on behind the last address, the segment's limit comes first (Intel SDM volume 3, table 6-2)."""
    registers = cpu.general()
    if cpu.code_bits == 32:
        for access in _accesses(space, cpu, registers):
            if access.address + access.size > 1 << 32:
                return stack_fault() if access.stack else general_protection()
    return of_vector(VECTOR_ALIGNMENT, registers[-2])


def pending_float(space: AddressSpace, cpu: CpuState) -> Fault | None:
    """The exception of the x87 that the instruction at the program counter raises before it touches its operand, if there is one."""
    state = cpu.float_state()
    if not int.from_bytes(state[2:4], "little") & _FLOAT_PENDING:
        return None
    from uselib.emulator.process import operands

    pc = cpu.general()[-2]
    instruction = operands.instruction_at(space, cpu.code_bits, pc)
    return of_float(pc, state, VECTOR_X87) if instruction and operands.waits_for_float(instruction) else None
