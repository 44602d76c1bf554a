/* libgreet 1.1.0: a new function, a longer old one, another order, a new variable. Every old slot and datum stays where it was. */
#include "greet.h"

int calls = 0;
int verbosity = 3;

int subtract(int a, int b)
{
	calls++;
	return a - b;
}

int add(int a, int b)
{
	calls++;
	int sum = a;
	for (int i = 0; i < b; i++)
		sum++;
	return sum;
}

const char *greeting(void)
{
	static const char *const texts[] = {"", "hi", "hello", "a warm hello from 1.1.0"};
	calls++;
	return texts[verbosity];
}
