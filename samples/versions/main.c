#include <stdio.h>
#include "greet.h"

int main(void)
{
	printf("%s\n", greeting());
	printf("2 + 3 = %d\n", add(2, 3));
	printf("%d calls\n", calls);
	return 0;
}
