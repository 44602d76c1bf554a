#include <stdio.h>
#include <stdlib.h>
#include "tally.h"

/* report [AMOUNT COUNT]... */
int main(int argc, char **argv)
{
	struct entry entries[16];
	int n = 0;
	for (int i = 1; i + 1 < argc && n < 16; i += 2, n++) {
		entries[n].amount = atoi(argv[i]);
		entries[n].count = atoi(argv[i + 1]);
	}
	printf("%d %s\n", tally(entries, n), unit());
	return 0;
}
