#include <stdio.h>
#include <stdlib.h>
#include "db.h"

int main(int argc, char **argv)
{
	int handle = open_db();
	printf("level %d, handle %d, shut %d\n", level, handle, shut(handle));
	fflush(stdout);
	printf("closed: %d\n", close_db(handle));
	return 0;
}
