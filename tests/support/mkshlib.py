"""Helpers of the mkshlib tests: compile C, make libraries, link programs with any linker, and run them natively.

The programs need no C library and no start-up code of ours: `begin` below maps the libraries it is told about in the way
the start-up contract of docs/formats.md says (scheme mmap), sets interposition pointers, and calls `main_`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.tools import PLAIN_C
from uselib.cli import main
from uselib.linker.formats import elf_image, notes
from uselib.linker.image import Image, Machine
from uselib.linker.library import digest

FLAG = {Machine.I386: "-m32", Machine.X86_64: "-m64"}
EMULATION = {Machine.I386: "elf_i386", Machine.X86_64: "elf_x86_64"}
CFLAGS = [option for option in PLAIN_C if option != "-fno-builtin"]

START_CODE = r"""
typedef unsigned long word; typedef unsigned short half; typedef unsigned int u32;
#ifdef __x86_64__
enum { OPEN = 2, MMAP = 9, EXIT = 60, WRITE = 1, PHOFF = 32, PHNUM = 56, PHSIZE = 56, VADDR = 16 };
__asm__(".globl _start\n_start: mov %rsp,%rdi; and $-16,%rsp; xor %ebp,%ebp; call begin\n"
        ".globl call6\ncall6: push %rbx; mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10;"
        "mov %r9,%r8; mov 16(%rsp),%r9; syscall; pop %rbx; ret");
#else
enum { OPEN = 5, MMAP = 192, EXIT = 1, WRITE = 4, PHOFF = 28, PHNUM = 44, PHSIZE = 32, VADDR = 8 };
__asm__(".globl _start\n_start: mov %esp,%eax; and $-16,%esp; xor %ebp,%ebp; sub $12,%esp; push %eax; call begin\n"
        ".globl call6\ncall6: push %ebp; push %ebx; push %esi; push %edi\n"
        "mov 20(%esp),%eax; mov 24(%esp),%ebx; mov 28(%esp),%ecx; mov 32(%esp),%edx; mov 36(%esp),%esi;"
        "mov 40(%esp),%edi; mov 44(%esp),%ebp; int $0x80; pop %edi; pop %esi; pop %ebx; pop %ebp; ret");
#endif
long call6(long, long, long, long, long, long, long);
extern word __start_uselib_interpose[] __attribute__((weak)), __stop_uselib_interpose[] __attribute__((weak));
int main_(void);
void put(const char *s) { word n = 0; while (s[n]) n++; call6(WRITE, 1, (long)s, n, 0, 0, 0); }
void put_number(long n) {
  char b[24]; int i = 23; word u = n < 0 ? -n : n;
  b[i] = 0;
  do b[--i] = '0' + u % 10; while (u /= 10);
  if (n < 0) b[--i] = '-';
  put(b + i); put("\n");
}
void end(int code) { for (;;) call6(EXIT, code, 0, 0, 0, 0, 0); }
/* Maps the first page of a library, read-only, and gives the descriptor of the file. */
long map_header(const char *path, word base) {
  long fd = call6(OPEN, (long)path, 0, 0, 0, 0, 0);
  if (fd < 0) end(90);
  if (call6(MMAP, base, 4096, 5, 0x100002, fd, 0) != (long)base) end(91);
  return fd;
}
void boot(word bootstrap, long fd, word descriptor) {
  if (((long (*)(int, const void *))bootstrap)(fd, (void *)descriptor)) end(92);
}
void interpose(void) {
  for (word *t = __start_uselib_interpose; t < __stop_uselib_interpose; t += 3)
    if (t[1] != t[2]) *(word *)t[0] = t[1];
}
void initialise(word array, word count) {
  for (word i = 0; i < count; i++) ((void (*)(void))((word *)array)[i])();
}
"""
"""Entry, system calls and the steps of start-up in C. `begin`, which gets the initial stack pointer, is to be added."""

DRIVER = (
    START_CODE
    + r"""
struct library { const char *path; word base, boot, descriptor, init, init_count; };
extern struct library libraries[];
void begin(void) {
  for (struct library *l = libraries; l->path; l++) boot(l->boot, map_header(l->path, l->base), l->descriptor);
  interpose();
  for (struct library *l = libraries; l->path; l++) initialise(l->init, l->init_count);
  end(main_());
}
"""
)


def compile_c(directory: Path, machine: Machine, name: str, text: str, *options: str, compiler: str = "gcc") -> Path:
    """Compiles `text` to DIRECTORY/NAME.o (a name that ends in .s or .c keeps its source's language)."""
    source = directory / (name if "." in name else name + ".c")
    source.write_text(text)
    result = directory / (source.stem + ".o")
    command = [compiler, FLAG[machine], *CFLAGS, *options, "-c", str(source), "-o", str(result)]
    subprocess.run(command, check=True)
    return result


def mkshlib(*arguments: object) -> None:
    """Runs `uselib mkshlib`, which must succeed."""
    assert main(["mkshlib", "-q", *map(str, arguments)]) == 0


def image(path: Path) -> Image:
    return elf_image.read_image(path.read_bytes(), str(path))


def descriptor_address(path: Path) -> int:
    """Address in memory of the NT_LIBRARY descriptor."""
    data = path.read_bytes()
    found = image(path)
    assert found.library is not None
    return found.library.identity.base + digest.digest_offset(data, str(path)) - notes.DIGEST_OFFSET


def run_program(
    directory: Path,
    machine: Machine,
    program: str,
    libraries: list[Path],
    stubs: list[Path],
    linker: str = "ld",
    expect: int = 0,
) -> str:
    """Links `program` (C with `int main_(void)`, put, put_number) with the stubs, runs it, and gives its output."""
    rows = []
    for path in libraries:
        header = image(path).library
        assert header is not None
        rows.append(
            f'{{"{path}", {header.identity.base:#x}ul, {header.bootstrap:#x}ul, {descriptor_address(path):#x}ul, '
            f"{header.init_array[0]:#x}ul, {header.init_array[1]}}},"
        )
    text = DRIVER + "struct library libraries[] = {" + "\n".join(rows) + "{0}};\n"
    driver = compile_c(directory, machine, "driver", text)
    declarations = "void put(const char *); void put_number(long);\n"
    main_object = compile_c(directory, machine, "program", declarations + program)
    output = directory / "program"
    command = [linker, "-m", EMULATION[machine], "-z", "noexecstack", "-o", output, driver, main_object, *stubs]
    linked = subprocess.run(command, capture_output=True, text=True)
    assert linked.returncode == 0, linked.stderr
    ran = subprocess.run([str(output)], capture_output=True, text=True, timeout=20)
    assert ran.returncode == expect, (ran, linked.stderr)
    return ran.stdout
