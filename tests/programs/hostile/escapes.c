/* Ways out: escapes OUTSIDE PID
 *
 * Each attempt, in a process of its own, tries to read OUTSIDE/secret, to change something in OUTSIDE, or to reach the process PID of the
 * host. What an attempt could read goes to standard output behind its name, so that the test finds the secret there if one succeeds.
 * The current directory can be written.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <unistd.h>

static char outside[4096], secret[4200], other[4200];
static int bystander;

static const char *in(const char *name)
{
	static char path[4400];
	snprintf(path, sizeof path, "%s/%s", outside, name);
	return path;
}

/* Everything that the descriptor gives, on standard output. */
static void show(int fd)
{
	char data[512];
	ssize_t size = fd < 0 ? -1 : read(fd, data, sizeof data);
	if (size > 0)
		fwrite(data, 1, size, stdout);
}

static void show_path(const char *path) { show(open(path, O_RDONLY | O_NONBLOCK)); }

static void damage(int fd)
{
	write(fd, "damaged", 7);
	pwrite(fd, "damaged", 7, 0);
	ftruncate(fd, 1);
	fchmod(fd, 0777);
	futimens(fd, 0);
}

/* -- names ------------------------------------------------------------------------------------------------------------ */

static void plain(void) { show_path(secret); damage(open(secret, O_RDWR)); damage(open(secret, O_WRONLY | O_TRUNC)); }
static void create(void) { damage(open(in("new"), O_CREAT | O_RDWR, 0600)); creat(in("new"), 0666); }
static void rises(void)
{
	char path[8192] = "";
	for (int n = 0; n < 60; n++)
		strcat(path, "../");
	strcat(path, secret + 1);
	show_path(path);
}
static void link_out(void) { symlink(secret, "out"); show_path("out"); damage(open("out", O_RDWR)); truncate("out", 0); }
static void link_directory(void)
{
	symlink(outside, "way");
	show_path("way/secret");
	mkdir("way/new", 0700);
	unlink("way/secret");
	rename("way/secret", "taken");
	show_path("taken");
	chdir("way") || (show_path("secret"), unlink("secret"));
}
static void link_chain(void)
{
	symlink("/", "one");
	symlink("one/..", "two");
	char path[4300];
	snprintf(path, sizeof path, "two%s", secret);
	show_path(path);
	symlink("/proc/self/root", "three");
	snprintf(path, sizeof path, "three%s", secret);
	show_path(path);
}
static void hard_link(void)
{
	link(secret, "hard");
	linkat(AT_FDCWD, secret, AT_FDCWD, "hard", AT_SYMLINK_FOLLOW);
	linkat(open(secret, O_PATH), "", AT_FDCWD, "hard", AT_EMPTY_PATH);
	show_path("hard");
	link("own", in("new"));
}
static void rename_out(void)
{
	close(creat("mine", 0600));
	rename("mine", in("mine"));
	rename("mine", secret);
	syscall(SYS_renameat2, AT_FDCWD, "mine", AT_FDCWD, secret, 2); /* RENAME_EXCHANGE */
	show_path("mine");
	rename(outside, "stolen");
	show_path("stolen/secret");
}
static void remove_all(void) { unlink(secret); rmdir(in("empty")); unlinkat(AT_FDCWD, in("empty"), AT_REMOVEDIR); remove(secret); }
static void attributes(void)
{
	chmod(secret, 0777);
	chown(secret, 0, 0);
	lchown(secret, 1, 1);
	utimensat(AT_FDCWD, secret, 0, 0);
	truncate(secret, 3);
	setxattr(secret, "user.mark", "x", 1, 0);
	lsetxattr(outside, "user.mark", "x", 1, 0);
	fchmodat(AT_FDCWD, outside, 0777, 0);
	char value[64];
	ssize_t size = getxattr(secret, "user.kept", value, sizeof value);
	if (size > 0)
		fwrite(value, 1, size, stdout);
}
static void special_files(void) { mknod(in("fifo"), S_IFIFO | 0600, 0); mknod("disk", S_IFBLK | 0600, 0x0800); show_path("disk"); mknod("mem", S_IFCHR | 0600, 0x0101); show_path("mem"); }
static void list(void)
{
	DIR *directory = opendir(outside);
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		puts(entry->d_name);
	char name[512];
	ssize_t size = readlink(in("link"), name, sizeof name);
	if (size > 0)
		fwrite(name, 1, size, stdout);
}
static void openat2_(void)
{
	uint64_t how[3] = {O_RDONLY, 0, 0};
	show(syscall(437, AT_FDCWD, secret, how, sizeof how));
	how[0] = O_CREAT | O_WRONLY, how[1] = 0600;
	damage(syscall(437, AT_FDCWD, in("new"), how, sizeof how));
}
static void temporary(void)
{
	int fd = open(outside, O_TMPFILE | O_RDWR, 0600);
	damage(fd);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	linkat(AT_FDCWD, path, AT_FDCWD, in("new"), AT_SYMLINK_FOLLOW);
	linkat(fd, "", AT_FDCWD, in("new"), AT_EMPTY_PATH);
}
static void handles(void)
{
	struct { struct file_handle head; char room[128]; } handle = {{128, 0}, {0}};
	int mount = 0;
	name_to_handle_at(AT_FDCWD, ".", &handle.head, &mount, 0);
	int fd = open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY);
	handle.head.handle_bytes = 8, handle.head.handle_type = 1;
	for (int inode = 1; inode < 20; inode++) {
		memcpy(handle.head.f_handle, &inode, 4);
		fd = open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			show(openat(fd, secret + 1, O_RDONLY));
	}
}
static void change_root(void)
{
	mkdir("jail", 0700);
	int top = open("/", O_RDONLY | O_DIRECTORY), here = open(".", O_RDONLY | O_DIRECTORY);
	chroot("jail");
	fchdir(here);
	for (int n = 0; n < 60; n++)
		chdir("..");
	chroot(".");
	show_path(secret);
	show(openat(top, secret + 1, O_RDONLY));
	syscall(SYS_pivot_root, ".", "jail");
	show_path(secret);
}
static void mounts(void)
{
	mkdir("mnt", 0700);
	mount(outside, "mnt", 0, MS_BIND, 0);
	show_path("mnt/secret");
	mount("proc", "mnt", "proc", 0, 0);
	show_path("mnt/1/environ");
	umount2("/", MNT_DETACH);
	syscall(428, AT_FDCWD, outside, 1); /* open_tree */
	syscall(430, "ext4", 0);	    /* fsopen */
	syscall(SYS_unshare, 0x10020000);   /* CLONE_NEWUSER | CLONE_NEWNS */
	mount(outside, "mnt", 0, MS_BIND, 0);
	show_path("mnt/secret");
}

/* -- directories that move while they are walked ------------------------------------------------------------------------ */

static void moved_directory(void)
{
	mkdir("a", 0700), mkdir("a/b", 0700), mkdir("a/b/c", 0700), mkdir("d", 0700);
	int deep = open("a/b/c", O_RDONLY | O_DIRECTORY);
	rename("a/b/c", "d/c");
	char path[8192] = "";
	for (int n = 0; n < 60; n++)
		strcat(path, "../");
	strcat(path, secret + 1);
	show(openat(deep, path, O_RDONLY));
	rmdir("d/c");
	show(openat(deep, path, O_RDONLY));
	fchdir(deep);
	show_path(path);
}
static void *swap(void *stop)
{
	for (int n = 0; n < 200 && !*(volatile int *)stop; n++) {
		unlink("turn");
		symlink(outside, "turn");
		unlink("turn");
		mkdir("turn", 0700);
		rmdir("turn");
	}
	return 0;
}
static void race(void)
{
	int stop = 0;
	pid_t swapper = fork();
	if (!swapper) {
		swap(&stop);
		_exit(0);
	}
	for (int n = 0; n < 200; n++) {
		show_path("turn/secret");
		damage(open("turn/new", O_CREAT | O_RDWR, 0600));
		unlink("turn/secret");
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, 0, 0);
}
static void deep(void)
{
	for (int n = 0; n < 300; n++)
		if (mkdir("deeper", 0700) || chdir("deeper"))
			break;
	for (int n = 0; n < 400; n++)
		chdir("..");
	show_path(secret + 1);
	show_path(secret);
}

/* -- /proc, /dev, descriptors -------------------------------------------------------------------------------------------- */

static void proc_names(void)
{
	static const char *const roots[] = {"/proc/self/root", "/proc/1/root", "/proc/self/cwd/../../../../../..", "/proc/thread-self/root",
		"/proc/self/task/1000/root", "/proc/self/fd/0/../../../../..", "/dev/fd/../..", "/proc/self/exe/../../../../.."};
	char path[4400];
	for (unsigned n = 0; n < sizeof roots / sizeof *roots; n++) {
		snprintf(path, sizeof path, "%s%s", roots[n], secret);
		show_path(path);
		snprintf(path, sizeof path, "/proc/%d/%s", bystander, n % 2 ? "environ" : "mem");
		show_path(path);
	}
}
static void own_memory(void)
{
	int fd = open("/proc/self/mem", O_RDWR);
	pwrite(fd, "x", 1, 0x400000);
	uint64_t where[] = {0x555555554000, 0x7f0000000000, 0x7ffff7dd0000};
	for (int n = 0; n < 3; n++)
		pread(fd, where, 8, where[n]);
}
static void proc_writes(void)
{
	static const char *const names[] = {"/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/sys/kernel/core_pattern",
		"/sys/power/state", "/proc/self/uid_map", "/proc/self/attr/current", "/sys/kernel/uevent_helper"};
	for (unsigned n = 0; n < sizeof names / sizeof *names; n++)
		damage(open(names[n], O_WRONLY));
}
static void devices(void)
{
	static const char *const names[] = {"/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/loop-control", "/dev/fuse", "/dev/kvm", "/dev/port", "/dev/shm/../../etc/passwd"};
	for (unsigned n = 0; n < sizeof names / sizeof *names; n++)
		show_path(names[n]), damage(open(names[n], O_RDWR | O_NONBLOCK));
}
static void descriptors(void)
{
	for (int fd = 3; fd < 300; fd++) {
		show(openat(fd, secret + 1, O_RDONLY));
		show(openat(fd, secret, O_RDONLY));
		show(openat(fd, "../../../../../../etc/passwd", O_RDONLY));
		fchdir(fd) || (show_path(secret + 1), 0);
		fcntl(fd, F_SETFL, 0);
	}
}
static void reopen(void)
{
	int fd = open(".", O_PATH);
	char path[4400];
	snprintf(path, sizeof path, "/proc/self/fd/%d/../../../../../../../../%s", fd, secret);
	show_path(path);
	fd = open("/proc/self/exe", O_RDONLY);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	damage(open(path, O_RDWR));
	damage(open(path, O_WRONLY | O_TRUNC));
	damage(open("/proc/self/exe", O_RDWR));
}
static void standard_files(void)
{
	for (int fd = 0; fd < 3; fd++) {
		fchown(fd, 1, 1);
		flock(fd, LOCK_EX | LOCK_NB);
		ioctl(fd, 0x5412, "x"); /* TIOCSTI */
		ioctl(fd, 0x541c, "\1");
		fcntl(fd, F_SETOWN, bystander);
		fcntl(fd, F_SETSIG, SIGKILL);
		fcntl(fd, F_SETFL, O_ASYNC);
	}
}

/* -- processes ------------------------------------------------------------------------------------------------------------ */

static void kill_bystander(void) { for (int n = 1; n < 32; n++) kill(bystander, n), syscall(SYS_tkill, bystander, n), syscall(SYS_tgkill, bystander, bystander, n); }
static void kill_group(void) { kill(-bystander, SIGKILL); killpg(bystander, SIGKILL); setpgid(0, bystander); kill(-getppid(), 0); }
static void kill_init(void) { kill(1, SIGKILL); kill(getpid() + 1, SIGKILL); for (int n = 2; n < 900; n++) kill(n, SIGKILL); }
static void by_descriptor(void)
{
	int fd = syscall(434, bystander, 0);
	syscall(424, fd, SIGKILL, 0, 0);
	show(syscall(438, fd, 0, 0));
	siginfo_t info = {.si_signo = SIGKILL, .si_code = SI_QUEUE};
	syscall(SYS_rt_sigqueueinfo, bystander, SIGKILL, &info);
}
static void trace(void)
{
	ptrace(PTRACE_ATTACH, bystander, 0, 0);
	ptrace(0x4206, bystander, 0, 0); /* PTRACE_SEIZE */
	ptrace(PTRACE_POKEDATA, bystander, (void *)0x400000, (void *)1);
}
static void foreign_memory(void)
{
	char data[64];
	struct iovec mine = {data, sizeof data}, theirs = {(void *)0x400000, sizeof data};
	if (process_vm_readv(bystander, &mine, 1, &theirs, 1, 0) > 0)
		puts("secret of another process");
	process_vm_writev(bystander, &mine, 1, &theirs, 1, 0);
	syscall(440, syscall(434, bystander, 0), &theirs, 1, 20, 0);
}
static void their_limits(void)
{
	struct rlimit none = {0, 0};
	prlimit(bystander, RLIMIT_CPU, &none, 0);
	prlimit(bystander, RLIMIT_AS, &none, 0);
	setpriority(PRIO_PROCESS, bystander, 19);
	setpriority(PRIO_USER, 0, 19);
	unsigned long mask = 1;
	syscall(SYS_sched_setaffinity, bystander, sizeof mask, &mask);
	syscall(SYS_sched_setscheduler, bystander, 5, &mask);
	syscall(SYS_ioprio_set, 1, bystander, 7);
	syscall(SYS_migrate_pages, bystander, 1, &mask, &mask);
	setsid();
}
static void execute(void)
{
	char *words[] = {"sh", "-c", "cat secret", 0}, *none[] = {0};
	chdir(outside);
	execve("/bin/sh", words, none);
	execve("/usr/bin/env", words, none);
	execve(in("program"), words, none);
	int fd = syscall(SYS_memfd_create, "x", 0);
	write(fd, "#!/bin/cat /etc/passwd\n", 23);
	syscall(SYS_execveat, fd, "", words, none, AT_EMPTY_PATH);
}
static void script(void)
{
	int fd = open("script", O_CREAT | O_WRONLY, 0755);
	dprintf(fd, "#!/bin/cat %s\n", secret);
	close(fd);
	char *words[] = {"script", 0};
	execve("script", words, words + 1);
}
static void own_interpreter(void)
{
	int from = open("/proc/self/exe", O_RDONLY), to = open("copy", O_CREAT | O_RDWR, 0755);
	while (sendfile(to, from, 0, 1 << 20) > 0)
		;
	char *words[] = {"copy", 0};
	lseek(to, 0x3e, SEEK_SET);
	write(to, "\377\377", 2);
	close(to);
	execve("copy", words, words + 1);
}
static void clones(void)
{
	static const unsigned long flags[] = {0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00000080};
	for (unsigned n = 0; n < 8; n++) {
		long pid = syscall(SYS_clone, flags[n] | SIGCHLD, 0, 0, 0, 0);
		if (!pid) {
			kill(bystander, SIGKILL);
			show_path(secret);
			fflush(stdout);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, 0, 0);
		syscall(SYS_unshare, flags[n]);
	}
}

/* -- memory, sockets and the rest of the kernel --------------------------------------------------------------------------- */

static void map_outside(void)
{
	char *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(secret, O_RDWR), 0);
	if (at != MAP_FAILED)
		fwrite(at, 1, 6, stdout), at[0] = 'x';
	at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open("/proc/self/exe", O_RDONLY), 0);
	if (at != MAP_FAILED)
		at[0] = 'x';
}
static void upgrade_mapping(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *at = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (!mprotect(at, 4096, PROT_READ | PROT_WRITE))
		at[0] = 'x';
}
static void high_addresses(void)
{
	static const uint64_t places[] = {0x7f0000000000, 0x7ffe00000000, 0x600000000000, 0xffff800000000000, 0x500000000000};
	for (int n = 0; n < 5; n++) {
		void *at = mmap((void *)(uintptr_t)places[n], 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (at != MAP_FAILED)
			memset(at, 0x41, 1 << 20), munmap(at, 1 << 20);
		munmap((void *)(uintptr_t)places[n], 1ul << 30);
		mprotect((void *)(uintptr_t)places[n], 1 << 20, 0);
		madvise((void *)(uintptr_t)places[n], 1 << 20, MADV_DONTNEED);
	}
}
static void moving_data(void)
{
	int in_ = open(secret, O_RDONLY), out = open("own", O_CREAT | O_RDWR, 0600), ends[2];
	pipe(ends);
	copy_file_range(in_, 0, out, 0, 100, 0);
	sendfile(out, in_, 0, 100);
	splice(in_, 0, ends[1], 0, 100, SPLICE_F_NONBLOCK);
	show_path("own");
	ioctl(out, 0x40049409, in_); /* FICLONE */
	show_path("own");
}
static void unix_sockets(void)
{
	struct sockaddr_un there = {.sun_family = AF_UNIX};
	strncpy(there.sun_path, other, sizeof there.sun_path - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (!connect(fd, (void *)&there, sizeof there))
		send(fd, "damaged", 7, MSG_NOSIGNAL), show(fd);
	memset(there.sun_path, 0, sizeof there.sun_path);
	memcpy(there.sun_path + 1, "/tmp/.X11-unix/X0", 17);
	connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&there, 20);
	strncpy(there.sun_path, in("socket.new"), sizeof there.sun_path - 1);
	bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&there, sizeof there);
}
static void network(void)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(22), .sin_addr = {htonl(0x7f000001)}};
	for (int kind = 1; kind < 6; kind++) {
		int fd = socket(AF_INET, kind, 0);
		if (!connect(fd, (void *)&there, sizeof there) && kind == SOCK_STREAM)
			puts("secret port");
		socket(AF_NETLINK, kind, 0), socket(AF_PACKET, kind, 0), socket(40, kind, 0), socket(38, kind, 0);
	}
}
static void passed_descriptors(void)
{
	int pair[2], fds[8];
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	char room[CMSG_SPACE(sizeof fds)] = "", byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof fds);
	for (int from = 0; from < 64; from += 8) {
		for (int n = 0; n < 8; n++)
			fds[n] = from + n;
		memcpy(CMSG_DATA(head), fds, sizeof fds);
		sendmsg(pair[0], &message, MSG_DONTWAIT);
	}
	message.msg_controllen = sizeof room;
	recvmsg(pair[1], &message, MSG_DONTWAIT);
	for (int fd = 3; fd < 40; fd++)
		show(openat(fd, secret + 1, O_RDONLY));
}
static void shared_objects(void)
{
	for (int key = 0; key < 4; key++) {
		int id = syscall(SYS_shmget, key, 4096, 0666);
		void *at = (void *)syscall(SYS_shmat, id, 0, 0);
		if ((long)at > 0)
			memset(at, 0, 64);
		syscall(SYS_shmctl, id, 0, 0);
	}
	int fd = syscall(SYS_mq_open, "secret", O_RDWR, 0, 0);
	damage(fd);
}
static void keys(void)
{
	char data[64];
	syscall(SYS_keyctl, 11, -3, data, sizeof data);
	syscall(SYS_request_key, "user", "secret", 0, -3);
	syscall(SYS_add_key, "user", "mark", "x", 1, -3);
}
static void kernel_doors(void)
{
	char room[256] = "";
	syscall(321, 0, room, sizeof room);   /* bpf */
	syscall(298, room, 0, -1, -1, 0);     /* perf_event_open */
	syscall(323, 0);		      /* userfaultfd */
	syscall(425, 8, room);		      /* io_uring_setup */
	syscall(SYS_init_module, room, sizeof room, "");
	syscall(SYS_kexec_load, 0, 0, 0, 0);
	syscall(SYS_reboot, 0xfee1dead, 672274793, 0x1234567, 0);
	syscall(SYS_swapoff, "/");
	syscall(SYS_acct, "own");
	sethostname("damaged", 7);
	settimeofday((void *)room, 0);
	syscall(SYS_syslog, 3, room, sizeof room);
	syscall(SYS_quotactl, 0, "/", 0, room);
	fwrite(room, 1, sizeof room, stdout);
}
static void watch(void)
{
	int fd = inotify_init1(IN_NONBLOCK);
	if (inotify_add_watch(fd, outside, IN_ALL_EVENTS) >= 0)
		puts("secret events");
	syscall(SYS_fanotify_init, 0, 0);
}
static void leases(void)
{
	int fd = open("own", O_CREAT | O_RDWR, 0600);
	fcntl(fd, F_SETLEASE, F_WRLCK);
	fcntl(fd, F_NOTIFY, 0x3f);
	ioctl(fd, 0x5452, 1); /* FIOASYNC */
	int owner[2] = {1, bystander};
	fcntl(fd, F_SETOWN_EX, owner);
}
static void privileges(void)
{
	setuid(0), setgid(0), setreuid(0, 0), setresuid(0, 0, 0), setgroups(0, 0);
	uint32_t head[2] = {0x20080522, 0}, data[6] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
	syscall(SYS_capset, head, data);
	prctl(PR_SET_DUMPABLE, 1), prctl(PR_SET_KEEPCAPS, 1), prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_SET_SECCOMP, 0);
	show_path(secret);
	int fd = open("set-id", O_CREAT | O_RDWR, 06777);
	fchmod(fd, 06777);
	chmod("set-id", 04777);
}
static void much(void)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	for (int n = 0; n < 16; n++)
		setrlimit(n, &all);
	int fd = open("large", O_CREAT | O_RDWR, 0600);
	ftruncate(fd, 1ll << 60);
	fallocate(fd, 0, 0, 1ll << 50);
	pwrite(fd, "x", 1, 1ll << 60);
	unlink("large");
}

static const struct { const char *name; void (*attempt)(void); } ATTEMPTS[] = {
#define A(name) {#name, name}
	A(plain), A(create), A(rises), A(link_out), A(link_directory), A(link_chain), A(hard_link), A(rename_out), A(remove_all), A(attributes),
	A(special_files), A(list), A(openat2_), A(temporary), A(handles), A(change_root), A(mounts), A(moved_directory), A(race), A(deep),
	A(proc_names), A(own_memory), A(proc_writes), A(devices), A(descriptors), A(reopen), A(standard_files), A(kill_bystander), A(kill_group),
	A(kill_init), A(by_descriptor), A(trace), A(foreign_memory), A(their_limits), A(execute), A(script), A(own_interpreter), A(clones),
	A(map_outside), A(upgrade_mapping), A(high_addresses), A(moving_data), A(unix_sockets), A(network), A(passed_descriptors), A(shared_objects),
	A(keys), A(kernel_doors), A(watch), A(leases), A(privileges), A(much),
};

int main(int count, char **words)
{
	if (count < 3)
		return 2;
	snprintf(outside, sizeof outside, "%s", words[1]);
	snprintf(secret, sizeof secret, "%s/secret", outside);
	snprintf(other, sizeof other, "%s/socket", outside);
	bystander = atoi(words[2]);
	for (unsigned n = 0; n < sizeof ATTEMPTS / sizeof *ATTEMPTS; n++) {
		printf("%s: ", ATTEMPTS[n].name);
		fflush(stdout);
		pid_t child = fork();
		if (!child) {
			char folder[32];
			snprintf(folder, sizeof folder, "room%u", n);
			mkdir(folder, 0700);
			chdir(folder);
			alarm(10);
			ATTEMPTS[n].attempt();
			fflush(stdout);
			_exit(0);
		}
		int status = -1;
		waitpid(child, &status, 0);
		printf("\n");
	}
	puts("the end");
	return 0;
}
