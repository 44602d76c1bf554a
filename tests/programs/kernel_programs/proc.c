/* /proc and /dev: what does not depend on the machine is the same natively and emulated. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[65536], path[128], target[4096];

static int contents(const char *name)
{
	int fd = open(name, O_RDONLY), size = 0, got;
	if (fd < 0) {
		printf("%s: %s\n", name, strerror(errno));
		return text[0] = 0, -1;
	}
	while (size < (int)sizeof text - 1 && (got = read(fd, text + size, sizeof text - 1 - size)) > 0)
		size += got;
	close(fd);
	text[size] = 0;
	return size;
}

static long field(const char *name)
{
	char *line = strstr(text, name);
	return line ? strtol(line + strlen(name), 0, 10) : -1;
}

static void kind(const char *name)
{
	struct stat s;
	if (lstat(name, &s))
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: %o rdev %x\n", name, s.st_mode, S_ISCHR(s.st_mode) ? (int)s.st_rdev : 0);
}

static void names(const char *name, const char *wanted)
{
	char list[1024];
	DIR *directory = opendir(name);
	struct dirent *entry;
	strcpy(list, wanted);
	printf("%s:", name);
	for (char *word = strtok(list, " "); word; word = strtok(0, " ")) {
		int found = 0;
		for (rewinddir(directory); (entry = readdir(directory));)
			found |= !strcmp(entry->d_name, word);
		printf(" %s %d", word, found);
	}
	printf("\n");
	closedir(directory);
}

static void own(void)
{
	int size, state;
	char name[32], tail[2];
	contents("/proc/self/status");
	printf("status: pid %d ppid %d tgid %d threads %ld uid %d gid %d\n", field("\nPid:") == getpid(), field("\nPPid:") == getppid() || getppid() == 0,
		field("\nTgid:") == getpid(), field("Threads:"), field("\nUid:") == getuid(), field("\nGid:") == getgid());
	printf("name %.6s\n", strstr(text, "Name:") + 6);
	contents("/proc/self/stat");
	int pid, parent, group, session, fields = 0;
	sscanf(text, "%d (%31[^)]) %c %d %d %d", &pid, name, tail, &parent, &group, &session);
	for (char *c = text; *c; c++)
		fields += *c == ' ';
	printf("stat: %d %s %c %d %d %d, %d fields\n", pid == getpid(), name, tail[0], parent == getppid() || getppid() == 0, group == getpgrp(),
		session == getsid(0), fields + 1);
	size = contents("/proc/self/cmdline");
	printf("cmdline: ");
	for (int i = strlen(text) + 1; i < size; i++)
		putchar(text[i] ? text[i] : '|');
	printf("\n");
	contents("/proc/self/statm");
	state = 0;
	for (char *c = text; *c; c++)
		state += *c == ' ';
	printf("statm: %d\n", state);
	size = contents("/proc/self/auxv");
	long pair[2], pages = 0;
	for (int i = 0; i + (int)sizeof pair <= size; i += sizeof pair) {
		memcpy(pair, text + i, sizeof pair);
		if (pair[0] == 6)
			pages = pair[1];
	}
	printf("auxv: page %ld, ends %d\n", pages, size > 0 && !pair[0]);
	contents("/proc/self/maps");
	printf("maps: heap %d stack %d program %d\n", !!strstr(text, "[heap]"), !!strstr(text, "[stack]"), !!strstr(text, "/program"));
	contents("/proc/self/smaps");
	printf("smaps: %d %d\n", !!strstr(text, "\nRss: "), !!strstr(text, "\nVmFlags: rd "));
	contents("/proc/self/limits");
	printf("limits: %d\n", !!strstr(text, "\nMax open files "));
	size = contents("/proc/self/environ");
	printf("environ: %d\n", size > 0 && !!memmem(text, size, "PATH=", 5));
	contents("/proc/self/io");
	printf("io: %d\n", !!strstr(text, "rchar: "));
}

static void links(void)
{
	int ends[2], file = open("file", O_RDWR | O_CREAT, 0644), size;
	const char *list[] = {"self", "exe", "cwd", "root", "none"};
	for (int i = 1; i < 5; i++) {
		snprintf(path, sizeof path, "/proc/self/%s", list[i]);
		size = readlink(path, target, sizeof target - 1);
		target[size < 0 ? 0 : size] = 0;
		char *last = strrchr(target, '/');
		printf("%s -> %s\n", list[i], size < 0 ? strerror(errno) : i == 1 ? last : i == 3 ? target : "");
	}
	size = readlink("/proc/self", target, sizeof target - 1);
	printf("self -> %d\n", size > 0 && atoi(target) == getpid());
	size = readlink("/proc/thread-self", target, sizeof target - 1);
	target[size] = 0;
	printf("thread-self -> %s\n", strchr(target, '/') + 1 == strstr(target, "task") ? "task" : target);
	pipe(ends);
	snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
	size = readlink(path, target, sizeof target - 1);
	printf("pipe: %.6s\n", target);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	target[readlink(path, target, sizeof target - 1)] = 0;
	printf("file: %s\n", strrchr(target, '/'));
	write(file, "12345", 5);
	int again = open(path, O_RDONLY);
	printf("again: %d at %ld\n", (int)read(again, target, 10), (long)lseek(file, 0, SEEK_CUR));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", file);
	contents(path);
	printf("fdinfo: pos %ld flags %d\n", field("pos:"), !!(strtol(strstr(text, "flags:") + 6, 0, 8) & O_RDWR));
	unlink("file");
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	target[readlink(path, target, sizeof target - 1)] = 0;
	printf("deleted: %s\n", strrchr(target, '/'));
}

static void others(void)
{
	int ends[2], ready[2], status;
	char letter;
	pipe(ends), pipe(ready);
	pid_t child = fork();
	if (!child) {
		prctl(PR_SET_NAME, "a child");
		setpgid(0, 0);
		write(ready[1], "x", 1);
		read(ends[0], &letter, 1);
		_exit(0);
	}
	read(ready[0], &letter, 1);
	snprintf(path, sizeof path, "/proc/%d/status", child);
	do
		contents(path);
	while (!strstr(text, "State:\tS"));
	printf("child: ppid %d pid %d\n", field("\nPPid:") == getpid(), field("\nPid:") == child);
	printf("%.16s\n", text);
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	contents(path);
	int pid, parent, group;
	sscanf(text, "%d (%*[^)]) %*c %d %d", &pid, &parent, &group);
	printf("stat: %d %d %d\n", pid == child, parent == getpid(), group == child);
	snprintf(path, sizeof path, "/proc/%d/task/%d", child, child);
	printf("task: %d\n", access(path, F_OK));
	write(ends[1], "x", 1);
	siginfo_t info;
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	contents(path);
	printf("zombie: %c\n", strchr(text, ')')[2]);
	waitpid(child, &status, 0);
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	contents("/proc/99999999/stat");
	printf("gone: %d\n", access(path, F_OK));
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	own();
	int comm = open("/proc/self/comm", O_WRONLY);
	printf("comm: %d\n", (int)write(comm, "another name that is long", 25));
	contents("/proc/self/comm");
	printf("%s", text);
	links();
	others();
	contents("/proc/meminfo");
	printf("meminfo: %d %d\n", field("MemTotal:") > 0, field("MemAvailable:") > 0);
	contents("/proc/cpuinfo");
	printf("cpuinfo: %d %d\n", !!strstr(text, "\nflags\t\t: fpu "), !!strstr(text, "model name\t: "));
	contents("/proc/stat");
	printf("stat: %.5s %d\n", text, field("btime ") > 0);
	contents("/proc/loadavg");
	printf("loadavg: %d\n", !!strchr(text, '/'));
	contents("/proc/version");
	printf("version: %.14s\n", text);
	contents("/proc/mounts");
	printf("mounts: %d\n", !!strstr(text, " /proc proc "));
	contents("/proc/filesystems");
	printf("filesystems: %d\n", !!strstr(text, "nodev\tproc\n"));
	contents("/proc/sys/kernel/ostype");
	printf("ostype: %s", text);
	contents("/proc/sys/kernel/pid_max");
	printf("pid_max: %d\n", atoi(text) > 1000);
	int size = contents("/proc/sys/kernel/random/uuid");
	printf("uuid: %d %c\n", size, text[14]);
	names("/proc", "self stat meminfo cpuinfo sys uptime nothing");
	names("/proc/self", "status stat maps fd task exe nothing");
	names("/dev", "null zero full random urandom tty ptmx fd stdin stdout stderr nothing");
	const char *list[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/proc/self/status",
		"/proc/self/comm", "/proc/self/auxv", "/proc/self/environ", "/proc/self/fd", "/proc/self/exe", "/proc/meminfo", "/proc/none"};
	for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
		kind(list[i]);
	printf("write to status: %d %s\n", open("/proc/self/status", O_WRONLY) >= 0 && getuid(), "");
	size = write(open("/dev/full", O_WRONLY), "x", 1);
	printf("full: %d %s\n", size, strerror(errno));
	return 0;
}
