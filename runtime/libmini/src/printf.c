/* Formatted output: one routine that emits through a sink, and the functions that call it. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "system.h"

struct sink {
    FILE *file;       /* or 0 */
    char *buffer;     /* else here */
    size_t room;      /* bytes left, without the NUL */
    long long count;  /* characters emitted, including those without room */
    int failed;
};

struct format {
    int left, plus, space, alternative, zero; /* flags - + space # 0 */
    int width, precision;                     /* precision -1: none */
    char length;                              /* 'H' hh, 'h', 'l', 'L' ll and L, 'z', 'j', 't' or 0 */
    char conversion;
};

static void emit(struct sink *s, const char *text, size_t n) {
    if (s->file) {
        if (n && fwrite(text, 1, n, s->file) != n) s->failed = 1;
    } else {
        size_t fits = n < s->room ? n : s->room;
        memcpy(s->buffer, text, fits);
        s->buffer += fits;
        s->room -= fits;
    }
    s->count += (long long)n;
}

static void repeat(struct sink *s, char c, long long n) {
    char block[32];
    memset(block, c, sizeof block);
    for (; n > 0; n -= (long long)sizeof block) emit(s, block, n < (long long)sizeof block ? (size_t)n : sizeof block);
}

/* prefix (sign, 0x), zeros and text, padded to the width. */
static void field(struct sink *s, const struct format *f, const char *prefix, long long zeros, const char *text, size_t n) {
    size_t p = strlen(prefix);
    long long padding = (long long)f->width - (long long)p - zeros - (long long)n;
    if (!f->left && !f->zero) repeat(s, ' ', padding);
    emit(s, prefix, p);
    if (!f->left && f->zero) repeat(s, '0', padding);
    repeat(s, '0', zeros);
    emit(s, text, n);
    if (f->left) repeat(s, ' ', padding);
}

static void integer(struct sink *s, struct format *f, uintmax_t value, int negative) {
    const char *digits = f->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned base = f->conversion == 'o' ? 8 : f->conversion == 'x' || f->conversion == 'X' || f->conversion == 'p' ? 16 : 10;
    char text[24], *end = text + sizeof text, *p = end;
    const char *prefix = "";
    size_t n;
    if (f->conversion == 'd' || f->conversion == 'i') prefix = negative ? "-" : f->plus ? "+" : f->space ? " " : "";
    if (f->conversion == 'p' || (f->alternative && value && base == 16)) prefix = f->conversion == 'X' ? "0X" : "0x";
    for (; value; value /= base) *--p = digits[value % base];
    n = (size_t)(end - p);
    if (f->precision >= 0) f->zero = 0;
    else f->precision = 1;
    if (f->alternative && base == 8 && f->precision <= (int)n) f->precision = (int)n + 1;
    field(s, f, prefix, (long long)f->precision > (long long)n ? f->precision - (long long)n : 0, p, n);
}

/* A piece of a number that is longer than any buffer: digits [from, to) of x, zeros where there are none. */
static void digits_of(struct sink *s, const struct decimal *x, long long from, long long to) {
    if (from < 0) {
        long long zeros = (to < 0 ? to : 0) - from;
        repeat(s, '0', zeros);
        from += zeros;
    }
    if (from < to && from < x->count) {
        long long n = (to < x->count ? to : x->count) - from;
        emit(s, x->digits + from, (size_t)n);
        from += n;
    }
    repeat(s, '0', to - from);
}

static void floating(struct sink *s, struct format *f, long double value) {
    struct decimal x;
    int upper = f->conversion < 'a', kind = f->conversion | 32, negative = __builtin_signbit(value), exponent, e;
    const char *prefix = negative ? "-" : f->plus ? "+" : f->space ? " " : "";
    char tail[8];
    size_t tail_size = 0;
    long long before, padding;
    if (negative) value = -value;
    if (value != value || value - value != 0) { /* not a number, or infinite */
        f->zero = 0;
        field(s, f, prefix, 0, value != value ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"), 3);
        return;
    }
    __mini_to_decimal(value, &x);
    if (f->precision < 0) f->precision = 6;
    if (kind == 'g') { /* P - 1 digits after the first; the style depends on the exponent after rounding */
        if (f->precision == 0) f->precision = 1;
        __mini_round_decimal(&x, f->precision);
        exponent = x.count ? x.point - 1 : 0;
        kind = exponent < -4 || exponent >= f->precision ? 'e' : 'f';
        f->precision = kind == 'e' ? f->precision - 1 : f->precision - 1 - exponent;
        if (!f->alternative) { /* no trailing zeros */
            int used = x.count ? (kind == 'e' ? x.count - 1 : x.count - x.point) : 0;
            if (used < f->precision) f->precision = used > 0 ? used : 0;
        }
    } else if (kind == 'e') {
        if (f->precision < 0x7ffffff0) __mini_round_decimal(&x, f->precision + 1);
    } else if (f->precision < 0x7fff0000) {
        int digits = x.point + f->precision;
        if (digits >= 0) __mini_round_decimal(&x, digits);
        else x.count = 0;
    }
    exponent = x.count ? x.point - 1 : 0;
    if (kind == 'e') {
        e = exponent < 0 ? -exponent : exponent;
        tail[tail_size++] = upper ? 'E' : 'e';
        tail[tail_size++] = exponent < 0 ? '-' : '+';
        if (e >= 1000) tail[tail_size++] = (char)('0' + e / 1000);
        if (e >= 100) tail[tail_size++] = (char)('0' + e / 100 % 10);
        tail[tail_size++] = (char)('0' + e / 10 % 10);
        tail[tail_size++] = (char)('0' + e % 10);
        before = 1;
    } else {
        before = x.count && x.point > 0 ? x.point : 1;
    }
    padding = (long long)f->width - (long long)strlen(prefix) - before - (f->precision > 0 || f->alternative) -
              f->precision - (long long)tail_size;
    if (!f->left && !f->zero) repeat(s, ' ', padding);
    emit(s, prefix, strlen(prefix));
    if (!f->left && f->zero) repeat(s, '0', padding);
    if (!x.count) x.point = 1; /* zero: it has no digits */
    if (kind == 'e') x.point = 1;
    digits_of(s, &x, (long long)x.point - before, x.point);
    if (f->precision > 0 || f->alternative) emit(s, ".", 1);
    digits_of(s, &x, x.point, (long long)x.point + f->precision);
    emit(s, tail, tail_size);
    if (f->left) repeat(s, ' ', padding);
}

/* A va_list in a structure, so that routines can take from it on both machines. */
struct arguments { va_list list; };

static uintmax_t unsigned_argument(struct arguments *a, char length) {
    switch (length) {
    case 'H': return (unsigned char)va_arg(a->list, unsigned);
    case 'h': return (unsigned short)va_arg(a->list, unsigned);
    case 'l': return va_arg(a->list, unsigned long);
    case 'L': case 'j': return va_arg(a->list, unsigned long long);
    case 'z': case 't': return va_arg(a->list, size_t);
    default: return va_arg(a->list, unsigned);
    }
}

static intmax_t signed_argument(struct arguments *a, char length) {
    switch (length) {
    case 'H': return (signed char)va_arg(a->list, int);
    case 'h': return (short)va_arg(a->list, int);
    case 'l': return va_arg(a->list, long);
    case 'L': case 'j': return va_arg(a->list, long long);
    case 'z': case 't': return va_arg(a->list, ptrdiff_t);
    default: return va_arg(a->list, int);
    }
}

static int number(const char **p) {
    int n = 0;
    for (; (unsigned)**p - '0' < 10; ++*p) n = n > 200000000 ? 2000000000 : n * 10 + (**p - '0');
    return n;
}

static const char *parse(const char *p, struct format *f, struct arguments *a) {
    *f = (struct format){.precision = -1};
    for (;; p++) {
        if (*p == '-') f->left = 1;
        else if (*p == '+') f->plus = 1;
        else if (*p == ' ') f->space = 1;
        else if (*p == '#') f->alternative = 1;
        else if (*p == '0') f->zero = 1;
        else break;
    }
    if (*p == '*') {
        f->width = va_arg(a->list, int), p++;
        if (f->width < 0) f->left = 1, f->width = -f->width;
    } else f->width = number(&p);
    if (*p == '.') {
        p++;
        if (*p == '*') f->precision = va_arg(a->list, int), p++;
        else f->precision = number(&p);
    }
    switch (*p) {
    case 'h': f->length = p[1] == 'h' ? 'H' : 'h'; p += f->length == 'H' ? 2 : 1; break;
    case 'l': f->length = p[1] == 'l' ? 'L' : 'l'; p += f->length == 'L' ? 2 : 1; break;
    case 'L': case 'z': case 'j': case 't': f->length = *p++; break;
    default: break;
    }
    f->conversion = *p;
    return *p ? p + 1 : p;
}

static void convert(struct sink *s, struct format *f, struct arguments *a) {
    char c;
    switch (f->conversion) {
    case 'd': case 'i': {
        intmax_t value = signed_argument(a, f->length);
        integer(s, f, value < 0 ? 0 - (uintmax_t)value : (uintmax_t)value, value < 0);
        break;
    }
    case 'u': case 'o': case 'x': case 'X': integer(s, f, unsigned_argument(a, f->length), 0); break;
    case 'p': integer(s, f, (uintptr_t)va_arg(a->list, void *), 0); break;
    case 'e': case 'E': case 'f': case 'F': case 'g': case 'G':
        floating(s, f, f->length == 'L' ? va_arg(a->list, long double) : va_arg(a->list, double));
        break;
    case 'c':
        c = (char)va_arg(a->list, int);
        f->zero = 0;
        field(s, f, "", 0, &c, 1);
        break;
    case 's': {
        const char *text = va_arg(a->list, const char *);
        if (!text) text = f->precision >= 0 && f->precision < 6 ? "" : "(null)";
        f->zero = 0;
        field(s, f, "", 0, text, f->precision >= 0 ? strnlen(text, (size_t)f->precision) : strlen(text));
        break;
    }
    case 'n': *va_arg(a->list, int *) = (int)s->count; break;
    case '%': emit(s, "%", 1); break;
    default: /* unknown: shown unchanged */
        emit(s, "%", 1);
        if (f->conversion) emit(s, &f->conversion, 1);
    }
}

static int format(struct sink *s, const char *p, va_list list) {
    struct arguments a;
    va_copy(a.list, list);
    while (*p) {
        struct format f;
        size_t n = strcspn(p, "%");
        if (n) emit(s, p, n);
        p += n;
        if (!*p) break;
        p = parse(p + 1, &f, &a);
        convert(s, &f, &a);
    }
    va_end(a.list);
    if (s->count > 0x7fffffff) {
        errno = EOVERFLOW;
        return -1;
    }
    return s->failed ? -1 : (int)s->count;
}

int vfprintf(FILE *restrict file, const char *restrict text, va_list list) {
    struct sink s = {.file = file};
    return format(&s, text, list);
}

int vsnprintf(char *restrict buffer, size_t size, const char *restrict text, va_list list) {
    struct sink s = {.buffer = buffer, .room = size ? size - 1 : 0};
    int n = format(&s, text, list);
    if (size) *s.buffer = 0;
    return n;
}

int vprintf(const char *restrict text, va_list list) { return vfprintf(stdout, text, list); }
int vsprintf(char *restrict buffer, const char *restrict text, va_list list) {
    return vsnprintf(buffer, PTRDIFF_MAX, text, list);
}

#define FORWARD(call)                                                                                      \
    va_list list;                                                                                          \
    int n;                                                                                                 \
    va_start(list, text);                                                                                  \
    n = call;                                                                                              \
    va_end(list);                                                                                          \
    return n

int printf(const char *restrict text, ...) { FORWARD(vfprintf(stdout, text, list)); }
int fprintf(FILE *restrict file, const char *restrict text, ...) { FORWARD(vfprintf(file, text, list)); }
int sprintf(char *restrict buffer, const char *restrict text, ...) { FORWARD(vsprintf(buffer, text, list)); }
int snprintf(char *restrict buffer, size_t size, const char *restrict text, ...) {
    FORWARD(vsnprintf(buffer, size, text, list));
}

int dprintf(int fd, const char *restrict text, ...) {
    char buffer[1024];
    va_list list;
    int n;
    va_start(list, text);
    n = vsnprintf(buffer, sizeof buffer, text, list);
    va_end(list);
    if (n < 0) return n;
    return (int)write(fd, buffer, n < (int)sizeof buffer ? (size_t)n : sizeof buffer - 1);
}
