/* Formats what standard input says: lines of a kind (d: long long, u: unsigned long long, f: double, s: string), a
 * format and a value, separated by tabs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    static char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *format = strchr(line, '\t') + 1, *value = strchr(format, '\t');
        *value++ = 0;
        value[strcspn(value, "\n")] = 0;
        if (line[0] == 'd') printf(format, strtoll(value, 0, 10));
        else if (line[0] == 'u') printf(format, strtoull(value, 0, 10));
        else if (line[0] == 'f') printf(format, strtod(value, 0));
        else printf(format, value);
        putchar('\n');
    }
    return 0;
}
