#include <stdio.h>
#include "tally.h"

/* uses nothing but unit() */
int main(void)
{
	puts(unit());
	return 0;
}
