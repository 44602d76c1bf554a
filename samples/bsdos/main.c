#include <stdio.h>

int area(int width, int height);
extern int areas;

int main(int argc, char **argv)
{
	int sum = area(3, 4) + area(5, 6);
	printf("%s: %d areas, %d in all\n", argv[argc - 1], areas, sum);
	return 0;
}
