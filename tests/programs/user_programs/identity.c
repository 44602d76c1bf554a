/* Users, groups, capabilities and what they allow: as root, and as nobody after that; run natively by whoever runs the tests. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define T(call) do { errno = 0; long r_ = (long)(call); int e_ = errno; printf("%d: %s = %ld %s\n", __LINE__, #call, r_, r_ == -1 ? strerror(e_) : ""); } while (0)

static void ids(void)
{
	uid_t r, e, s;
	gid_t a, b, c;
	getresuid(&r, &e, &s), getresgid(&a, &b, &c);
	printf("uid %d %d %d gid %d %d %d\n", r, e, s, a, b, c);
}

static void show(const char *name)
{
	struct stat s;
	if (lstat(name, &s))
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: %o %d %d\n", name, s.st_mode, s.st_uid, s.st_gid);
}

static void capabilities(void)
{
	unsigned header[2] = {0x20080522, 0}, data[6];
	T(syscall(SYS_capget, header, data));
	printf("effective %d permitted %d\n", !!data[0], !!data[1]);
	data[0] = data[1] = data[2] = data[3] = data[4] = data[5] = 0;
	T(syscall(SYS_capset, header, data));
	data[0] = data[1] = 1;
	T(syscall(SYS_capset, header, data));
	header[0] = 1;
	T(syscall(SYS_capget, header, 0));
	printf("%x\n", header[0]);
	T(syscall(SYS_capget, header, data));
	header[1] = -1;
	T(syscall(SYS_capget, header, data));
	T(prctl(PR_CAPBSET_READ, 0));
	T(prctl(PR_CAPBSET_READ, 1000));
}

static void as_user(void)
{
	gid_t groups[4] = {0};
	T(setgroups(0, 0));
	T(setresgid(77, 77, 77));
	T(setresuid(55, 55, 55));
	ids();
	T(setuid(0));
	T(seteuid(0));
	T(setreuid(55, 55));
	T(setresuid(-1, 99, -1));
	T(setgid(1));
	T(setgroups(1, groups));
	T(getgroups(4, groups));
	T(open("private", O_RDONLY));
	T(open("private", O_WRONLY));
	T(access("private", R_OK));
	T(access("shared", R_OK));
	T(access("shared", W_OK));
	T(open("shared", O_RDONLY) >= 0);
	T(open("new", O_WRONLY | O_CREAT, 0600));
	T(unlink("shared"));
	T(chmod("shared", 0777));
	T(chown("shared", 55, 55));
	T(mkdir("open/own", 02755));
	show("open/own");
	T(close(open("open/file", O_WRONLY | O_CREAT, 0644)));
	show("open/file");
	T(chown("open/file", 55, -1));
	T(chown("open/file", -1, 77));
	T(chown("open/file", -1, 1234));
	T(chown("open/file", 0, -1));
	T(chmod("open/file", 0600));
	T(unlink("sticky/root"));
	T(close(open("sticky/mine", O_WRONLY | O_CREAT, 0644)));
	T(unlink("sticky/mine"));
	T(chdir("closed"));
	T(access("closed/x", F_OK));
	T(open("closed", O_RDONLY | O_DIRECTORY));
	T(nice(-5));
	T(setpriority(PRIO_PROCESS, 0, -1));
	T(kill(1, 0));
	T(kill(getppid(), 0));
	T(chroot("open"));
	T(sethostname("x", 1));
	capabilities();
	fflush(stdout);
	_exit(0);
}

static void file_ids(void)
{
	T(setfsuid(-1) == (int)geteuid());
	T(setfsuid(44) == (int)geteuid());
	T(setfsuid(-1));
	T(close(open("by44", O_WRONLY | O_CREAT, 0644)));
	show("by44");
	setfsuid(0);
	T(setfsgid(-1) == (int)getegid());
}

int main(void)
{
	gid_t groups[] = {5, 3, 9}, found[8] = {0};
	int status;
	setvbuf(stdout, 0, _IONBF, 0);
	umask(022);
	ids();
	if (getuid()) {  /* what an ordinary user may do */
		T(setuid(getuid()));
		T(setuid(getuid() + 1));
		T(setresuid(-1, -1, 0));
		T(setgroups(1, groups));
		capabilities();
		return 0;
	}
	chmod(".", 0755);
	mkdir("closed", 0700), mkdir("open", 0777), chmod("open", 0777), mkdir("sticky", 01777), chmod("sticky", 01777);
	close(open("private", O_WRONLY | O_CREAT, 0600)), close(open("shared", O_WRONLY | O_CREAT, 0644));
	close(open("sticky/root", O_WRONLY | O_CREAT, 0644)), close(open("closed/x", O_WRONLY | O_CREAT, 0644));
	T(setgroups(3, groups));
	T(getgroups(8, found));
	printf("%d %d %d\n", found[0], found[1], found[2]);
	T(getgroups(2, found));
	T(setgroups(70000, groups));
	T(chown("private", 11, 22));
	show("private");
	T(chown("private", -1, 33));
	show("private");
	T(chmod("private", 06755));
	show("private");
	T(chown("private", 0, 0));
	show("private");
	T(lchown("none", 1, 1));
	T(chmod("private", 0600));
	T(chown("open", -1, 66));
	T(chmod("open", 02777));
	T(mkdir("open/below", 0755));
	show("open/below");
	T(mkfifo("fifo", 0644));
	show("fifo");
	T(symlink("private", "link"));
	T(lchown("link", 7, 8));
	show("link");
	file_ids();
	if (!fork())
		as_user();
	wait(&status);
	if (!fork()) {
		T(seteuid(55));
		ids();
		T(access("private", R_OK));
		T(faccessat(AT_FDCWD, "private", R_OK, AT_EACCESS));
		T(open("private", O_RDONLY));
		T(seteuid(0));
		T(open("private", O_RDONLY) >= 0);
		T(prctl(PR_SET_KEEPCAPS, 1));
		T(setuid(55));
		ids();
		unsigned header[2] = {0x20080522, 0}, data[6];
		syscall(SYS_capget, header, data);
		printf("kept: effective %d permitted %d\n", !!data[0], !!data[1]);
		_exit(0);
	}
	wait(&status);
	if (!fork()) {
		T(chroot("open"));
		T(access("/below", F_OK));
		T(access("/../below", F_OK));
		T(access("/private", F_OK));
		T(chdir("/"));
		T(access("../../below", F_OK));
		char here[64];
		printf("%s\n", getcwd(here, sizeof here));
		_exit(0);
	}
	wait(&status);
	T(unlink("private"));
	T(close(open("again", O_WRONLY | O_CREAT, 0644)));
	show("again");
	return 0;
}
