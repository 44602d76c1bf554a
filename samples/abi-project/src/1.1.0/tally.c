/* 1.1.0: other code, one more function; every old slot stays where it was */
#include "tally.h"

static int sum_of(const struct entry *entries, int n, int counted)
{
	int sum = 0;
	while (n-- > 0)
		sum += entries[n].amount * (counted ? entries[n].count : 1);
	return sum;
}

int tally(const struct entry *entries, int n)
{
	return sum_of(entries, n, 1);
}

int average(const struct entry *entries, int n)
{
	return n > 0 ? sum_of(entries, n, 0) / n : 0;
}

int largest(const struct entry *entries, int n)
{
	int found = 0;
	for (int i = 1; i < n; i++)
		if (entries[i].amount > entries[found].amount)
			found = i;
	return found;
}

const char *unit(void)
{
	return "cents";
}
