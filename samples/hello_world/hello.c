#include <stdio.h>

const char *world(void);

void hello(void)
{
	printf("hello, %s\n", world());
}
