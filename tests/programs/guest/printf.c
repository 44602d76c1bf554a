/* Prints a table of conversions: the same on every C library whose printf is right. */
#include <float.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const integer_formats[] = {
    "%d", "%5d", "%-5d|", "%05d", "%+d", "% d", "%.3d", "%8.3d", "%-8.3d|", "%i", "%u", "%x", "%X", "%#x", "%o", "%#o",
    "%08x", "%#010x", "%.0d", "%+.3d", "%08.3d", "%hhd", "%hd", "%hhu", "%hx",
};
static const int integers[] = {0, 1, -1, 7, 42, -42, 255, 65536, 123456, INT_MAX, INT_MIN};

static const char *const float_formats[] = {
    "%f", "%.0f", "%#.0f", "%.1f", "%.2f", "%.3f", "%10.3f", "%-12.2f|", "%012.3f", "%+f", "% f", "%.15f", "%.20f",
    "%e", "%.0e", "%#.0e", "%.3e", "%12.4e", "%.17e", "%E", "%g", "%G", "%.3g", "%.10g", "%.17g", "%14g",
    "%-14g|", "%014g", "%.0g", "%.40f", "%.1g",
};
static const double floats[] = {
    0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, 0.1, 0.2, 0.3, 1.0 / 3, 2.0 / 3, 3.14159265358979, 9.5, 9.995, 99.5, 999.95,
    0.0001, 0.00001234, 0.000099995, 1e5, 123456, 1234567, 999999.5, 1e15, 1e16, 1e21, 1e22, 1e23, 1.7976931348623157e308,
    2.2250738585072014e-308, 5e-324, 4.9406564584124654e-320, 1e-10, 123456789.125, 0.125, 0.375, 8.5, 7.45, 1e100, 6.02214076e23,
};

int main(int argc, char **argv) {
    char buffer[64];
    int n;
    for (size_t f = 0; f < sizeof integer_formats / sizeof *integer_formats; f++)
        for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
            printf("%s: ", integer_formats[f]);
            printf(integer_formats[f], integers[i]);
            putchar('\n');
        }
    for (size_t f = 0; f < sizeof float_formats / sizeof *float_formats; f++)
        for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
            printf("%s: ", float_formats[f]);
            printf(float_formats[f], floats[i]);
            putchar('\n');
        }
    for (int i = 1; i < argc; i++) { /* more numbers, from the command line */
        double value = strtod(argv[i], 0);
        printf("%s: %.17g %f %e %g %.3f %.0f\n", argv[i], value, value, value, value, value, value);
        printf("%.17g\n", (double)strtof(argv[i], 0));
    }
    printf("%ld %lld %lu %llu %zu %td %jd\n", -2147483647L, LLONG_MIN, 4000000000UL,
           ULLONG_MAX, (size_t)17, (ptrdiff_t)-3, (intmax_t)-5);
    printf("%llx %llX %llo %lld\n", 0x123456789abcdefULL, 0xfedcba987654321ULL, 01234567012345670ULL, -1234567890123456789LL);
    printf("[%s] [%10s] [%-10s] [%.2s] [%5.1s] [%c] [%3c] [%-3c] %%\n", "text", "text", "text", "text", "text", 'x', 'y', 'z');
    printf("[%*d] [%-*d] [%.*f] [%*s]\n", 6, 42, 6, 42, 2, 3.14159, -8, "left");
    printf("%p %p\n", (void *)0x1234, (void *)0xabcdef);
    printf("%Lf %.3Le %Lg\n", 1.25L, 12345.678L, 1e30L);
    printf("%f %F %e %g %5.1f %-6f| %+f %06f\n", __builtin_inf(), -__builtin_inf(), __builtin_inf(), -__builtin_inf(),
           __builtin_inf(), __builtin_inf(), __builtin_inf(), __builtin_inf());
    n = snprintf(buffer, argc > 90 ? 90 : 8, "%s-%d", "truncated", 5);
    printf("%d [%s]\n", n, buffer);
    n = snprintf(buffer, 0, "%d", 12345);
    printf("%d\n", n);
    n = sprintf(buffer, "%d%n tail", 99, &n);
    printf("%d [%s]\n", n, buffer);
    printf("%d\n", printf("counted\n"));
    return 0;
}
