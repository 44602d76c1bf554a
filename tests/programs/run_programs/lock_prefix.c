/* LOCK before an instruction that may not have it is an invalid opcode; before one that may, it changes nothing of the result. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static sigjmp_buf back;
static void caught(int number) { siglongjmp(back, number); }

static const struct { const char *name, *bytes; int size; } ROWS[] = {
    {"btc eax, ecx", "\x0f\xbb\xc8", 3}, {"bts eax, ecx", "\x0f\xab\xc8", 3},      {"btr eax, 1", "\x0f\xba\xf0\x01", 4},
    {"neg eax", "\xf7\xd8", 2},          {"not eax", "\xf7\xd0", 2},               {"add eax, ecx", "\x01\xc8", 2},
    {"xadd eax, ecx", "\x0f\xc1\xc8", 3}, {"cmpxchg eax, ecx", "\x0f\xb1\xc8", 3}, {"inc eax", "\xff\xc0", 2},
    {"xchg eax, ecx", "\x87\xc8", 2},    {"mov [mem], ecx", "\x89\x0f", 2},        {"add ecx, [mem]", "\x03\x0f", 2},
    {"cmp [mem], ecx", "\x39\x0f", 2},   {"cmp [mem], 1", "\x83\x3f\x01", 3},      {"test [mem], ecx", "\x85\x0f", 2},
    {"nop", "\x90", 1},                  {"ret", "\xc3", 1},                       {"bt [mem], 1", "\x0f\xba\x27\x01", 4},
    {"bsf ecx, [mem]", "\x0f\xbc\x0f", 3}, {"mul [mem]", "\xf7\x27", 2},           {"call [mem]", "\xff\x17", 2},
    {"push [mem]", "\xff\x37", 2},       {"movups xmm0, [mem]", "\x0f\x10\x07", 3},
    {"add [mem], ecx", "\x01\x0f", 2},   {"add [mem], 5", "\x83\x07\x05", 3},      {"inc [mem]", "\xff\x07", 2},
    {"neg [mem]", "\xf7\x1f", 2},        {"not [mem]", "\xf7\x17", 2},             {"bts [mem], 9", "\x0f\xba\x2f\x09", 4},
    {"btc [mem], ecx", "\x0f\xbb\x0f", 3}, {"xadd [mem], ecx", "\x0f\xc1\x0f", 3}, {"cmpxchg [mem], ecx", "\x0f\xb1\x0f", 3},
    {"xchg [mem], ecx", "\x87\x0f", 2},  {"cmpxchg8b [mem]", "\x0f\xc7\x0f", 3},
};

int main(void)
{
    unsigned char *page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGILL, caught);
    for (unsigned i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        static unsigned memory[4] __attribute__((aligned(16)));
        memory[0] = 0x12345678, memory[1] = 7;
        page[0] = 0xf0;
        memcpy(page + 1, ROWS[i].bytes, ROWS[i].size);
        page[1 + ROWS[i].size] = 0xc3;
        if (sigsetjmp(back, 1)) {
            printf("lock %s: invalid opcode\n", ROWS[i].name);
            continue;
        }
        unsigned a = 0x12345678, c = 3, d = 7;
        unsigned char carry;
        __asm__ volatile("call *%4; setc %3" : "+a"(a), "+c"(c), "+d"(d), "=m"(carry) : "S"(page), "D"(memory), "b"(5) : "memory", "cc");
        printf("lock %s: %x %x %x carry %d memory %x %x\n", ROWS[i].name, a, c, d, carry, memory[0], memory[1]);
    }
    return 0;
}
