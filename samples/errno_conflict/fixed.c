#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int main(void)
{
	errno = 0;
	if (open("/no/such/file", O_RDONLY) < 0)
		printf("open failed, and the library's errno is %d\n", errno);
	return 0;
}
