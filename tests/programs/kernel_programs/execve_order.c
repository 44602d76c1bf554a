/* Which error execve and execveat give when several arguments are wrong: the path first, then the file, then argv and envp, then the format. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *good[] = {"x", 0}, *bad[] = {"x", (char *)8, 0}, *large[2];

static void make(const char *name, int mode, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0700);
	write(fd, text, strlen(text));
	fchmod(fd, mode);
	close(fd);
}

static void try_at(const char *path, int dir, int flags)
{
	char **vectors[] = {good, bad, (char **)8, large, 0};
	const char *names[] = {"good", "bad", "fault", "large", "null"};
	for (int argv = 0; argv < 5; argv++)
		for (int envp = 0; envp < 5; envp++) {
			if ((argv == 0 || argv == 4) && (envp == 0 || envp == 4) && path > (char *)8 && !strcmp(path, "/proc/self/exe"))
				continue;
			long result = flags < 0 ? syscall(SYS_execve, path, vectors[argv], vectors[envp])
						: syscall(SYS_execveat, dir, path, vectors[argv], vectors[envp], flags);
			printf("%s %d %s %s: %ld %s\n", path > (char *)8 ? path : "?", flags, names[argv], names[envp], result, strerror(errno));
		}
	fflush(stdout);
}

int main(void)
{
	const char *paths[] = {"missing", "missing/x", "plain", "plain/x", "dir", "text", "loop", "", (char *)8, "/proc/self/exe"};
	large[0] = malloc(200000);
	memset(large[0], 'x', 199999);
	large[0][199999] = 0;
	make("plain", 0600, "x");
	make("text", 0700, "no program");
	mkdir("dir", 0700);
	symlink("loop", "loop");
	int here = open(".", O_RDONLY), plain = open("plain", O_RDONLY), text = open("text", O_RDONLY);
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
		try_at(paths[i], 0, -1);
		try_at(paths[i], here, 0);
		try_at(paths[i], 99, 0);
		try_at(paths[i], AT_FDCWD, AT_SYMLINK_NOFOLLOW);
		try_at(paths[i], plain, AT_EMPTY_PATH);
		try_at(paths[i], text, AT_EMPTY_PATH);
		try_at(paths[i], here, 0x10);
	}
	for (int size = 131070; size < 131074; size++) { /* MAX_ARG_STRLEN */
		char *just[] = {large[0], 0};
		memset(large[0], 'x', 199999);
		large[0][size] = 0;
		printf("%d: %d", size, execve("text", just, 0));
		printf(" %s\n", strerror(errno));
	}
	static char *many[1100000];
	for (int count = 1000; count < 1000000; count *= 3) {
		many[count] = 0;
		for (int i = 0; i < count; i++)
			many[i] = "x";
		printf("%d strings: %d", count, execve("text", many, 0));
		printf(" %s\n", strerror(errno));
	}
	printf("%d\n", open(".", O_RDONLY)); /* nothing was left open */
	return 0;
}
