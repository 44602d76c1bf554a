"""The trap of retired functions: machine code that says which function was called and by whom, and ends the program.

A retired slot is a call, so that the trap finds on the stack which slot it was:

    E8 xx xx xx xx   call rel32     to the trap, in section .retired
    CC CC CC         int3 x 3       padding to 8 bytes; the trap does not return

The program ends with status 127, as the dynamic linker ends one whose symbol is gone, and with one line on stderr:

    libfoo_s.1.3.0: close_db was retired in 1.2.0; PROG, linked with an earlier release, called it from 0x401165

PROG is the name that the kernel has for the thread (prctl(2), PR_GET_NAME: 15 bytes at most). Section .retired:

    the code below, the same in every library and free of relocations; PHRASE; then for each retired slot a record:
    u32 low half of (the slot's address + 5), u16 bytes of text, the text
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from linker.image import Machine, Version

SECTION = ".retired"
SYMBOL = "uselib$retired"  # local, at the trap
STATUS = 127
PHRASE = b", linked with an earlier release, called it from 0x"
CALL, CALL_SIZE = 0xE8, 5
_LONGEST_NAME = 1000  # bytes of a function's name that are shown

# Left the bytes, right their source (GNU as, `.intel_syntax noprefix`; `;` begins a comment here; 51 is PHRASE's length).
# tests/test_mkshlib_previous.py assembles the source and compares.
LISTING_X86_64 = """
                                 | start:
    5b                           |     pop rbx                             ; the slot's address + 5: its `call` left it
    5d                           |     pop rbp                             ; where the program would go on
    48 8d 35 f8 00 00 00         |     lea rsi, [rip + phrase + 51]
                                 | record:
    0f b7 4e 04                  |     movzx ecx, word ptr [rsi + 4]       ; bytes of its text
    48 8d 56 06                  |     lea rdx, [rsi + 6]
    39 1e                        |     cmp [rsi], ebx
    74 06                        |     je found                            ; its own record is always there
    48 8d 34 0a                  |     lea rsi, [rdx + rcx]
    eb ee                        |     jmp record
                                 | found:
    48 81 ec 80 00 00 00         |     sub rsp, 128                        ; four struct iovec, name at 64, number up to 127
    48 89 14 24                  |     mov [rsp], rdx                      ; iovec 0: the record's text
    48 89 4c 24 08               |     mov [rsp + 8], rcx
    48 8d 74 24 40               |     lea rsi, [rsp + 64]
    48 b8 70 72 6f 67 72 61 6d 00|     movabs rax, 0x6d6172676f7270        ; `program`, should prctl fail
    48 89 06                     |     mov [rsi], rax
    bf 10 00 00 00               |     mov edi, 16                         ; PR_GET_NAME
    b8 9d 00 00 00               |     mov eax, 157                        ; prctl
    0f 05                        |     syscall
    31 c9                        |     xor ecx, ecx
                                 | length:
    80 3c 0e 00                  |     cmp byte ptr [rsi + rcx], 0
    74 04                        |     je named
    ff c1                        |     inc ecx
    eb f6                        |     jmp length
                                 | named:
    48 89 74 24 10               |     mov [rsp + 16], rsi                 ; iovec 1: the program's name
    48 89 4c 24 18               |     mov [rsp + 24], rcx
    48 8d 05 68 00 00 00         |     lea rax, [rip + phrase]
    48 89 44 24 20               |     mov [rsp + 32], rax                 ; iovec 2: the phrase
    48 c7 44 24 28 33 00 00 00   |     mov qword ptr [rsp + 40], 51
    48 8d 7c 24 7f               |     lea rdi, [rsp + 127]
    c6 07 0a                     |     mov byte ptr [rdi], 10              ; newline
    48 ff cd                     |     dec rbp                             ; into the call instruction, where debuggers look a line up
                                 | digit:
    89 e8                        |     mov eax, ebp
    83 e0 0f                     |     and eax, 15
    3c 0a                        |     cmp al, 10
    72 02                        |     jb decimal
    04 27                        |     add al, 39                          ; 'a' - '0' - 10
                                 | decimal:
    04 30                        |     add al, 48
    48 ff cf                     |     dec rdi
    88 07                        |     mov [rdi], al
    48 c1 ed 04                  |     shr rbp, 4
    75 e8                        |     jne digit
    48 89 7c 24 30               |     mov [rsp + 48], rdi                 ; iovec 3: the address, newline
    48 8d 84 24 80 00 00 00      |     lea rax, [rsp + 128]
    48 29 f8                     |     sub rax, rdi
    48 89 44 24 38               |     mov [rsp + 56], rax
    bf 02 00 00 00               |     mov edi, 2                          ; stderr
    48 89 e6                     |     mov rsi, rsp
    ba 04 00 00 00               |     mov edx, 4
    b8 14 00 00 00               |     mov eax, 20                         ; writev
    0f 05                        |     syscall
    bf 7f 00 00 00               |     mov edi, 127                        ; as the dynamic linker ends programs whose symbol is gone
    b8 e7 00 00 00               |     mov eax, 231                        ; exit_group
    0f 05                        |     syscall
    0f 0b                        |     ud2
                                 | phrase:
"""

LISTING_I386 = """
                           | start:
    5b                     |     pop ebx                             ; the slot's address + 5: its `call` left it
    5d                     |     pop ebp                             ; where the program would go on
    e8 00 00 00 00         |     call here
                           | here:
    5f                     |     pop edi                             ; i386 has no other way to ask for eip
    8d b7 e1 00 00 00      |     lea esi, [edi + phrase - here + 51]
                           | record:
    0f b7 4e 04            |     movzx ecx, word ptr [esi + 4]       ; bytes of its text
    8d 56 06               |     lea edx, [esi + 6]
    39 1e                  |     cmp [esi], ebx
    74 05                  |     je found                            ; its own record is always there
    8d 34 0a               |     lea esi, [edx + ecx]
    eb f0                  |     jmp record
                           | found:
    83 ec 40               |     sub esp, 64                         ; four struct iovec, name at 32, number up to 63
    89 14 24               |     mov [esp], edx                      ; iovec 0: the record's text
    89 4c 24 04            |     mov [esp + 4], ecx
    8d 4c 24 20            |     lea ecx, [esp + 32]
    c7 01 70 72 6f 67      |     mov dword ptr [ecx], 0x676f7270     ; `program`, should prctl fail
    c7 41 04 72 61 6d 00   |     mov dword ptr [ecx + 4], 0x6d6172
    bb 10 00 00 00         |     mov ebx, 16                         ; PR_GET_NAME
    b8 ac 00 00 00         |     mov eax, 172                        ; prctl
    cd 80                  |     int 0x80
    31 c0                  |     xor eax, eax
                           | length:
    80 3c 01 00            |     cmp byte ptr [ecx + eax], 0
    74 03                  |     je named
    40                     |     inc eax
    eb f7                  |     jmp length
                           | named:
    89 4c 24 08            |     mov [esp + 8], ecx                  ; iovec 1: the program's name
    89 44 24 0c            |     mov [esp + 12], eax
    81 c7 ae 00 00 00      |     add edi, phrase - here
    89 7c 24 10            |     mov [esp + 16], edi                 ; iovec 2: the phrase
    c7 44 24 14 33 00 00 00|     mov dword ptr [esp + 20], 51
    8d 7c 24 3f            |     lea edi, [esp + 63]
    c6 07 0a               |     mov byte ptr [edi], 10              ; newline
    4d                     |     dec ebp                             ; into the call instruction, where debuggers look a line up
                           | digit:
    89 e8                  |     mov eax, ebp
    24 0f                  |     and al, 15
    3c 0a                  |     cmp al, 10
    72 02                  |     jb decimal
    04 27                  |     add al, 39                          ; 'a' - '0' - 10
                           | decimal:
    04 30                  |     add al, 48
    4f                     |     dec edi
    88 07                  |     mov [edi], al
    c1 ed 04               |     shr ebp, 4
    75 ec                  |     jne digit
    89 7c 24 18            |     mov [esp + 24], edi                 ; iovec 3: the address, newline
    8d 44 24 40            |     lea eax, [esp + 64]
    29 f8                  |     sub eax, edi
    89 44 24 1c            |     mov [esp + 28], eax
    bb 02 00 00 00         |     mov ebx, 2                          ; stderr
    89 e1                  |     mov ecx, esp
    ba 04 00 00 00         |     mov edx, 4
    b8 92 00 00 00         |     mov eax, 146                        ; writev
    cd 80                  |     int 0x80
    bb 7f 00 00 00         |     mov ebx, 127                        ; as the dynamic linker ends programs whose symbol is gone
    b8 fc 00 00 00         |     mov eax, 252                        ; exit_group
    cd 80                  |     int 0x80
    0f 0b                  |     ud2
                           | phrase:
"""

LISTINGS = {Machine.I386: LISTING_I386, Machine.X86_64: LISTING_X86_64}


def code(machine: Machine) -> bytes:
    """The trap's bytes, up to and with PHRASE."""
    listing = LISTINGS[machine].splitlines()
    return b"".join(bytes.fromhex(line.partition("|")[0]) for line in listing) + PHRASE


def source(machine: Machine) -> str:
    """The trap's assembly source, without the bytes and comments."""
    lines = (line.partition("|")[2].partition(";")[0].rstrip() for line in LISTINGS[machine].splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def text(library: str, function: str, release: Version) -> bytes:
    """What the trap says of a function before it names the program. `library`: file name."""
    name = function.encode("utf-8", "surrogateescape")
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + b"..."
    printable = bytes(c if 0x20 <= c != 0x7F else ord("?") for c in shown)
    return library.encode() + b": " + printable + f" was retired in {release}; ".encode()


def section(machine: Machine, records: Iterable[tuple[int, bytes]]) -> bytes:
    """The section's bytes for (address of a retired slot, its text)."""
    out = bytearray(code(machine))
    for slot, words in records:
        out += struct.pack("<IH", (slot + CALL_SIZE) & 0xFFFFFFFF, len(words)) + words
    return bytes(out)
