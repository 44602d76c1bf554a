#include <stdio.h>
#include "vector.h"

int x[2] = {1, 2};
int y[2] = {3, 4};
int z[2];

int main(void)
{
	addvec(x, y, z, 2);
	printf("z = [%d %d]\n", z[0], z[1]);
	multvec(x, y, z, 2);
	printf("z = [%d %d]\n", z[0], z[1]);
	addvec(x, z, z, 2);
	printf("addvec was called %d times, multvec %d times\n", addcnt, multcnt);
	return 0;
}
