"""The trap of retired functions: machine code that says which function was called and by whom, and ends the program.

A retired slot is a call, so that the trap finds the slot's address on the stack:

    E8 xx xx xx xx   call rel32     to the trap, in section .retired
    CC CC CC         int3 x 3       padding to 8 bytes; the trap does not return

The program ends with status 127, as the dynamic linker ends one whose symbol is gone, and with one line on stderr:

    libfoo_s.1.3.0: close_db was retired in 1.2.0; PROG, linked with 1.0.0, called it from 0x401165

PROG is the name that the kernel has for the thread (prctl(2), PR_GET_NAME: 15 bytes at most). The version is that of this
library's NT_NEEDS note in the file that the call came from: its ELF header is looked for from the caller's page downwards, asking
the kernel of each page whether it can be read (rt_sigprocmask(2) reads its set before it looks at `how`). Without it the words are
`an earlier release`. Section .retired:

    the code below, the same in every library and free of relocations
    PHRASE: the words between, 14 + 18 + 19 bytes
    u64 the library's base
    for each retired slot a record: u32 low half of (the slot's address + 5), u16 bytes of text, the text
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from uselib.linker.formats.library_names import RETIRED_SUFFIX
from uselib.linker.image import Machine, Version

SECTION = ".retired"
SYMBOL = f"uselib{RETIRED_SUFFIX}"  # local, at the trap
STATUS = 127
PHRASE = b", linked with an earlier release, called it from 0x"
assert len(PHRASE) == 14 + 18 + 19  # which the code counts on
CALL, CALL_SIZE = 0xE8, 5
_LONGEST_NAME = 1000  # bytes of a function's name that are shown

# Left the bytes, right their source (GNU as, `.intel_syntax noprefix`; `;` begins a comment here).
# tests/linker/library/test_mkshlib_previous.py assembles the source and compares.
LISTING_X86_64 = """
                                 | start:
    5b                           |     pop rbx                             ; the slot's address + 5: its `call` left it
    5d                           |     pop rbp                             ; where the program would go on
    48 8d 35 2f 02 00 00         |     lea rsi, [rip + phrase + 59]
                                 | record:
    0f b7 4e 04                  |     movzx ecx, word ptr [rsi + 4]       ; bytes of its text
    48 8d 56 06                  |     lea rdx, [rsi + 6]
    39 1e                        |     cmp [rsi], ebx
    74 06                        |     je found                            ; its own record is always there
    48 8d 34 0a                  |     lea rsi, [rdx + rcx]
    eb ee                        |     jmp record
                                 | found:
    48 81 ec c0 00 00 00         |     sub rsp, 192                        ; six struct iovec; name at 96, version up to 143, address up to 191
    48 89 14 24                  |     mov [rsp], rdx                      ; iovec 0: the record's text
    48 89 4c 24 08               |     mov [rsp + 8], rcx
    48 8d 74 24 60               |     lea rsi, [rsp + 96]
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
    48 8d 05 97 01 00 00         |     lea rax, [rip + phrase]
    48 89 44 24 20               |     mov [rsp + 32], rax                 ; iovec 2: `, linked with `
    48 c7 44 24 28 0e 00 00 00   |     mov qword ptr [rsp + 40], 14
    48 83 c0 0e                  |     add rax, 14
    48 89 44 24 30               |     mov [rsp + 48], rax                 ; iovec 3: `an earlier release`
    48 c7 44 24 38 12 00 00 00   |     mov qword ptr [rsp + 56], 18
    48 83 c0 12                  |     add rax, 18
    48 89 44 24 40               |     mov [rsp + 64], rax                 ; iovec 4: `, called it from 0x`
    48 c7 44 24 48 13 00 00 00   |     mov qword ptr [rsp + 72], 19
    48 ff cd                     |     dec rbp                             ; into the call instruction, where debuggers look a line up
    49 89 ec                     |     mov r12, rbp
    49 81 e4 00 f0 ff ff         |     and r12, -4096                      ; down from the caller's page to its ELF header
                                 | page:
    bf ff ff ff ff               |     mov edi, -1                         ; no such `how`: EINVAL, once the kernel has read the set
    4c 89 e6                     |     mov rsi, r12
    31 d2                        |     xor edx, edx
    41 ba 08 00 00 00            |     mov r10d, 8
    b8 0e 00 00 00               |     mov eax, 14                         ; rt_sigprocmask
    0f 05                        |     syscall
    83 f8 f2                     |     cmp eax, -14                        ; EFAULT: nothing is mapped there
    0f 84 de 00 00 00            |     je address
    41 81 3c 24 7f 45 4c 46      |     cmp dword ptr [r12], 0x464c457f     ; 7F `ELF`
    74 09                        |     je header
    49 81 ec 00 10 00 00         |     sub r12, 4096
    eb cd                        |     jmp page
                                 | header:
    66 41 83 7c 24 10 02         |     cmp word ptr [r12 + 16], 2          ; e_type: ET_EXEC
    0f 85 be 00 00 00            |     jne address
    4d 8b 6c 24 20               |     mov r13, [r12 + 32]                 ; e_phoff
    4d 01 e5                     |     add r13, r12
    45 0f b7 74 24 38            |     movzx r14d, word ptr [r12 + 56]     ; e_phnum
                                 | segment:
    41 ff ce                     |     dec r14d
    0f 88 a7 00 00 00            |     js address
    41 83 7d 00 04               |     cmp dword ptr [r13], 4              ; PT_NOTE
    75 4a                        |     jne next
    49 8b 75 10                  |     mov rsi, [r13 + 16]                 ; p_vaddr
    49 8b 7d 28                  |     mov rdi, [r13 + 40]                 ; p_memsz
    48 01 f7                     |     add rdi, rsi
                                 | note:
    48 8d 46 0c                  |     lea rax, [rsi + 12]
    48 39 f8                     |     cmp rax, rdi
    73 36                        |     jae next
    8b 0e                        |     mov ecx, [rsi]                      ; n_namesz
    83 c1 03                     |     add ecx, 3
    83 e1 fc                     |     and ecx, -4
    48 01 c8                     |     add rax, rcx                        ; the descriptor
    83 7e 08 02                  |     cmp dword ptr [rsi + 8], 2          ; NT_NEEDS
    75 16                        |     jne skip
    81 7e 0c 75 73 65 6c         |     cmp dword ptr [rsi + 12], 0x6c657375; `usel`
    75 0d                        |     jne skip
    48 8b 48 10                  |     mov rcx, [rax + 16]                 ; base
    48 3b 0d f4 00 00 00         |     cmp rcx, [rip + phrase + 51]        ; ours?
    74 15                        |     je linked
                                 | skip:
    8b 4e 04                     |     mov ecx, [rsi + 4]                  ; n_descsz
    83 c1 03                     |     add ecx, 3
    83 e1 fc                     |     and ecx, -4
    48 8d 34 08                  |     lea rsi, [rax + rcx]
    eb c1                        |     jmp note
                                 | next:
    49 83 c5 38                  |     add r13, 56
    eb a0                        |     jmp segment
                                 | linked:
    48 8d bc 24 90 00 00 00      |     lea rdi, [rsp + 144]
    48 8d 70 0c                  |     lea rsi, [rax + 12]                 ; patch; minor and major in front of it
    41 b8 03 00 00 00            |     mov r8d, 3
    b9 0a 00 00 00               |     mov ecx, 10
                                 | number:
    0f b7 06                     |     movzx eax, word ptr [rsi]
                                 | figure:
    31 d2                        |     xor edx, edx
    f7 f1                        |     div ecx
    80 c2 30                     |     add dl, 48
    48 ff cf                     |     dec rdi
    88 17                        |     mov [rdi], dl
    85 c0                        |     test eax, eax
    75 f0                        |     jne figure
    41 ff c8                     |     dec r8d
    74 0c                        |     je version
    48 ff cf                     |     dec rdi
    c6 07 2e                     |     mov byte ptr [rdi], 46              ; '.'
    48 83 ee 02                  |     sub rsi, 2
    eb dc                        |     jmp number
                                 | version:
    48 89 7c 24 30               |     mov [rsp + 48], rdi                 ; iovec 3: the version
    48 8d 84 24 90 00 00 00      |     lea rax, [rsp + 144]
    48 29 f8                     |     sub rax, rdi
    48 89 44 24 38               |     mov [rsp + 56], rax
                                 | address:
    48 8d bc 24 bf 00 00 00      |     lea rdi, [rsp + 191]
    c6 07 0a                     |     mov byte ptr [rdi], 10              ; newline
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
    48 89 7c 24 50               |     mov [rsp + 80], rdi                 ; iovec 5: the address, newline
    48 8d 84 24 c0 00 00 00      |     lea rax, [rsp + 192]
    48 29 f8                     |     sub rax, rdi
    48 89 44 24 58               |     mov [rsp + 88], rax
    bf 02 00 00 00               |     mov edi, 2                          ; stderr
    48 89 e6                     |     mov rsi, rsp
    ba 06 00 00 00               |     mov edx, 6
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
    81 c7 b3 01 00 00      |     add edi, phrase - here
    8d 77 3b               |     lea esi, [edi + 59]
                           | record:
    0f b7 4e 04            |     movzx ecx, word ptr [esi + 4]       ; bytes of its text
    8d 56 06               |     lea edx, [esi + 6]
    39 1e                  |     cmp [esi], ebx
    74 05                  |     je found                            ; its own record is always there
    8d 34 0a               |     lea esi, [edx + ecx]
    eb f0                  |     jmp record
                           | found:
    83 ec 70               |     sub esp, 112                        ; six struct iovec; name at 48, version up to 79, address up to 95
    89 14 24               |     mov [esp], edx                      ; iovec 0: the record's text
    89 4c 24 04            |     mov [esp + 4], ecx
    89 7c 24 60            |     mov [esp + 96], edi
    8d 4c 24 30            |     lea ecx, [esp + 48]
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
    89 7c 24 10            |     mov [esp + 16], edi                 ; iovec 2: `, linked with `
    c7 44 24 14 0e 00 00 00|     mov dword ptr [esp + 20], 14
    83 c7 0e               |     add edi, 14
    89 7c 24 18            |     mov [esp + 24], edi
    c7 44 24 1c 12 00 00 00|     mov dword ptr [esp + 28], 18
    83 c7 12               |     add edi, 18
    89 7c 24 20            |     mov [esp + 32], edi                 ; iovec 4: `, called it from 0x`
    c7 44 24 24 13 00 00 00|     mov dword ptr [esp + 36], 19
    4d                     |     dec ebp                             ; into the call instruction, where debuggers look a line up
    89 ef                  |     mov edi, ebp
    81 e7 00 f0 ff ff      |     and edi, -4096                      ; down from the caller's page to its ELF header
                           | page:
    bb ff ff ff ff         |     mov ebx, -1                         ; no such `how`: EINVAL, once the kernel has read the set
    89 f9                  |     mov ecx, edi
    31 d2                  |     xor edx, edx
    be 08 00 00 00         |     mov esi, 8
    b8 af 00 00 00         |     mov eax, 175                        ; rt_sigprocmask
    cd 80                  |     int 0x80
    83 f8 f2               |     cmp eax, -14                        ; EFAULT: nothing is mapped there
    0f 84 c0 00 00 00      |     je address
    81 3f 7f 45 4c 46      |     cmp dword ptr [edi], 0x464c457f     ; 7F `ELF`
    74 08                  |     je header
    81 ef 00 10 00 00      |     sub edi, 4096
    eb d2                  |     jmp page
                           | header:
    66 83 7f 10 02         |     cmp word ptr [edi + 16], 2          ; e_type: ET_EXEC
    0f 85 a5 00 00 00      |     jne address
    8b 5f 1c               |     mov ebx, [edi + 28]                 ; e_phoff
    01 fb                  |     add ebx, edi
    0f b7 47 2c            |     movzx eax, word ptr [edi + 44]      ; e_phnum
    89 44 24 64            |     mov [esp + 100], eax
                           | segment:
    ff 4c 24 64            |     dec dword ptr [esp + 100]
    0f 88 8e 00 00 00      |     js address
    83 3b 04               |     cmp dword ptr [ebx], 4              ; PT_NOTE
    75 42                  |     jne next
    8b 73 08               |     mov esi, [ebx + 8]                  ; p_vaddr
    8b 7b 14               |     mov edi, [ebx + 20]                 ; p_memsz
    01 f7                  |     add edi, esi
                           | note:
    8d 46 0c               |     lea eax, [esi + 12]
    39 f8                  |     cmp eax, edi
    73 33                  |     jae next
    8b 0e                  |     mov ecx, [esi]                      ; n_namesz
    83 c1 03               |     add ecx, 3
    83 e1 fc               |     and ecx, -4
    01 c8                  |     add eax, ecx                        ; the descriptor
    83 7e 08 02            |     cmp dword ptr [esi + 8], 2          ; NT_NEEDS
    75 15                  |     jne skip
    81 7e 0c 75 73 65 6c   |     cmp dword ptr [esi + 12], 0x6c657375; `usel`
    75 0c                  |     jne skip
    8b 48 10               |     mov ecx, [eax + 16]                 ; base
    8b 54 24 60            |     mov edx, [esp + 96]
    3b 4a 33               |     cmp ecx, [edx + 51]                 ; ours?
    74 13                  |     je linked
                           | skip:
    8b 4e 04               |     mov ecx, [esi + 4]                  ; n_descsz
    83 c1 03               |     add ecx, 3
    83 e1 fc               |     and ecx, -4
    8d 34 08               |     lea esi, [eax + ecx]
    eb c6                  |     jmp note
                           | next:
    83 c3 20               |     add ebx, 32
    eb aa                  |     jmp segment
                           | linked:
    8d 7c 24 50            |     lea edi, [esp + 80]
    8d 70 0c               |     lea esi, [eax + 12]                 ; patch; minor and major in front of it
    c7 44 24 64 03 00 00 00|     mov dword ptr [esp + 100], 3
    b9 0a 00 00 00         |     mov ecx, 10
                           | number:
    0f b7 06               |     movzx eax, word ptr [esi]
                           | figure:
    31 d2                  |     xor edx, edx
    f7 f1                  |     div ecx
    80 c2 30               |     add dl, 48
    4f                     |     dec edi
    88 17                  |     mov [edi], dl
    85 c0                  |     test eax, eax
    75 f2                  |     jne figure
    ff 4c 24 64            |     dec dword ptr [esp + 100]
    74 09                  |     je version
    4f                     |     dec edi
    c6 07 2e               |     mov byte ptr [edi], 46              ; '.'
    83 ee 02               |     sub esi, 2
    eb e0                  |     jmp number
                           | version:
    89 7c 24 18            |     mov [esp + 24], edi
    8d 44 24 50            |     lea eax, [esp + 80]
    29 f8                  |     sub eax, edi
    89 44 24 1c            |     mov [esp + 28], eax
                           | address:
    8d 7c 24 5f            |     lea edi, [esp + 95]
    c6 07 0a               |     mov byte ptr [edi], 10              ; newline
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
    89 7c 24 28            |     mov [esp + 40], edi                 ; iovec 5: the address, newline
    8d 44 24 60            |     lea eax, [esp + 96]
    29 f8                  |     sub eax, edi
    89 44 24 2c            |     mov [esp + 44], eax
    bb 02 00 00 00         |     mov ebx, 2                          ; stderr
    89 e1                  |     mov ecx, esp
    ba 06 00 00 00         |     mov edx, 6
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
    """The beginning of the trap's line, up to the program's name. library: file name."""
    name = function.encode("utf-8", "surrogateescape")
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + b"..."
    printable = bytes(c if 0x20 <= c != 0x7F else ord("?") for c in shown)
    return library.encode() + b": " + printable + f" was retired in {release}; ".encode()


def section(machine: Machine, base: int, records: Iterable[tuple[int, bytes]]) -> bytes:
    """The section's bytes for a library at `base` and (address of a retired slot, its text)."""
    out = bytearray(code(machine) + struct.pack("<Q", base))
    for slot, words in records:
        out += struct.pack("<IH", (slot + CALL_SIZE) & 0xFFFFFFFF, len(words)) + words
    return bytes(out)
