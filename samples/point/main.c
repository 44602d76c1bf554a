#include <stdio.h>
#include "point.h"

int main(void)
{
	struct point p = {.x = 1, .y = 2};
	printf("x = %d, y = %d\n", point_x(&p), point_y(&p));
	return 0;
}
