/* a draft of 1.2.0 with two mistakes: its slots are in alphabetical order, and the average is rounded */
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
	return n > 0 ? (sum + n / 2) / n : 0;
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
