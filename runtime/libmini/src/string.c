/* Strings and memory. Compiled so that the compiler does not turn these loops into calls of themselves. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef size_t __attribute__((may_alias, aligned(1))) chunk; /* x86 reads unaligned words */

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    unsigned char *d = to;
    const unsigned char *s = from;
    for (; n >= sizeof(chunk); n -= sizeof(chunk), d += sizeof(chunk), s += sizeof(chunk)) *(chunk *)d = *(const chunk *)s;
    while (n--) *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    unsigned char *d = to;
    const unsigned char *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= n) { /* also when d is below s: copying upwards is safe */
        for (; n >= sizeof(chunk); n -= sizeof(chunk), d += sizeof(chunk), s += sizeof(chunk))
            *(chunk *)d = *(const chunk *)s;
        while (n--) *d++ = *s++;
        return to;
    }
    for (; n >= sizeof(chunk); n -= sizeof(chunk))
        *(chunk *)(d + n - sizeof(chunk)) = *(const chunk *)(s + n - sizeof(chunk));
    while (n--) d[n] = s[n];
    return to;
}

void *memset(void *to, int value, size_t n) {
    unsigned char *d = to;
    chunk pattern = (size_t)-1 / 255 * (unsigned char)value;
    for (; n >= sizeof(chunk); n -= sizeof(chunk), d += sizeof(chunk)) *(chunk *)d = pattern;
    while (n--) *d++ = (unsigned char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q) return *p - *q;
    return 0;
}

void *memchr(const void *s, int c, size_t n) {
    for (const unsigned char *p = s; n; n--, p++)
        if (*p == (unsigned char)c) return (void *)p;
    return 0;
}

size_t strlen(const char *s) {
    const char *p = s;
    while (*p) p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t n) {
    const char *end = memchr(s, 0, n);
    return end ? (size_t)(end - s) : n;
}

char *stpcpy(char *restrict to, const char *restrict from) {
    while ((*to = *from)) to++, from++;
    return to;
}

char *strcpy(char *restrict to, const char *restrict from) {
    stpcpy(to, from);
    return to;
}

char *strncpy(char *restrict to, const char *restrict from, size_t n) {
    size_t length = strnlen(from, n);
    memcpy(to, from, length);
    memset(to + length, 0, n - length);
    return to;
}

char *strcat(char *restrict to, const char *restrict from) {
    stpcpy(to + strlen(to), from);
    return to;
}

char *strncat(char *restrict to, const char *restrict from, size_t n) {
    char *end = to + strlen(to);
    size_t length = strnlen(from, n);
    memcpy(end, from, length);
    end[length] = 0;
    return to;
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int strcoll(const char *a, const char *b) { return strcmp(a, b); }

int strncmp(const char *a, const char *b, size_t n) {
    while (n && *a && *a == *b) a++, b++, n--;
    return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

int strcasecmp(const char *a, const char *b) {
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) a++, b++;
    return tolower((unsigned char)*a) - tolower((unsigned char)*b);
}

int strncasecmp(const char *a, const char *b, size_t n) {
    while (n && *a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) a++, b++, n--;
    return n ? tolower((unsigned char)*a) - tolower((unsigned char)*b) : 0;
}

char *strchr(const char *s, int c) {
    for (;; s++) {
        if (*s == (char)c) return (char *)s;
        if (!*s) return 0;
    }
}

char *strrchr(const char *s, int c) {
    const char *found = 0;
    for (;; s++) {
        if (*s == (char)c) found = s;
        if (!*s) return (char *)found;
    }
}

char *strstr(const char *s, const char *what) {
    size_t n = strlen(what);
    for (; *s; s++)
        if (*s == *what && !strncmp(s, what, n)) return (char *)s;
    return n ? 0 : (char *)s;
}

size_t strspn(const char *s, const char *set) {
    size_t n = 0;
    while (s[n] && strchr(set, s[n])) n++;
    return n;
}

size_t strcspn(const char *s, const char *set) {
    size_t n = 0;
    while (s[n] && !strchr(set, s[n])) n++;
    return n;
}

char *strpbrk(const char *s, const char *set) {
    s += strcspn(s, set);
    return *s ? (char *)s : 0;
}

char *strtok_r(char *restrict s, const char *restrict set, char **restrict state) {
    if (!s) s = *state;
    s += strspn(s, set);
    if (!*s) {
        *state = s;
        return 0;
    }
    *state = s + strcspn(s, set);
    if (**state) *(*state)++ = 0;
    return s;
}

char *strtok(char *restrict s, const char *restrict set) {
    static char *state;
    return strtok_r(s, set, &state);
}

char *strndup(const char *s, size_t n) {
    size_t length = strnlen(s, n);
    char *copy = malloc(length + 1);
    if (!copy) return 0;
    memcpy(copy, s, length);
    copy[length] = 0;
    return copy;
}

char *strdup(const char *s) { return strndup(s, strlen(s)); }
