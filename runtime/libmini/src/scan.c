/* sscanf: d i u x o c s f e g n %, width, *, h hh l ll z L. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void store(va_list *list, char length, long long value) {
    switch (length) {
    case 'H': *va_arg(*list, signed char *) = (signed char)value; break;
    case 'h': *va_arg(*list, short *) = (short)value; break;
    case 'l': case 'z': *va_arg(*list, long *) = (long)value; break;
    case 'L': *va_arg(*list, long long *) = value; break;
    default: *va_arg(*list, int *) = (int)value;
    }
}

int vsscanf(const char *restrict text, const char *restrict p, va_list arguments) {
    const char *start = text;
    va_list list;
    int assigned = 0;
    va_copy(list, arguments);
    for (; *p; p++) {
        char word[512], length = 0, *end;
        int skip = 0, base = 10;
        size_t width = 0, n;
        if (isspace((unsigned char)*p)) {
            while (isspace((unsigned char)*text)) text++;
            continue;
        }
        if (*p != '%') {
            if (*text != *p) break;
            text++;
            continue;
        }
        if (*++p == '*') skip = 1, p++;
        while (isdigit((unsigned char)*p)) width = width * 10 + (size_t)(*p++ - '0');
        while (*p == 'h' || *p == 'l' || *p == 'z' || *p == 'L') length = *p == 'h' && length == 'h' ? 'H' : *p == 'l' && length == 'l' ? 'L' : *p, p++;
        if (*p != 'c' && *p != 'n' && *p != '%')
            while (isspace((unsigned char)*text)) text++;
        if (*p == 'n') {
            store(&list, length, text - start);
            continue;
        }
        if (!*text) {
            if (!assigned) assigned = EOF;
            break;
        }
        if (*p == '%') {
            if (*text++ != '%') break;
            continue;
        }
        if (*p == 'c') {
            n = width ? width : 1;
            if (strnlen(text, n) < n) break;
            if (!skip) memcpy(va_arg(list, char *), text, n), assigned++;
            text += n;
            continue;
        }
        if (*p == 's') {
            for (n = 0; text[n] && !isspace((unsigned char)text[n]) && (!width || n < width);) n++;
            if (!skip) {
                char *to = va_arg(list, char *);
                memcpy(to, text, n);
                to[n] = 0;
                assigned++;
            }
            text += n;
            continue;
        }
        n = strnlen(text, width && width < sizeof word ? width : sizeof word - 1);
        memcpy(word, text, n);
        word[n] = 0;
        if (strchr("feg", *p | 32)) {
            double value = strtod(word, &end);
            if (end == word) break;
            if (!skip) {
                if (length == 'l') *va_arg(list, double *) = value;
                else if (length == 'L') *va_arg(list, long double *) = value;
                else *va_arg(list, float *) = (float)value;
                assigned++;
            }
        } else {
            long long value;
            if (*p == 'x' || *p == 'X' || *p == 'p') base = 16;
            else if (*p == 'o') base = 8;
            else if (*p == 'i') base = 0;
            else if (*p != 'd' && *p != 'u') break;
            value = *p == 'd' || *p == 'i' ? strtoll(word, &end, base) : (long long)strtoull(word, &end, base);
            if (end == word) break;
            if (!skip) store(&list, *p == 'p' ? 'l' : length, value), assigned++;
        }
        text += end - word;
    }
    va_end(list);
    return assigned;
}

int sscanf(const char *restrict text, const char *restrict format, ...) {
    va_list list;
    int n;
    va_start(list, format);
    n = vsscanf(text, format, list);
    va_end(list);
    return n;
}
