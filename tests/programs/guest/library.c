/* Strings, sorting, allocation, streams, conversion: prints what every C library prints. argv[1]: a scratch file. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint32_t state = 12345;
static uint32_t next(void) { return state = state * 1664525U + 1013904223U; }

static int by_value(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void strings(void) {
    char a[64] = "hello", b[64], *state_of_token, *p;
    printf("%zu %zu ", strlen(a), strnlen(a, 3));
    printf("%s\n", strcat(a, ", world"));
    printf("%s %s %s\n", strchr(a, 'w'), strrchr(a, 'o'), strstr(a, "lo,"));
    printf("%d %d %d\n", strcmp("a", "b") < 0, strncmp("abc", "abd", 2), memcmp("ab", "aa", 2) > 0);
    printf("%d %d\n", strcasecmp("HeLLo", "hEllO"), strncasecmp("ABx", "aby", 2));
    memset(b, '#', sizeof b);
    strncpy(b, "abc", 8);
    printf("%d %d %c\n", b[3], b[7], b[8]);
    memmove(a + 2, a, 8), a[10] = 0;
    printf("%s\n", a);
    memmove(a, a + 3, 6);
    printf("%s\n", a);
    printf("%zu %zu %s\n", strspn("aabbc", "ab"), strcspn("aabbc", "c"), strpbrk("key=value", "=:"));
    strcpy(b, "one,,two;three");
    for (p = strtok_r(b, ",;", &state_of_token); p; p = strtok_r(0, ",;", &state_of_token)) printf("<%s>", p);
    p = strdup("copied");
    printf("%s %s %d\n", p, strncat(strcpy(b, "x"), "yzw", (size_t)(p != 0) * 2), memchr("abc", 'z', 3) == 0);
    free(p);
    for (int c = 0; c < 128; c++)
        printf("%d%d%d%d%d%d%d%d ", !!isalpha(c), !!isdigit(c), !!isspace(c), !!ispunct(c), !!isupper(c), !!isxdigit(c),
               !!isprint(c), !!iscntrl(c));
    printf("\n%c%c %s\n", toupper('q'), tolower('Q'), strerror(ENOENT));
}

static void sorting(void) {
    static int numbers[20000];
    const char *names[] = {"pear", "apple", "fig", "banana", "cherry"};
    unsigned hash = 0;
    int key = 0, *found;
    for (int kind = 0; kind < 4; kind++) {
        int n = 20000, bad = 0;
        for (int i = 0; i < n; i++) numbers[i] = kind == 0 ? (int)next() : kind == 1 ? i : kind == 2 ? -i : (int)(next() % 5);
        qsort(numbers, (size_t)n, sizeof *numbers, by_value);
        for (int i = 1; i < n; i++) bad += numbers[i - 1] > numbers[i];
        for (int i = 0; i < n; i++) hash = hash * 31 + (unsigned)numbers[i];
        printf("sorted %d %u\n", bad, hash);
    }
    qsort(names, 5, sizeof *names, by_name);
    for (int i = 0; i < 5; i++) printf("%s ", names[i]);
    key = 3;
    found = bsearch(&key, numbers, 20000, sizeof *numbers, by_value);
    printf("%d ", found ? *found : -1);
    key = 17;
    printf("%d\n", bsearch(&key, numbers, 20000, sizeof *numbers, by_value) != 0);
}

static void allocation(void) {
    enum { N = 600 };
    static unsigned char *blocks[N];
    static size_t sizes[N];
    unsigned long errors = 0;
    for (int round = 0; round < 20000; round++) {
        unsigned i = next() % N, kind = next() % 4;
        size_t size = next() % 7 == 0 ? next() % 200000 : next() % 700;
        for (size_t j = 0; j < sizes[i]; j += 1 + sizes[i] / 8) errors += blocks[i][j] != (unsigned char)(i + j);
        if (kind == 0) {
            free(blocks[i]);
            blocks[i] = calloc(size, 1);
            for (size_t j = 0; j < size; j += 13) errors += blocks[i][j] != 0;
        } else if (kind == 1) {
            blocks[i] = realloc(blocks[i], size + 1);
            for (size_t j = 0; j < sizes[i] && j < size; j += 1 + sizes[i] / 8) errors += blocks[i][j] != (unsigned char)(i + j);
        } else {
            free(blocks[i]);
            blocks[i] = malloc(size + 1);
        }
        errors += (uintptr_t)blocks[i] % (2 * sizeof(void *)) != 0;
        sizes[i] = size;
        for (size_t j = 0; j < size; j++) blocks[i][j] = (unsigned char)(i + j);
    }
    for (int i = 0; i < N; i++) free(blocks[i]);
    errno = 0;
    {
        volatile size_t huge = SIZE_MAX / 2;
        void *volatile p = calloc(huge, 16), *volatile q = malloc(huge + huge / 2); /* a compiler must not guess */
        printf("%lu %d %d", errors, p == 0, q == 0);
    }
    printf(" %d\n", errno == ENOMEM);
}

static void conversions(void) {
    static const char *const texts[] = {"0", "42", "-42", "+7", "0x1f", "010", "z", "  12abc", "99999999999999999999", "-99999999999999999999", "", "7fffffff"};
    static const char *const reals[] = {"0", "1", "-1.5", "3.14159", "1e10", "1e-10", ".5", "5.", "1e", "1e+", "0x1p-3", "0x.8", "inf", "-nan", "abc", "  2.5x",
        "1.7976931348623157e308", "4.9e-324", "2.2250738585072011e-308", "9007199254740993", "0.1e1", "123456789012345678", "1e23", "8.5e-1"};
    char *end;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        long long v;
        errno = 0;
        v = strtoll(texts[i], &end, 0);
        printf("%lld/%td/%d ", v, end - texts[i], errno == ERANGE);
        errno = 0;
        v = (long long)strtoull(texts[i], &end, 16);
        printf("%llx/%td/%d ", v, end - texts[i], errno == ERANGE);
        printf("%d\n", atoi(texts[i]) * (strlen(texts[i]) < 12));
    }
    for (unsigned i = 0; i < sizeof reals / sizeof *reals; i++) {
        double v = strtod(reals[i], &end);
        if (v != v) printf("nan/%td\n", end - reals[i]);
        else printf("%.17g/%td\n", v, end - reals[i]);
    }
    { int a = 0, b = 0, n = 0; char w[16]; double d = 0; unsigned x = 0;
      printf("%d ", sscanf(" 12, 34 word 2.5 ff", "%d,%d %15s %lf %x%n", &a, &b, w, &d, &x, &n));
      printf("%d %d %s %g %x %d\n", a, b, w, d, x, n); }
}

static void streams(const char *path) {
    char line[32];
    struct stat s;
    FILE *f = fopen(path, "w+");
    if (!f) { perror(path); exit(1); }
    for (int i = 0; i < 3000; i++) fprintf(f, "line %d\n", i);
    printf("%ld ", ftell(f));
    fflush(f);
    printf("%d ", stat(path, &s));
    printf("%ld\n", (long)s.st_size);
    fseek(f, 100, SEEK_SET);
    printf("%s", fgets(line, sizeof line, f));
    printf("%d ", ungetc('U', f));
    printf("%d ", fgetc(f));
    printf("%ld\n", ftell(f));
    fseek(f, -7, SEEK_END);
    printf("%zu ", fread(line, 1, sizeof line, f));
    printf("%d ", feof(f));
    printf("%d\n", fgetc(f));
    fseek(f, 0, SEEK_SET);
    fputs("LINE", f);
    rewind(f);
    { int n = 0; while (fgets(line, sizeof line, f)) n++; printf("%d\n", n); }
    printf("%d\n", fclose(f));
    f = fopen(path, "a"); fputs("more\n", f); fclose(f);
    f = fopen(path, "r"); fseek(f, -10, SEEK_END); while (fgets(line, sizeof line, f)) printf("%s", line);
    printf("%d ", fputc('x', f));
    printf("%d ", ferror(f) != 0);
    fclose(f);
    printf("%d ", remove(path));
    printf("%d ", fopen(path, "r") == 0);
    printf("%d\n", errno == ENOENT);
    setvbuf(stdout, 0, _IONBF, 0), printf("unbuffered\n");
}

static jmp_buf place;
static void jump(int n) {
    if (n == 0) longjmp(place, 0);
    else jump(n - 1);
}

static void late(void) { printf("at exit 1\n"); }
static void later(void) { printf("at exit 2\n"); }

int main(int argc, char **argv) {
    static volatile int jumps; /* only memory is certain to survive */
    strings();
    sorting();
    allocation();
    conversions();
    { int value = setjmp(place); printf("setjmp %d\n", value); if (jumps++ < 1) jump(5); }
    { time_t when[] = {0, 951782400, 1700000000, -1, 4102444799}; for (int i = 0; i < 5; i++) { struct tm *t = gmtime(&when[i]);
      printf("%d-%d-%d %d:%d:%d %d %d\n", t->tm_year, t->tm_mon, t->tm_mday, t->tm_hour, t->tm_min, t->tm_sec, t->tm_wday, t->tm_yday); } }
    setenv("USELIB_TEST", "set", 1);
    printf("%s ", getenv("USELIB_TEST"));
    unsetenv("USELIB_TEST");
    printf("%d %d\n", getenv("USELIB_TEST") == 0, time(0) > 1000000000);
    atexit(late);
    atexit(later);
    if (argc > 1) streams(argv[1]);
    return 3;
}
