/* `int 0x80` in a 64-bit program is a call of i386 with the lower halves of registers; so is one from the 32-bit code segment, which a far jump
 * leads to. On i386 the same calls as usual. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static long call(uint32_t number, unsigned long b, unsigned long c, unsigned long d, unsigned long s, unsigned long t)
{
    long result;
#ifdef __x86_64__
    register unsigned long r8 __asm__("r8") = 0x1234567890, r11 __asm__("r11") = 77;
    /* upper halves that do not count */
    __asm__ volatile("int $0x80" : "=a"(result), "+r"(r8), "+r"(r11)
        : "a"(number | 0x5500000000), "b"(b | 0x7700000000), "c"(c), "d"(d), "S"(s), "D"(t) : "memory");
    if (r8 != 0x1234567890 || r11 != 77) puts("registers have changed");
#else
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(b), "c"(c), "d"(d), "S"(s), "D"(t) : "memory");
#endif
    return result;
}
#define CALL(number, b, c, d) call(number, (unsigned long)(b), (unsigned long)(c), (unsigned long)(d), 0, 0)

enum { EXIT = 1, FORK, READ, WRITE, OPEN, CLOSE, WAITPID, UNLINK = 10, LSEEK = 19, GETPID, PIPE = 42, MUNMAP = 91, FSTAT = 108, UNAME = 122, LLSEEK = 140,
       READV = 145, NANOSLEEP = 162, RT_SIGACTION = 174, MMAP2 = 192, FSTAT64 = 197, GETUID32 = 199 };

static char text[64] = "by int 0x80\n";
static struct { uint32_t base, size; } vectors[2];
static unsigned char structure[512];
static int32_t ends[2];
static uint64_t position;
static struct { int32_t seconds, nanoseconds; } pause_time = {0, 1000};

static void calls(void)
{
    CALL(WRITE, 1, text, 12);
    printf("pid %d, uid the same: %d\n", CALL(GETPID, 0, 0, 0) == getpid(), CALL(GETUID32, 0, 0, 0) == (long)getuid());
    printf("errors: %ld %ld %ld\n", CALL(LSEEK, 99, 0, 0), CALL(9999, 0, 0, 0), CALL(WRITE, 1, 16, 12));
    printf("pipe %ld\n", CALL(PIPE, ends, 0, 0));
    printf("write %ld\n", CALL(WRITE, ends[1], "0123456789", 10));
    vectors[0].base = (uint32_t)(uintptr_t)text, vectors[0].size = 4, vectors[1].base = (uint32_t)(uintptr_t)text + 20, vectors[1].size = 40;
    printf("readv %ld: %.4s %.6s\n", CALL(READV, ends[0], vectors, 2), text, text + 20);
    int fd = memfd_create("legacy", 0);
    printf("write %zd\n", write(fd, text, 25));
    printf("fstat64 %ld: size %u mode %o\n", CALL(FSTAT64, fd, structure, 0), *(uint32_t *)(structure + 44), *(uint32_t *)(structure + 16));
    printf("_llseek %ld: ", call(LLSEEK, fd, 0, 7, (unsigned long)&position, 0));
    printf("%u\n", (unsigned)position);
    printf("nanosleep %ld\n", CALL(NANOSLEEP, &pause_time, 0, 0));
    printf("uname %ld: %s\n", CALL(UNAME, structure, 0, 0), structure);
    long where = call(MMAP2, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1ul);
    printf("mmap2 below 4 GiB: %d\n", (unsigned long)where < 0xfffff000 && where);
    memset((void *)(where & 0xffffffff), 1, 8192);
    printf("munmap %ld\n", CALL(MUNMAP, where, 8192, 0));
    long child = CALL(FORK, 0, 0, 0);
    if (!child) CALL(EXIT, 7, 0, 0);
    int status = 0;
    int found = waitpid(child, &status, 0) == child;
    printf("child %d, waitpid %d: status %x\n", child > 0, found, status);
    printf("unlink %ld, close %ld\n", CALL(UNLINK, "/not/there", 0, 0), CALL(CLOSE, fd, 0, 0));
    printf("sigaction %ld\n", call(RT_SIGACTION, SIGUSR1, 0, (unsigned long)structure, 8, 0));
}

#ifdef __x86_64__
static unsigned char *page;
static volatile long code_segment;

static void handler(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned short here;
    __asm__("mov %%cs, %0" : "=r"(here));
    code_segment = (unsigned short)registers[REG_CSGSFS];
    printf("signal %d code %d address %lx at %lx, cs %lx trap %lld error %llx, in the handler %x\n", number, info->si_code, (long)info->si_addr,
           (long)registers[REG_RIP], code_segment, (long long)registers[REG_TRAPNO], (long long)registers[REG_ERR], here);
    registers[REG_RIP] += number == SIGSEGV ? 3 : 2; /* behind the instruction, in the same segment */
}

/* Executes 32-bit code at the page, which comes back by a far jump; what it leaves in edi and esi. */
static void run(const char *name, const char *code, int size)
{
    static struct { uint32_t offset; uint16_t segment; } there = {0x10000000, 0x23};
    static const char back[] = "\xea\x00\x08\x00\x10\x33\x00"; /* ljmp $0x33, $0x10000800 */
    memcpy(page, code, size);
    memcpy(page + size, back, 7);
    memcpy(page + 0x800, "\x41\xff\xe7", 3); /* jmp *%r15 */
    unsigned long edi = 0, esi = 0;
    __asm__ volatile("mov %%rsp, %%r14; mov %3, %%rsp; lea 1f(%%rip), %%r15; ljmpl *%2; 1: mov %%r14, %%rsp"
        : "+D"(edi), "+S"(esi) : "m"(there), "r"((unsigned long)page + 8000)
        : "rax", "rbx", "rcx", "rdx", "r14", "r15", "memory", "cc", "r8", "r9", "r10", "r11");
    printf("%s: edi %x esi %x\n", name, (unsigned)edi, (unsigned)esi);
}
#define RUN(name, code) run(name, code, sizeof code - 1)

static void far_transfers(void)
{
    page = mmap((void *)0x10000000, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, 0), sigaction(SIGSEGV, &action, 0);
    memcpy(page + 0xc00, "far call\n", 9);
    RUN("inc", "\x31\xff\x47\x47\x8c\xce");                                     /* xor %edi,%edi; inc %edi; inc %edi; mov %cs,%esi */
    RUN("push and pop", "\x68\x44\x33\x22\x11\x5f\x89\xe6");                    /* push $0x11223344; pop %edi; mov %esp,%esi */
    /* mov $6,%eax; mov $99,%ebx; int $0x80; xchg %eax,%edi; mov %ss,%esi */
    RUN("close", "\xb8\x06\0\0\0\xbb\x63\0\0\0\xcd\x80\x97\x8c\xd6");
    RUN("write", "\xb8\x04\0\0\0\xbb\x01\0\0\0\xb9\0\x0c\0\x10\xba\x09\0\0\0\xcd\x80\x89\xc7");
    RUN("ud2", "\xbf\x05\0\0\0\x0f\x0b\x47");                                   /* mov $5,%edi; ud2; inc %edi */
    /* push %ss; pop %ds; mov $6,%edi; mov $0x1234,%eax; mov 0x10(%eax),%esi; inc %edi */
    RUN("fault", "\x16\x1f\xbf\x06\0\0\0\xb8\x34\x12\0\0\x8b\x70\x10\x47");
    RUN("call and far return", "\x31\xff\x68\x23\0\0\0\xe8\x02\0\0\0\xeb\x02\x47\xcb"); /* push $0x23; call 1f; jmp 2f; 1: inc %edi; lret; 2: */
    RUN("fild", "\x68\x2a\0\0\0\xdb\x04\x24\xdb\x1c\x24\x5f\x0f\x57\xc0");      /* push $42; fildl; fistpl; pop %edi; xorps */
}
#endif

int main(void)
{
    setvbuf(stdout, 0, _IONBF, 0);
    calls();
#ifdef __x86_64__
    far_transfers();
#endif
    return 0;
}
