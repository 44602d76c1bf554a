/* Dies in itself, in a function that the C library calls, in the C library, by abort. */
#include <stdlib.h>
#include <string.h>

static int compare(const void *one, const void *other)
{
    return *(volatile const char *)8 + (one == other);
}

int die(int how, char *nowhere)
{
    int numbers[] = {3, 1, 2};
    switch (how) {
    case 0: *nowhere = 1; break;
    case 1: qsort(numbers, 3, sizeof numbers[0], compare); break;
    case 2: return (int)strlen(nowhere + 4);
    default: abort();
    }
    return numbers[0];
}

int main(int argc, char **argv) { return die(argc > 1 ? atoi(argv[1]) : 0, NULL); }
