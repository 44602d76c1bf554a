/* Uses library.c in every way: calls, addresses of functions and variables, thread-local data on both sides. */
#include <stdio.h>
#include <stdlib.h>

extern int data;
extern __thread int tls_a;
extern char **environ;
__thread int tls_main = 9;
int tls_get(void), call_main(int), *address_of_data(void), chosen(int), use_chosen(int);
void *address_of_function(void);
const char *name(int);
int (*table[])(int) = {call_main, chosen};

int from_main(int x) { return x * 2; }
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(void)
{
	int numbers[] = {3, 1, 2};
	data += 1;
	tls_a += 1;
	qsort(numbers, 3, sizeof *numbers, compare);
	fprintf(stdout, "%d %d %d\n", tls_get(), tls_a, call_main(5));
	printf("%d %d %d\n", address_of_data() == &data, address_of_function() == (void *)call_main, environ != 0);
	printf("%d %d %d %s %d\n", chosen(3), use_chosen(4), table[0](1) + table[1](1), name(1), numbers[0]);
	return 0;
}
