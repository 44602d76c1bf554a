/* Calls about the process and its files whose answers do not depend on the machine: results and errors are printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define T(call) do { errno = 0; long r_ = (long)(call); int e_ = errno; printf("%d: %s = %ld %s\n", __LINE__, #call, r_, r_ == -1 ? strerror(e_) : ""); } while (0)

static char text[256];

static long preadv2(int fd, const struct iovec *vector, int count, long offset, int flags)
{
	return syscall(SYS_preadv2, fd, vector, (long)count, offset, offset < 0 ? -1L : 0L, flags);
}

static long pwritev2(int fd, const struct iovec *vector, int count, long offset, int flags)
{
	return syscall(SYS_pwritev2, fd, vector, (long)count, offset, offset < 0 ? -1L : 0L, flags);
}

static void controls(void)
{
	int number = -1;
	T(prctl(PR_GET_DUMPABLE));
	T(prctl(PR_SET_DUMPABLE, 0));
	T(prctl(PR_GET_DUMPABLE));
	T(prctl(PR_SET_DUMPABLE, 5));
	T(prctl(PR_SET_PDEATHSIG, 12));
	T(prctl(PR_GET_PDEATHSIG, &number));
	printf("%d\n", number);
	T(prctl(PR_SET_PDEATHSIG, 1000));
	T(prctl(PR_SET_NAME, "a name that is too long"));
	T(prctl(PR_GET_NAME, text));
	printf("%s\n", text);
	T(prctl(PR_GET_KEEPCAPS));
	T(prctl(PR_SET_KEEPCAPS, 7));
	T(prctl(PR_GET_TIMING));
	T(prctl(PR_SET_TIMING, 1));
	T(prctl(PR_SET_TIMERSLACK, 1234));
	T(prctl(PR_GET_TIMERSLACK));
	T(prctl(PR_SET_TIMERSLACK, 0));
	T(prctl(PR_GET_TIMERSLACK));
	T(prctl(PR_SET_CHILD_SUBREAPER, 1));
	T(prctl(PR_GET_CHILD_SUBREAPER, &number));
	printf("%d\n", number);
	T(prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0));
	T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	T(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
	T(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	T(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	T(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
	T(prctl(12345, 0, 0, 0, 0));
	T(personality(0xffffffff));
	T(personality(ADDR_NO_RANDOMIZE));
	T(personality(0xffffffff));
}

static void scheduling(void)
{
	struct sched_param parameter = {0};
	cpu_set_t set;
	T(sched_getscheduler(0));
	T(syscall(SYS_sched_getscheduler, -1));
	T(syscall(SYS_sched_getscheduler, 99999999));
	T(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &parameter));
	T(syscall(SYS_sched_getscheduler, 0));
	T(syscall(SYS_sched_setscheduler, 0, 77, &parameter));
	parameter.sched_priority = 5;
	T(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameter));
	T(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 0));
	parameter.sched_priority = 0;
	T(syscall(SYS_sched_setscheduler, 0, SCHED_RR, &parameter));
	T(syscall(SYS_sched_getparam, 0, &parameter));
	T(syscall(SYS_sched_getparam, 0, 0));
	for (int policy = 0; policy < 7; policy++)
		printf("%d: %d %d\n", policy, sched_get_priority_min(policy), sched_get_priority_max(policy));
	CPU_ZERO(&set);
	T(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0);
	T(syscall(SYS_sched_getaffinity, 0, 1, &set));
	T(syscall(SYS_sched_setaffinity, 0, sizeof set, &set));
	CPU_ZERO(&set);
	T(syscall(SYS_sched_setaffinity, 0, sizeof set, &set));
	T(getpriority(PRIO_PROCESS, 0));
	T(getpriority(7, 0));
	T(getpriority(PRIO_PROCESS, 99999999));
	T(setpriority(PRIO_PROCESS, 0, 3));
	T(getpriority(PRIO_PROCESS, 0));
	T(nice(2));
	T(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3));
	T(syscall(SYS_ioprio_get, 1, 0));
	T(syscall(SYS_ioprio_set, 1, 0, 9 << 13));
	T(syscall(SYS_ioprio_get, 9, 0));
}

static void attributes(void)
{
	int file = open("x", O_RDWR | O_CREAT, 0644);
	if (setxattr("x", "user.one", "value", 5, 0) && errno == EOPNOTSUPP)
		return;
	T(setxattr("x", "user.one", "value", 5, XATTR_CREATE));
	T(setxattr("x", "user.two", "", 0, XATTR_REPLACE));
	T(fsetxattr(file, "user.two", "second", 6, 0));
	T(getxattr("x", "user.one", 0, 0));
	T(getxattr("x", "user.one", text, 2));
	T(getxattr("x", "user.one", text, sizeof text));
	printf("%.5s\n", text);
	T(fgetxattr(file, "user.none", text, sizeof text));
	T(getxattr("x", "wrong", text, sizeof text));
	T(getxattr("x", "", text, sizeof text));
	T(setxattr("x", "user.one", "v", 1, 99));
	T(setxattr("none", "user.one", "v", 1, 0));
	symlink("x", "l");
	T(lsetxattr("l", "user.one", "v", 1, 0));
	T(lgetxattr("l", "user.one", text, sizeof text));
	T(getxattr("l", "user.one", text, sizeof text));
	T(listxattr("x", 0, 0) >= 18);
	T(removexattr("x", "user.one"));
	T(fremovexattr(file, "user.one"));
	T(setxattr("x", "user.big", text, 70000, 0));
}

static void files(void)
{
	int file = open("data", O_RDWR | O_CREAT | O_TRUNC, 0644), other = open("other", O_RDWR | O_CREAT | O_TRUNC, 0644), ends[2];
	struct stat status;
	struct iovec vector = {"abcdef", 6}, in = {text, 6};
	long long from = 2, to = 1;
	pipe(ends);
	T(pwritev(file, &vector, 1, 0));
	T(preadv2(file, &in, 1, 1, 0));
	T(preadv2(file, &in, 1, -1, 0));
	T(preadv2(file, &in, 1, 0, 0x10000));
	T(pwritev2(file, &vector, 1, 0, 16));
	T(fstat(file, &status));
	printf("%ld\n", (long)status.st_size);
	T(pwritev2(file, &vector, 1, -1, 4));
	T(preadv(ends[0], &in, 1, 0));
	T(preadv(file, &in, 1, -5));
	T(syscall(SYS_copy_file_range, file, &from, other, &to, (size_t)4, 0));
	printf("%lld %lld\n", from, to);
	T(syscall(SYS_copy_file_range, file, &from, other, &to, (size_t)4, 7));
	T(syscall(SYS_copy_file_range, file, &from, ends[1], 0, (size_t)4, 0));
	from = 0, to = 2;
	T(syscall(SYS_copy_file_range, file, &from, file, &to, (size_t)4, 0));
	T(fallocate(file, 0, 0, 100));
	T(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 10000));
	fstat(file, &status);
	printf("%ld\n", (long)status.st_size);
	T(fallocate(file, 0, -1, 100));
	T(fallocate(file, 0, 0, 0));
	T(fallocate(file, 0x8000, 0, 10));
	T(fallocate(ends[1], 0, 0, 10));
	T(posix_fadvise(file, 0, 10, POSIX_FADV_WILLNEED));
	T(posix_fadvise(file, 0, 10, 99));
	T(posix_fadvise(ends[0], 0, 10, 0));
	T(readahead(file, 0, 100));
	T(readahead(ends[0], 0, 100));
	T(syscall(SYS_syncfs, file));
	T(syscall(SYS_syncfs, -1));
	T(syscall(SYS_renameat2, AT_FDCWD, "data", AT_FDCWD, "other", 1));
	T(syscall(SYS_renameat2, AT_FDCWD, "data", AT_FDCWD, "other", 2));
	stat("data", &status);
	printf("%ld\n", (long)status.st_size);
	T(syscall(SYS_renameat2, AT_FDCWD, "data", AT_FDCWD, "none", 2));
	T(syscall(SYS_renameat2, AT_FDCWD, "data", AT_FDCWD, "other", 3));
	T(syscall(SYS_renameat2, AT_FDCWD, "data", AT_FDCWD, "other", 64));
	T(syscall(SYS_close_range, 1000, 2000, 0));
	T(syscall(SYS_close_range, 2000, 1000, 0));
	T(syscall(SYS_close_range, ends[0], ends[1], 4));
	T(fcntl(ends[0], F_GETFD));
	int nameless = open(".", O_TMPFILE | O_RDWR, 0600);
	if (nameless >= 0) {
		T(write(nameless, "text", 4));
		fstat(nameless, &status);
		printf("links %d size %ld\n", (int)status.st_nlink, (long)status.st_size);
		snprintf(text, sizeof text, "/proc/self/fd/%d", nameless);
		T(linkat(AT_FDCWD, text, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
		T(access("named", F_OK));
	}
	T(open(".", O_TMPFILE | O_RDONLY, 0600));
	int path = open("data", O_PATH);
	T(read(path, text, 1));
	T(fchmod(path, 0600));
	T(fstat(path, &status));
	T(syscall(SYS_faccessat2, AT_FDCWD, "data", R_OK, AT_EACCESS));
	T(syscall(SYS_faccessat2, AT_FDCWD, "data", R_OK, 0x40));
	T(syscall(SYS_faccessat2, path, "", R_OK, AT_EMPTY_PATH));
	T(syscall(SYS_faccessat2, AT_FDCWD, "data", 99, 0));
	snprintf(text, sizeof text, "/proc/self/fd/%d", ends[0]);
	T(stat(text, &status));
	printf("%o\n", status.st_mode & S_IFMT);
	T(lstat(text, &status));
	printf("%o\n", status.st_mode & S_IFMT);
	T(chmod(text, 0600));
}

static void open_with_rules(void)
{
	struct { unsigned long long flags, mode, resolve, more; } how = {O_RDONLY};
	mkdir("d", 0755), symlink("../data", "d/up"), symlink("inside", "d/in"), symlink("/", "d/root");
	close(open("d/inside", O_WRONLY | O_CREAT, 0644));
	int d = open("d", O_RDONLY | O_DIRECTORY);
#define OPEN(name) T(syscall(SYS_openat2, d, name, &how, 24L) >= 0 ? 0 : -1)
	OPEN("inside");
	OPEN("up");
	OPEN("none");
	how.resolve = 8;
	OPEN("inside");
	OPEN("in");
	OPEN("up");
	OPEN("../data");
	OPEN("/etc");
	OPEN("root");
	how.resolve = 4;
	OPEN("inside");
	OPEN("in");
	how.resolve = 16;
	OPEN("/inside");
	OPEN("../inside");
	OPEN("root/inside");
	how.resolve = 24;
	OPEN("inside");
	how.resolve = 0, how.mode = 0644;
	OPEN("inside");
	how.mode = 0, how.flags = 1ull << 40;
	OPEN("inside");
	how.flags = 0;
	T(syscall(SYS_openat2, d, "inside", &how, 8L));
	T(syscall(SYS_openat2, d, "inside", &how, 32L) >= 0 ? 0 : -1);
	how.more = 1;
	T(syscall(SYS_openat2, d, "inside", &how, 32L));
}

static void others(void)
{
	struct rlimit64 { unsigned long long soft, hard; } limit;
	T(syscall(SYS_getrandom, text, 10L, 0));
	T(syscall(SYS_getrandom, text, 10L, 0x100));
	T(syscall(SYS_getrandom, (char *)8, 10L, 0));
	T(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &limit));
	T(syscall(SYS_prlimit64, 0, 99, 0, &limit));
	T(syscall(SYS_prlimit64, 99999999, RLIMIT_NOFILE, 0, &limit));
	limit.soft = 10, limit.hard = 5;
	T(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, 0));
	T(syscall(SYS_membarrier, 0, 0, 0) > 0);
	T(syscall(SYS_membarrier, 12345, 0, 0));
	int one = open("data", O_RDONLY), two = dup(one), three = open("data", O_RDONLY);
	T(syscall(SYS_kcmp, getpid(), getpid(), 0, one, two));
	T(syscall(SYS_kcmp, getpid(), getpid(), 0, one, three) > 0);
	T(syscall(SYS_kcmp, getpid(), getpid(), 99, one, three));
	T(syscall(SYS_unshare, 0));
	T(syscall(SYS_unshare, 0x400));
	T(syscall(SYS_reboot, 1, 2, 3, 0) == -1);
	T(getsid(99999999));
	T(getpgid(99999999));
	T(setpgid(99999999, 0));
	T(setpgid(0, -5));
	T(kill(99999999, 0));
	T(kill(getpid(), 99));
	T(waitpid(99999999, 0, 0));
	T(waitpid(-1, 0, 0x4000));
	T(waitid(99, 0, 0, WEXITED));
	T(getcwd(text, 1) ? 0 : -1);
	T(fcntl(-1, F_GETFD));
	T(fcntl(0, 12345));
	T(umask(0777) == 022);
	T(umask(0));
}

int main(void)
{
	setvbuf(stdout, 0, _IONBF, 0);
	umask(022);
	controls();
	scheduling();
	attributes();
	files();
	open_with_rules();
	others();
	return 0;
}
