"""The bootstrap: machine code on a target library's header page that maps the rest of the library (scheme `mmap`).

Start-up maps the first page R-X at the base, MAP_FIXED_NOREPLACE, checks its header, and calls the bootstrap in the C
calling convention of the machine (psABI: rdi, rsi; the stack on i386):

    long bootstrap(int fd, const void *descriptor);    of note NT_LIBRARY; returns 0 or -errno

For each segment of the descriptor (layout: formats/notes.py): the file part, MAP_PRIVATE and with exactly its
protection (of the first segment only what lies behind the first page); zeroes behind the file's bytes on the last file
page of a writable segment; anonymous memory for the rest. No mapping ever replaces another: kernels before 4.17 ignore the flag NOREPLACE and
take the address as a hint, so a mapping at another address than requested is unmapped again, and the result is -EEXIST. Mappings made before
a failure stay, since the program ends anyway.

A C library that maps all others, as BSD/OS's did (`mkshlib --bootstrap FUNCTION`), has a second entry behind it, the header's `continuation`.
It calls the first entry and then jumps to that function with the same arguments and a third one, which it passes on unchanged. Programs of
scheme `mmap` call the first entry.

The code is the same for every library: it reads all that it needs from the descriptor, and it has no relocations.
"""

from __future__ import annotations

from uselib.linker.image import Machine

# Left the bytes, right their source (GNU as, `.intel_syntax noprefix`; `;` begins a comment here).
# tests/linker/library/test_bootstrap.py assembles the source and compares.
LISTING_X86_64 = """
                        | start:
    53                  |     push rbx
    55                  |     push rbp
    41 54               |     push r12
    41 55               |     push r13
    41 56               |     push r14
    48 89 f3            |     mov rbx, rsi                   ; the NT_LIBRARY descriptor
    41 89 fc            |     mov r12d, edi                  ; the file
    8b 6b 50            |     mov ebp, [rbx + 80]            ; segment_count
    4c 8d ab 80 00 00 00|     lea r13, [rbx + 128]           ; the first segment
                        | segment:
    85 ed               |     test ebp, ebp
    0f 84 a3 00 00 00   |     je done
    49 8b 7d 00         |     mov rdi, [r13]                 ; address
    4d 8b 4d 08         |     mov r9, [r13 + 8]              ; offset
    49 8b 75 10         |     mov rsi, [r13 + 16]            ; file_size
    48 3b 7b 10         |     cmp rdi, [rbx + 16]            ; at base? then start-up has mapped the first page
    75 17               |     jne whole
    48 81 c7 00 10 00 00|     add rdi, 4096
    49 81 c1 00 10 00 00|     add r9, 4096
    48 81 ee 00 10 00 00|     sub rsi, 4096
    76 13               |     jbe tail
                        | whole:
    48 85 f6            |     test rsi, rsi
    74 0e               |     je tail
    41 ba 02 00 10 00   |     mov r10d, 0x100002             ; MAP_FIXED_NOREPLACE | MAP_PRIVATE
    45 89 e0            |     mov r8d, r12d
    e8 72 00 00 00      |     call map
                        | tail:
    4d 8b 75 00         |     mov r14, [r13]
    4d 03 75 10         |     add r14, [r13 + 16]
    4c 89 f7            |     mov rdi, r14
    49 81 c6 ff 0f 00 00|     add r14, 4095
    49 81 e6 00 f0 ff ff|     and r14, -4096
    41 f6 45 20 02      |     test byte ptr [r13 + 32], 2    ; PROT_WRITE?
    74 0a               |     je anonymous
    4c 89 f1            |     mov rcx, r14
    48 29 f9            |     sub rcx, rdi
    31 c0               |     xor eax, eax
    f3 aa               |     rep stosb                      ; the tail of the last file page
                        | anonymous:
    4c 89 f7            |     mov rdi, r14
    49 8b 75 00         |     mov rsi, [r13]
    49 03 75 18         |     add rsi, [r13 + 24]            ; memory_size
    48 81 c6 ff 0f 00 00|     add rsi, 4095
    48 81 e6 00 f0 ff ff|     and rsi, -4096
    48 29 fe            |     sub rsi, rdi
    76 14               |     jbe next
    41 ba 22 00 10 00   |     mov r10d, 0x100022             ; the same | MAP_ANONYMOUS
    41 b8 ff ff ff ff   |     mov r8d, -1
    45 31 c9            |     xor r9d, r9d
    e8 16 00 00 00      |     call map
                        | next:
    49 83 c5 28         |     add r13, 40                    ; the next segment
    ff cd               |     dec ebp
    e9 55 ff ff ff      |     jmp segment
                        | done:
    31 c0               |     xor eax, eax
                        | out:
    41 5e               |     pop r14
    41 5d               |     pop r13
    41 5c               |     pop r12
    5d                  |     pop rbp
    5b                  |     pop rbx
    c3                  |     ret
                        | map:
    41 8b 55 20         |     mov edx, [r13 + 32]            ; prot
    b8 09 00 00 00      |     mov eax, 9                     ; mmap
    0f 05               |     syscall
    48 39 f8            |     cmp rax, rdi                   ; where it was asked for?
    75 01               |     jne differs
    c3                  |     ret
                        | differs:
    59                  |     pop rcx                        ; not back to the caller: out of the bootstrap
    48 3d 01 f0 ff ff   |     cmp rax, -4095                 ; -errno
    73 dd               |     jae out
    48 89 c7            |     mov rdi, rax
    b8 0b 00 00 00      |     mov eax, 11                    ; munmap: old kernels take the address as a hint
    0f 05               |     syscall
    b8 ef ff ff ff      |     mov eax, -17                   ; -EEXIST
    48 98               |     cdqe
    eb ca               |     jmp out
"""

# The stack while it runs: segment, segments left, saved ebp edi esi ebx, return address, fd, descriptor.
LISTING_I386 = """
                        | start:
    53                  |     push ebx
    56                  |     push esi
    57                  |     push edi
    55                  |     push ebp
    8b 44 24 18         |     mov eax, [esp + 24]            ; the NT_LIBRARY descriptor
    8b 50 50            |     mov edx, [eax + 80]            ; segment_count
    52                  |     push edx
    8d 88 80 00 00 00   |     lea ecx, [eax + 128]           ; the first segment
    51                  |     push ecx
                        | segment:
    83 7c 24 04 00      |     cmp dword ptr [esp + 4], 0
    0f 84 92 00 00 00   |     je done
    8b 14 24            |     mov edx, [esp]
    8b 1a               |     mov ebx, [edx]                 ; address
    8b 6a 08            |     mov ebp, [edx + 8]             ; offset
    8b 4a 10            |     mov ecx, [edx + 16]            ; file_size
    8b 44 24 20         |     mov eax, [esp + 32]
    3b 58 10            |     cmp ebx, [eax + 16]            ; at base? then start-up has mapped the first page
    75 14               |     jne whole
    81 c3 00 10 00 00   |     add ebx, 4096
    81 c5 00 10 00 00   |     add ebp, 4096
    81 e9 00 10 00 00   |     sub ecx, 4096
    76 15               |     jbe tail
                        | whole:
    85 c9               |     test ecx, ecx
    74 11               |     je tail
    c1 ed 0c            |     shr ebp, 12                    ; mmap2 counts pages
    be 02 00 10 00      |     mov esi, 0x100002              ; MAP_FIXED_NOREPLACE | MAP_PRIVATE
    8b 7c 24 1c         |     mov edi, [esp + 28]            ; the file
    e8 5f 00 00 00      |     call map
                        | tail:
    8b 14 24            |     mov edx, [esp]
    8b 3a               |     mov edi, [edx]
    03 7a 10            |     add edi, [edx + 16]
    8d 9f ff 0f 00 00   |     lea ebx, [edi + 4095]
    81 e3 00 f0 ff ff   |     and ebx, -4096
    f6 42 20 02         |     test byte ptr [edx + 32], 2    ; PROT_WRITE?
    74 08               |     je anonymous
    89 d9               |     mov ecx, ebx
    29 f9               |     sub ecx, edi
    31 c0               |     xor eax, eax
    f3 aa               |     rep stosb                      ; the tail of the last file page
                        | anonymous:
    8b 0a               |     mov ecx, [edx]
    03 4a 18            |     add ecx, [edx + 24]            ; memory_size
    81 c1 ff 0f 00 00   |     add ecx, 4095
    81 e1 00 f0 ff ff   |     and ecx, -4096
    29 d9               |     sub ecx, ebx
    76 11               |     jbe next
    be 22 00 10 00      |     mov esi, 0x100022              ; the same | MAP_ANONYMOUS
    bf ff ff ff ff      |     mov edi, -1
    31 ed               |     xor ebp, ebp
    e8 17 00 00 00      |     call map
                        | next:
    83 04 24 28         |     add dword ptr [esp], 40        ; the next segment
    ff 4c 24 04         |     dec dword ptr [esp + 4]
    e9 63 ff ff ff      |     jmp segment
                        | done:
    31 c0               |     xor eax, eax
                        | out:
    83 c4 08            |     add esp, 8
    5d                  |     pop ebp
    5f                  |     pop edi
    5e                  |     pop esi
    5b                  |     pop ebx
    c3                  |     ret
                        | map:
    8b 54 24 04         |     mov edx, [esp + 4]             ; the segment
    8b 52 20            |     mov edx, [edx + 32]            ; prot
    b8 c0 00 00 00      |     mov eax, 192                   ; mmap2
    cd 80               |     int 0x80
    39 d8               |     cmp eax, ebx                   ; where it was asked for?
    75 01               |     jne differs
    c3                  |     ret
                        | differs:
    5a                  |     pop edx                        ; not back to the caller: out of the bootstrap
    3d 01 f0 ff ff      |     cmp eax, -4095                 ; -errno
    73 dd               |     jae out
    89 c3               |     mov ebx, eax
    b8 5b 00 00 00      |     mov eax, 91                    ; munmap: old kernels take the address as a hint
    cd 80               |     int 0x80
    b8 ef ff ff ff      |     mov eax, -17                   ; -EEXIST
    eb cd               |     jmp out
"""

# Behind the others, if the library has a continuation.
CONTINUED_X86_64 = """
                        | continued:
    57                  |     push rdi
    56                  |     push rsi
    52                  |     push rdx                       ; aligned: 8 + 3 * 8
    e8 {start}          |     call start
    5a                  |     pop rdx
    5e                  |     pop rsi
    5f                  |     pop rdi
    48 85 c0            |     test rax, rax
    75 05               |     jne failed
    e9 00 00 00 00      |     .byte 0xe9, 0, 0, 0, 0         ; jmp FUNCTION: mkshlib puts the distance in
                        | failed:
    c3                  |     ret
"""

CONTINUED_I386 = """
                        | continued:
    ff 74 24 08         |     push dword ptr [esp + 8]       ; the descriptor
    ff 74 24 08         |     push dword ptr [esp + 8]       ; the file
    e8 {start}          |     call start
    83 c4 08            |     add esp, 8
    85 c0               |     test eax, eax
    75 05               |     jne failed
    e9 00 00 00 00      |     .byte 0xe9, 0, 0, 0, 0         ; jmp FUNCTION: mkshlib puts the distance in
                        | failed:
    c3                  |     ret
"""

LISTINGS = {Machine.I386: LISTING_I386, Machine.X86_64: LISTING_X86_64}


LISTINGS_CONTINUED = {Machine.I386: CONTINUED_I386, Machine.X86_64: CONTINUED_X86_64}


def _bytes(listing: str) -> bytes:
    return b"".join(bytes.fromhex(line.partition("|")[0]) for line in listing.splitlines())


def code(machine: Machine) -> bytes:
    """The bootstrap's bytes."""
    return _bytes(LISTINGS[machine])


def continued(machine: Machine, distance: int = 0) -> bytes:
    """The second entry, which stands behind code(machine). distance: from the first byte of code() to the function."""
    before, after = LISTINGS_CONTINUED[machine].split("{start}")
    first = len(code(machine))
    call_end = first + len(_bytes(before.rpartition("\n")[0])) + 5
    content = bytearray(_bytes(before + (-call_end).to_bytes(4, "little", signed=True).hex(" ") + after))
    end = len(content) - 1  # of the jmp
    content[end - 4 : end] = (distance - first - end).to_bytes(4, "little", signed=True) if distance else bytes(4)
    return bytes(content)


def source(machine: Machine, *, continued: bool = False) -> str:
    """The bootstrap's assembly source, without the bytes and comments; with the second entry if `continued`."""
    listing = LISTINGS[machine] + (LISTINGS_CONTINUED[machine] if continued else "")
    lines = (line.partition("|")[2].partition(";")[0].rstrip() for line in listing.splitlines())
    return "\n".join(line for line in lines if line) + "\n"
