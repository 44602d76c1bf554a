#include <stdio.h>

int areas;

int area(int width, int height)
{
	areas++;
	printf("area(%d, %d)\n", width, height);
	return width * height;
}
