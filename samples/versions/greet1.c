/* libgreet 1.0.0 */
#include "greet.h"

int calls = 0;

const char *greeting(void)
{
	calls++;
	return "hello from 1.0.0";
}

int add(int a, int b)
{
	calls++;
	return a + b;
}
