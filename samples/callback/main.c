#include <stdio.h>
#include "each.h"

static int show(int value, void *context)
{
	printf("%s %d\n", (const char *)context, value);
	return value;
}

int main(void)
{
	static const int values[] = {1, 2, 3};
	printf("sum %d\n", each(values, 3, show, "visited"));
	printf("sum of doubles %d\n", each(values, 3, twice, NULL));
	printf("function pointers compare equal: %s, %s\n", get_twice() == twice ? "yes" : "no", is_twice(twice) ? "yes" : "no");
	return 0;
}
