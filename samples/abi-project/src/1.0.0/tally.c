#include "tally.h"

int tally(const struct entry *entries, int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += entries[i].amount * entries[i].count;
	return sum;
}

int average(const struct entry *entries, int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += entries[i].amount;
	return n > 0 ? sum / n : 0;
}

const char *unit(void)
{
	return "cents";
}
