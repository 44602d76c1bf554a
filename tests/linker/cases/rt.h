// Start-up and exit for freestanding tests of both machines: the exit status is what `test()` returns (42: right).
#if defined __x86_64__
__asm__(".text\n.globl _start\n_start: xor %ebp,%ebp\n and $-16,%rsp\n call begin\n hlt\n");
__attribute__((unused)) static long call3(long n, long a, long b, long c) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return r;
}
enum { WRITE = 1, EXIT = 231, ARCH_PRCTL = 158 };
#else
__asm__(".text\n.globl _start\n_start: xor %ebp,%ebp\n and $-16,%esp\n call begin\n hlt\n");
__attribute__((unused)) static long call3(long n, long a, long b, long c) {
  long r;
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
  return r;
}
enum { WRITE = 4, EXIT = 252, SET_THREAD_AREA = 243 };
#endif

// A thread-local block as the machines' TLS variant II wants it: data right below the thread pointer.
#ifdef WANT_TLS
typedef struct { unsigned type, flags; unsigned long offset, vaddr, paddr, filesz, memsz, align; } Phdr64;
typedef struct { unsigned type, offset, vaddr, paddr, filesz, memsz, flags, align; } Phdr32;
extern char __ehdr_start[];
static char block[4096] __attribute__((aligned(64)));
static void start_tls(void) {
#if defined __x86_64__
  Phdr64 *p = (Phdr64 *)(__ehdr_start + *(unsigned long *)(__ehdr_start + 32));
  int count = *(unsigned short *)(__ehdr_start + 56);
#else
  Phdr32 *p = (Phdr32 *)(__ehdr_start + *(unsigned *)(__ehdr_start + 28));
  int count = *(unsigned short *)(__ehdr_start + 44);
#endif
  char *tp = block + 2048;
  for (int i = 0; i < count; i++)
    if (p[i].type == 7) {
      unsigned long size = (p[i].memsz + p[i].align - 1) & -p[i].align;
      for (unsigned long j = 0; j < p[i].filesz; j++) tp[j - size] = ((volatile char *)p[i].vaddr)[j];
    }
  *(void **)tp = tp;
#if defined __x86_64__
  call3(ARCH_PRCTL, 0x1002, (long)tp, 0);
#else
  unsigned descriptor[4] = {-1u, (unsigned)tp, 0xfffff, 0x51};
  call3(SET_THREAD_AREA, (long)descriptor, 0, 0);
  __asm__ volatile("mov %w0,%%gs" : : "r"(descriptor[0] * 8 + 3));
#endif
}
#endif

int test(void);
__attribute__((used, noreturn)) void begin(void) {
#ifdef WANT_TLS
  start_tls();
#endif
  call3(EXIT, test(), 0, 0);
  for (;;);
}
__attribute__((unused)) static void say(const char *text) {
  long n = 0;
  while (text[n]) n++;
  call3(WRITE, 1, (long)text, n);
}
