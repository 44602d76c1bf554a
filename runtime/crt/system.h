/* System calls, ELF structures and strings for start-up code, which may use no library: none is mapped yet. */
#ifndef CRT_SYSTEM_H
#define CRT_SYSTEM_H

/* long __uselib_syscall(long number, a, b, c, d, e, f): the kernel's result, -errno on failure.
 * A routine and not inline assembly: on i386 the sixth argument needs ebp. */
long __uselib_syscall(long number, ...) __attribute__((visibility("hidden")));

#ifdef __x86_64__
__asm__(".text\n"
        ".hidden __uselib_syscall\n"
        ".globl __uselib_syscall\n"
        ".type __uselib_syscall, @function\n"
        "__uselib_syscall:\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov %rdx, %rsi\n"
        "    mov %rcx, %rdx\n"
        "    mov %r8, %r10\n"
        "    mov %r9, %r8\n"
        "    mov 8(%rsp), %r9\n"
        "    syscall\n"
        "    ret\n"
        ".size __uselib_syscall, . - __uselib_syscall\n");
#define SYSCALL(number, a, b, c, d, e, f)                                                                  \
    __uselib_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
enum { SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_LSEEK = 8, SYS_MMAP = 9, SYS_PREAD = 17,
       SYS_EXIT = 231, SYS_USELIB = 134, SYS_GETDENTS64 = 217, SYS_MSYNC = 26 };
#define MACHINE 62
#define ELF_CLASS 2
#else
__asm__(".text\n"
        ".hidden __uselib_syscall\n"
        ".globl __uselib_syscall\n"
        ".type __uselib_syscall, @function\n"
        "__uselib_syscall:\n"
        "    push %ebp\n"
        "    push %edi\n"
        "    push %esi\n"
        "    push %ebx\n"
        "    mov 20(%esp), %eax\n"
        "    mov 24(%esp), %ebx\n"
        "    mov 28(%esp), %ecx\n"
        "    mov 32(%esp), %edx\n"
        "    mov 36(%esp), %esi\n"
        "    mov 40(%esp), %edi\n"
        "    mov 44(%esp), %ebp\n"
        "    int $0x80\n"
        "    pop %ebx\n"
        "    pop %esi\n"
        "    pop %edi\n"
        "    pop %ebp\n"
        "    ret\n"
        ".size __uselib_syscall, . - __uselib_syscall\n");
#define SYSCALL(number, a, b, c, d, e, f)                                                                  \
    __uselib_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_OPEN = 5, SYS_CLOSE = 6, SYS_LSEEK = 19, SYS_MMAP = 192, SYS_PREAD = 180,
       SYS_EXIT = 252, SYS_USELIB = 86, SYS_GETDENTS64 = 220, SYS_MSYNC = 144 };
#define MACHINE 3
#define ELF_CLASS 1
#endif

enum { E_PERM = 1, E_NOENT = 2, E_NOEXEC = 8, E_NOMEM = 12, E_ACCES = 13, E_EXIST = 17, E_NOTDIR = 20, E_INVAL = 22,
       E_NAMETOOLONG = 36, E_NOSYS = 38 };
enum { O_NONBLOCK_ = 04000, O_DIRECTORY_ = 0200000, O_CLOEXEC_ = 02000000 };
enum { PROTECT_READ = 1, PROTECT_WRITE = 2, PROTECT_EXEC = 4 };
enum { MAP_PRIVATE_ = 0x02, MAP_ANONYMOUS_ = 0x20, MAP_FIXED_NOREPLACE_ = 0x100000 };
enum { MS_ASYNC_ = 1 };
enum { AT_PHDR_ = 3, AT_PHNUM_ = 5, AT_UID_ = 11, AT_EUID_ = 12, AT_GID_ = 13, AT_EGID_ = 14, AT_SECURE_ = 23 };

typedef unsigned long word;

/* Elf32_Ehdr and Elf64_Ehdr differ in the width of three fields only. */
struct elf_header {
    unsigned char ident[16];
    unsigned short type, machine;
    unsigned version;
    word entry, program_headers, section_headers;
    unsigned flags;
    unsigned short header_size, program_header_size, program_header_count;
    unsigned short section_header_size, section_header_count, section_names;
};

#ifdef __x86_64__
struct program_header {
    unsigned type, flags;
    word offset, address, physical, file_size, memory_size, alignment;
};
#else
struct program_header {
    unsigned type;
    word offset, address, physical, file_size, memory_size;
    unsigned flags;
    word alignment;
};
#endif

enum { TYPE_EXEC = 2, SEGMENT_LOAD = 1, SEGMENT_NOTE = 4 };

static inline int is_error(long result) { return (word)result > -4096UL; }

static word string_length(const char *s) {
    word n = 0;
    while (s[n]) n++;
    return n;
}

static int same_string(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static void exit_now(int status) __attribute__((noreturn));
static void exit_now(int status) {
    for (;;) SYSCALL(SYS_EXIT, status, 0, 0, 0, 0, 0);
}

#endif
