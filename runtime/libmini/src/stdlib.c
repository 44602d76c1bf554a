/* Sorting, searching, random numbers, integer arithmetic, environment. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "system.h"

int abs(int n) { return n < 0 ? -n : n; }
long labs(long n) { return n < 0 ? -n : n; }
long long llabs(long long n) { return n < 0 ? -n : n; }
div_t div(int a, int b) { return (div_t){a / b, a % b}; }
ldiv_t ldiv(long a, long b) { return (ldiv_t){a / b, a % b}; }

static uint64_t seed;

void srand(unsigned s) { seed = s - 1U; }

int rand(void) { /* Knuth's MMIX generator; its high bits */
    seed = 6364136223846793005ULL * seed + 1;
    return (int)(seed >> 33);
}

static void swap(char *a, char *b, size_t size) {
    for (; size >= sizeof(size_t); size -= sizeof(size_t), a += sizeof(size_t), b += sizeof(size_t)) {
        size_t t, u;
        memcpy(&t, a, sizeof t), memcpy(&u, b, sizeof u);
        memcpy(a, &u, sizeof u), memcpy(b, &t, sizeof t);
    }
    while (size--) {
        char t = *a;
        *a++ = *b;
        *b++ = t;
    }
}

typedef int (*comparison)(const void *, const void *);

static void sift(char *base, size_t root, size_t n, size_t size, comparison compare) {
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && compare(base + child * size, base + (child + 1) * size) < 0) child++;
        if (compare(base + root * size, base + child * size) >= 0) return;
        swap(base + root * size, base + child * size, size);
    }
}

static void heap_sort(char *base, size_t n, size_t size, comparison compare) {
    for (size_t i = n / 2; i-- > 0;) sift(base, i, n, size, compare);
    while (n-- > 1) {
        swap(base, base + n * size, size);
        sift(base, 0, n, size, compare);
    }
}

/* Introsort: quicksort with the median of three, heap sort where it degenerates, insertion for short runs. */
static void sort(char *base, size_t n, size_t size, comparison compare, int depth) {
    while (n > 12) {
        char *middle = base + n / 2 * size, *last = base + (n - 1) * size, *i = base, *j = last;
        if (depth-- == 0) {
            heap_sort(base, n, size, compare);
            return;
        }
        if (compare(middle, base) < 0) swap(middle, base, size);
        if (compare(last, base) < 0) swap(last, base, size);
        if (compare(middle, last) < 0) swap(middle, last, size); /* base <= last <= middle: the pivot is at last */
        for (;;) {
            while (i < last && compare(i, last) < 0) i += size;
            do j -= size;
            while (j > i && compare(j, last) > 0);
            if (j <= i) break;
            swap(i, j, size);
            i += size;
        }
        swap(i, last, size);
        {
            size_t left = (size_t)(i - base) / size, right = n - left - 1;
            if (left < right) { /* the shorter half by recursion: the stack stays small */
                sort(base, left, size, compare, depth);
                base = i + size, n = right;
            } else {
                sort(i + size, right, size, compare, depth);
                n = left;
            }
        }
    }
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && compare(base + (j - 1) * size, base + j * size) > 0; j--)
            swap(base + (j - 1) * size, base + j * size, size);
}

void qsort(void *base, size_t n, size_t size, comparison compare) {
    int depth = 0;
    for (size_t m = n; m; m >>= 1) depth += 2;
    if (size) sort(base, n, size, compare, depth);
}

void *bsearch(const void *key, const void *base, size_t n, size_t size, comparison compare) {
    const char *low = base;
    while (n > 0) {
        const char *middle = low + n / 2 * size;
        int order = compare(key, middle);
        if (order == 0) return (void *)middle;
        if (order > 0) low = middle + size, n -= n / 2 + 1;
        else n /= 2;
    }
    return 0;
}

static char **find_variable(const char *name, size_t n) {
    if (!environ) return 0;
    for (char **e = environ; *e; e++)
        if (!strncmp(*e, name, n) && (*e)[n] == '=') return e;
    return 0;
}

char *getenv(const char *name) {
    size_t n = strlen(name);
    char **found = n ? find_variable(name, n) : 0;
    return found ? *found + n + 1 : 0;
}

int unsetenv(const char *name) {
    size_t n = strlen(name);
    char **e;
    while ((e = find_variable(name, n)))
        for (; (e[0] = e[1]); e++) {}
    return 0;
}

int setenv(const char *name, const char *value, int replace) {
    static char **ours; /* environ once it had to grow */
    size_t n = strlen(name), count = 0;
    char **old = find_variable(name, n), *entry, **more;
    if (!n || strchr(name, '=')) {
        errno = EINVAL;
        return -1;
    }
    if (old && !replace) return 0;
    if (!(entry = malloc(n + strlen(value) + 2))) return -1;
    stpcpy(stpcpy(stpcpy(entry, name), "="), value);
    if (old) {
        *old = entry;
        return 0;
    }
    while (environ && environ[count]) count++;
    if (!(more = malloc((count + 2) * sizeof *more))) return -1;
    if (count) memcpy(more, environ, count * sizeof *more);
    more[count] = entry;
    more[count + 1] = 0;
    free(ours);
    environ = ours = more;
    return 0;
}

int system(const char *command) {
    char *arguments[] = {"sh", "-c", (char *)command, 0};
    int status = -1;
    pid_t child;
    if (!command) return access("/bin/sh", X_OK) == 0;
    if ((child = fork()) == 0) {
        execve("/bin/sh", arguments, environ);
        _exit(127);
    }
    if (child > 0) waitpid(child, &status, 0);
    return status;
}
