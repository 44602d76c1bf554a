/* Executes generated instructions: `instructions SEED FIRST COUNT` prints 8 bytes for each, a digest of all that it did; `instructions SEED INDEX`
 * prints the effects of one, in words. tests/emulator/machine/test_instructions.py compares the processor with the emulator. */
#include "machine.c"
#include "generate.c"

static uint64_t digest;

static void mix(uint64_t value) { digest = (digest ^ value) * 0x9E3779B97F4A7C15u, digest ^= digest >> 29; }

/* Forgets what is undefined. */
static void normalise(const Instruction *i, int signal)
{
    after.flags &= (0xCD5 | i->sets_flags) & ~i->undefined;
    after.floats.mxcsr &= 0xFFFF;
    after.floats.control &= 0x1F3F;
    if (signal == SIGFPE) after.floats.mxcsr &= ~0x20;
    if (i->map == LEGACY_MAP && i->opcode >= 0xDA && i->opcode <= 0xDF && i->modrm >= 0xC0) after.floats.status &= ~0x200; /* C1 of ffree, fcomi */
    after.floats.tags &= 0xFF;
    if (i->map == MAP_0F && (i->opcode & 0xFE) == 0x2C) /* CVTPS2PI ...: makers differ in the exponent of the register */
        for (int r = 0; r < 8; r++) after.floats.st[r].high = 0;
    bool x87 = i->map == LEGACY_MAP && (i->opcode & 0xF8) == 0xD8;
    if (!x87 && signal) after.floats.tags = 0, after.floats.status &= ~0x3800;
}

static void digest_all(const Instruction *i, const End *end, uintptr_t start)
{
    digest = 0;
    for (int r = 0; r < REGISTERS; r++) mix(after.registers[r]);
    mix(after.flags);
    for (int r = 0; r < 6; r++) mix(after.selectors[r]);
    for (int r = 0; r < 2; r++) mix(after.bases[r] == machine_fs ? 1 : after.bases[r]);
    const Floats *f = &after.floats;
    mix(f->control | (uint64_t)f->status << 16 | (uint64_t)f->tags << 32);
    mix(f->mxcsr);
    for (int r = 0; r < 8; r++) mix(f->st[r].mantissa), mix(f->st[r].high);
    for (int r = 0; r < REGISTERS; r++) mix(f->xmm[r][0]), mix(f->xmm[r][1]);
    const uint64_t *words = (const uint64_t *)(MEMORY_END - WATCHED);
    for (int k = 0; k < WATCHED / 8; k++) mix(words[k]);
    mix(end->signal | (uint64_t)(uint32_t)end->code << 8);
    if (end->signal) mix(end->address), mix(end->pc - start);
    (void)i;
}

static void print_floats(const Floats *f, const Floats *old)
{
    printf("control %04x\nstatus %04x\ntags %02x\nmxcsr %04x\n", f->control, f->status, f->tags, f->mxcsr);
    for (int r = 0; r < 8; r++)
        printf("st%d %04x %016llx%s\n", r, f->st[r].high, (unsigned long long)f->st[r].mantissa, memcmp(&f->st[r], &old->st[r], 10) ? " changed" : "");
    for (int r = 0; r < REGISTERS; r++)
        printf("xmm%d %016llx %016llx%s\n", r, (unsigned long long)f->xmm[r][1], (unsigned long long)f->xmm[r][0], memcmp(f->xmm[r], old->xmm[r], 16) ? " changed" : "");
}

static void print_registers(const State *s)
{
    static const char *const NAMES[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    for (int r = 0; r < REGISTERS; r++) printf("%s %llx\n", NAMES[r], (unsigned long long)s->registers[r]);
    printf("flags %llx\n", (unsigned long long)s->flags);
    printf("es %x cs %x ss %x ds %x fs %x gs %x\n", s->selectors[0], s->selectors[1], s->selectors[2], s->selectors[3], s->selectors[4], s->selectors[5]);
    for (int r = 0; r < 2; r++) printf("base %llx\n", s->bases[r] == machine_fs ? 1ull : (unsigned long long)s->bases[r]);
}

static void prepare(uint8_t *at, Instruction *i, uint64_t seed, uint64_t index)
{
    generate(seed, index, i, at);
    int length = i->length;
    memcpy(at, i->bytes, sizeof i->bytes);
    machine_exit(at + length + (i->bytes[length] == 0xB8 ? 5 : 0));
}

int main(int count, char **words)
{
    static Instruction i;
    static uint64_t digests[SLOTS];
    machine_start();
    if (count < 3) return 2;
    uint64_t seed = strtoull(words[1], NULL, 0), first = strtoull(words[2], NULL, 0);
    if (count == 3) {
        uint8_t *code = machine_open(), *at = code + first % SLOTS * SLOT;
        static uint8_t old[WATCHED];
        prepare(at, &i, seed, first);
        machine_close(code);
        printf("bytes ");
        for (int k = 0; k < i.length; k++) printf("%02x", i.bytes[k]);
        printf("\n-- before --\n");
        print_registers(&before);
        print_floats(&before.floats, &before.floats);
        memcpy(old, (void *)(MEMORY_END - WATCHED), WATCHED);
        End end = machine_run(at);
        normalise(&i, end.signal);
        printf("-- after --\n");
        print_registers(&after);
        print_floats(&after.floats, &before.floats);
        for (int k = 0; k < WATCHED; k++)
            if (old[k] != ((uint8_t *)(MEMORY_END - WATCHED))[k]) printf("memory %x %02x\n", MEMORY_END - WATCHED + k, ((uint8_t *)(MEMORY_END - WATCHED))[k]);
        printf("signal %d code %d address %llx pc %d\n", end.signal, end.code, (unsigned long long)end.address, end.signal ? (int)(end.pc - (uintptr_t)at) : 0);
        return 0;
    }
    uint64_t last = first + strtoull(words[3], NULL, 0);
    while (first < last) {
        uint64_t some = SLOTS - first % SLOTS < last - first ? SLOTS - first % SLOTS : last - first;
        uint8_t *code = machine_open();
        for (uint64_t k = first; k < first + some; k++) prepare(code + k % SLOTS * SLOT, &i, seed, k);
        machine_close(code);
        for (uint64_t k = first; k < first + some; k++) {
            uint8_t *at = code + k % SLOTS * SLOT;
            generate(seed, k, &i, at);
            End end = machine_run(at);
            normalise(&i, end.signal);
            digest_all(&i, &end, (uintptr_t)at);
            digests[k - first] = digest;
        }
        fwrite(digests, sizeof *digests, some, stdout);
        first += some;
    }
    return 0;
}
