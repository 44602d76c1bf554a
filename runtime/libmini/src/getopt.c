/* getopt, as POSIX has it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char *optarg;
int optind = 1, opterr = 1, optopt;

int getopt(int argc, char *const argv[], const char *options) {
    static int at = 1; /* within argv[optind] */
    const char *found;
    int c;
    if (optind >= argc || !argv[optind] || argv[optind][0] != '-' || !argv[optind][1]) return -1;
    if (!strcmp(argv[optind], "--")) return optind++, -1;
    c = argv[optind][at++];
    found = c == ':' ? 0 : strchr(options, c);
    optarg = 0;
    if (found && found[1] == ':') {
        if (argv[optind][at]) optarg = argv[optind] + at;
        else if (optind + 1 < argc) optarg = argv[++optind];
        optind++, at = 1;
        if (optarg) return c;
        optopt = c;
        if (options[0] == ':') return ':';
        if (opterr) fprintf(stderr, "%s: option requires an argument: %c\n", argv[0], c);
        return '?';
    }
    if (!argv[optind][at]) optind++, at = 1;
    if (found) return c;
    optopt = c;
    if (opterr && options[0] != ':') fprintf(stderr, "%s: unrecognized option: %c\n", argv[0], c);
    return '?';
}
