/* Figure 5 of the chapter: the program defines a variable that the library has too. Now there are two. */
#include <fcntl.h>
#include <stdio.h>

int errno; /* wrong: should be `#include <errno.h>` */

int main(void)
{
	errno = 0;
	if (open("/no/such/file", O_RDONLY) < 0)
		printf("open failed, and the program's errno is %d\n", errno);
	return 0;
}
