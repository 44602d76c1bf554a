#ifndef TALLY_H
#define TALLY_H

struct entry {
	int amount;
	int count;
};

int tally(const struct entry *entries, int n);   /* amounts times counts, summed up */
int average(const struct entry *entries, int n); /* of the amounts; 0 for none */
const char *unit(void);

#endif
