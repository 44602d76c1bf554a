"""Unicorn's register numbers (x86.h), grouped as the kernel and the tracer want them."""

from __future__ import annotations

EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP, EIP, EFLAGS = 19, 21, 22, 24, 29, 23, 20, 30, 26, 25
RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, RIP = 35, 37, 38, 40, 43, 39, 36, 44, 41
R8, R9, R10, R11, R12, R13, R14, R15 = range(106, 114)
CS, DS, ES, FS, GS, SS = 11, 17, 28, 32, 33, 49
FS_BASE, GS_BASE = 250, 251
GDTR = 243
CR0, CR4 = 50, 54
ST0, XMM0 = 114, 122
FPSW, FPCW, FPTAG, MXCSR = 31, 246, 247, 249
FP_DATA0 = 82  # FP0..FP7: the physical registers, 10 bytes each

GENERAL = {
    32: (EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP, EIP, EFLAGS),
    64: (RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, RIP, EFLAGS),
}
NAMES = {
    32: ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip", "eflags"),
    64: ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
         "rip", "rflags"),
}  # fmt: skip
STACK_POINTER = {32: ESP, 64: RSP}
PROGRAM_COUNTER = {32: EIP, 64: RIP}
INDEX = {bits: {name: position for position, name in enumerate(names)} for bits, names in NAMES.items()}

# System call: number and arguments, then program counter and flags; result register(s)
SYSTEM_CALL = {
    32: (EAX, EBX, ECX, EDX, ESI, EDI, EBP, EIP, EFLAGS),
    64: (RAX, RDI, RSI, RDX, R10, R8, R9, RIP, EFLAGS),
}
