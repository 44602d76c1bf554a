/* The program brings its own malloc and free. The library's strdup must use them too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char arena[1 << 16];
static size_t used;
static int mallocs, frees;

void *malloc(size_t size)
{
	void *block = arena + used;
	used += (size + 15) & ~(size_t)15;
	mallocs++;
	return used <= sizeof arena ? block : NULL;
}

void free(void *block)
{
	if (block)
		frees++;
}

void *calloc(size_t count, size_t size)
{
	return malloc(count * size); /* the arena is zero and never used twice */
}

void *realloc(void *old, size_t size)
{
	char *block = malloc(size);
	if (old && block)
		memcpy(block, old, size); /* blocks lie in one arena: reading past the old one is harmless here */
	return block;
}

static int ours(const void *block)
{
	return (const char *)block >= arena && (const char *)block < arena + sizeof arena;
}

int main(void)
{
	int before = mallocs;
	char *copy = strdup("allocated inside the C library"); /* libc_s calls malloc through its pointer */
	int during = mallocs - before;
	printf("%s\n", copy);
	printf("from the program's arena: %s, mallocs seen: %d\n", ours(copy) ? "yes" : "no", during);
	before = frees;
	free(copy);
	printf("frees seen: %d\n", frees - before);
	return 0;
}
