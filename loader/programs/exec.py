"""exec: a program into an empty address space, and the stack it starts with.

Source: fs/binfmt_elf.c (load_elf_binary, create_elf_tables), fs/binfmt_script.c of Linux; psABI "Process Initialization".

The stack, from high addresses to low:

    8 zero bytes; the path given to execve; environment strings; argument strings; (gap)
    AT_PLATFORM string; AT_RANDOM's 16 bytes; (to 16 bytes)
    auxiliary vector, NULL; envp pointers, NULL; argv pointers, NULL; argc   <- stack pointer, 16-byte aligned
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from uselib.linker.image import Image
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, AddressSpace, page_up

if TYPE_CHECKING:
    from uselib.loader.programs.interpreter import Opener

# Auxiliary vector (include/uapi/linux/auxvec.h)
AT_NULL, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 0, 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK = 11, 12, 13, 14, 15, 16, 17
AT_SECURE, AT_RANDOM, AT_HWCAP2, AT_EXECFN, AT_MINSIGSTKSZ = 23, 25, 26, 31, 51

HWCAP = 0x078BFBFD  # CPUID leaf 1, EDX, of the emulated CPU
MINIMAL_SIGNAL_STACK = 1152  # struct rt_sigframe, the x87 and SSE state, padding (arch/x86/kernel/signal.c)
MAX_ARGUMENT = 32 * PAGE  # MAX_ARG_STRLEN
MAX_SCRIPT_LINE = 256  # BINPRM_BUF_SIZE


@dataclass(frozen=True)
class StartInfo:
    """What the stack says besides arguments and environment."""

    executable: bytes  # AT_EXECFN: the path as given to execve
    random: bytes  # 16 bytes
    uid: int = 1000
    gid: int = 1000
    secure: bool = False
    opener: Opener | None = None  # of the program's interpreter


@dataclass(frozen=True)
class Started:
    """A program that is ready to run."""

    entry: int
    stack_pointer: int
    arguments: tuple[int, int]  # where the argument strings are, for /proc/self/cmdline
    vectors: tuple[int, int]  # addresses of argv and envp


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def build_stack(
    space: AddressSpace,
    image: Image,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    info: StartInfo,
    bias: int = 0,
    base: int = 0,
) -> Started:
    """Maps the stack and fills it. bias: what is added to the image's addresses; base: the interpreter's place (AT_BASE).
    Raises OSError (E2BIG; ENOEXEC: a segment lies there)."""
    word = image.machine.word
    top = space.layout.stack_top
    strings = bytearray()
    pointers: list[int] = []
    texts = [*arguments, *environment]
    total = sum(len(text) + 1 for text in texts) + len(info.executable) + 1
    if total > min(space.stack_limit // 4, 6 << 20) or any(len(text) >= MAX_ARGUMENT for text in texts):
        raise _fail(errno.E2BIG)
    bottom = top - word - total  # of the strings
    for text in texts:
        pointers.append(bottom + len(strings))
        strings += text + b"\0"
    argument_end = bottom + sum(len(text) + 1 for text in arguments)
    execfn = bottom + len(strings)
    strings += info.executable + b"\0" + bytes(word)

    platform = b"i686\0" if word == 4 else b"x86_64\0"
    platform_at = (bottom & -16) - 16
    random_at = platform_at - 16
    header_address, header_size, header_count = image.program_headers
    auxiliary = [
        (AT_MINSIGSTKSZ, MINIMAL_SIGNAL_STACK),
        (AT_HWCAP, HWCAP),
        (AT_PAGESZ, PAGE),
        (AT_CLKTCK, 100),
        (AT_PHDR, header_address + bias if header_address else 0),
        (AT_PHENT, header_size),
        (AT_PHNUM, header_count),
        (AT_BASE, base),
        (AT_FLAGS, 0),
        (AT_ENTRY, image.entry + bias),
        (AT_UID, info.uid),
        (AT_EUID, info.uid),
        (AT_GID, info.gid),
        (AT_EGID, info.gid),
        (AT_SECURE, int(info.secure)),
        (AT_RANDOM, random_at),
        (AT_HWCAP2, 0),
        (AT_EXECFN, execfn),
        (AT_PLATFORM, platform_at),
        (AT_NULL, 0),
    ]
    count = len(arguments)
    words = [count, *pointers[:count], 0, *pointers[count:], 0]
    for key, value in auxiliary:
        words += (key, value)
    stack_pointer = (random_at - len(words) * word) & -16
    packed = struct.pack(f"<{len(words)}{'I' if word == 4 else 'Q'}", *words)
    size = page_up(top - stack_pointer) + 32 * PAGE
    prot = PROT_READ | PROT_WRITE | (PROT_EXEC if image.stack_executable else 0)
    if not space.is_free(top - size, top):
        raise _fail(errno.ENOEXEC)
    space.map(top - size, size, prot, placement="fixed", name="[stack]", grows_down=True)
    space.write(bottom, strings)
    space.write(platform_at, platform)
    space.write(random_at, info.random[:16].ljust(16, b"\0"))
    space.write(stack_pointer, packed)
    vectors = (stack_pointer + word, stack_pointer + word * (count + 2))
    return Started(image.entry + bias, stack_pointer, (bottom, argument_end), vectors)


def script_interpreter(head: bytes) -> tuple[bytes, bytes | None] | None:
    """The interpreter and its one optional argument, of a `#!` line; None if the file has none.

    Raises OSError (ENOEXEC) for a `#!` line without an interpreter or one that is too long.
    """
    if not head.startswith(b"#!"):
        return None
    line, newline, _ = head[2:MAX_SCRIPT_LINE].partition(b"\n")
    line = line.split(b"\0")[0].strip(b" \t")
    words = line.split(None, 1)
    if not words or (not newline and len(head) >= MAX_SCRIPT_LINE and len(words) == 1):
        raise _fail(errno.ENOEXEC)
    return words[0], (words[1].strip(b" \t") if len(words) > 1 else None)
