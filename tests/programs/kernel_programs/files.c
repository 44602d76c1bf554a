/* Files: every call's result and errno is printed; native and emulated output must be the same. Runs in an empty directory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utime.h>

#define T(call) do { errno = 0; long res_ = (long)(call); printf("%d: %s = %ld", __LINE__, #call, res_); \
    if (res_ == -1) printf(" %s", strerror(errno)); printf("\n"); } while (0)

static char buf[8192];

static void show(const char *name)
{
    struct stat s;
    if (lstat(name, &s)) { printf("%s: %s\n", name, strerror(errno)); return; }
    printf("%s: mode %o size %ld links %d times %ld.%09ld %ld.%09ld\n", name, s.st_mode,
        S_ISDIR(s.st_mode) ? 0L : (long)s.st_size, (int)s.st_nlink * !S_ISDIR(s.st_mode),
        s.st_atim.tv_sec < 2000000 ? (long)s.st_atim.tv_sec : 0, s.st_atim.tv_sec < 2000000 ? s.st_atim.tv_nsec : 0,
        s.st_mtim.tv_sec < 2000000 ? (long)s.st_mtim.tv_sec : 0, s.st_mtim.tv_sec < 2000000 ? s.st_mtim.tv_nsec : 0);
}

int main(void)
{
    setvbuf(stdout, 0, _IONBF, 0);
    umask(022);
    int fd, fd2;
    /* opening */
    T(open("none", O_RDONLY));
    T(fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    T(open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    T(open("a/b", O_RDONLY));
    T(open("a", O_RDONLY | O_DIRECTORY));
    T(open("", O_RDONLY));
    T(open(".", O_WRONLY));
    T(open(".", O_RDONLY | O_CREAT, 0666));
    T(open("b/", O_WRONLY | O_CREAT, 0666));
    T(open((char *)1, O_RDONLY));
    T(creat("c", 0755)); show("c");
    T(close(4)); T(close(4)); T(close(-1)); T(close(100000));
    /* reading, writing, seeking */
    T(write(fd, "hello, world\n", 13));
    T(write(fd, (char *)1, 3)); T(write(fd, "", 0)); T(write(99, "x", 1)); T(write(fd, 0, 0));
    T(lseek(fd, 0, SEEK_SET)); T(read(fd, buf, 5)); T(read(fd, (char *)1, 5)); T(read(fd, buf, 0));
    T(lseek(fd, 0, SEEK_CUR)); T(lseek(fd, -3, SEEK_END)); T(read(fd, buf, 100)); T(read(fd, buf, 100));
    T(lseek(fd, -1, SEEK_SET)); T(lseek(fd, 0, 99)); T(lseek(fd, 5, SEEK_END)); T(write(fd, "x", 1)); show("a");
    T(pread(fd, buf, 5, 7)); T(pread(fd, buf, 5, -1)); T(pwrite(fd, "J", 1, 0)); T(pread(fd, buf, 20, 0)); printf("%.13s", buf);
    struct iovec v[3] = {{buf, 3}, {buf + 100, 0}, {buf + 200, 4}};
    T(preadv(fd, v, 3, 1)); printf("%.3s|%.4s\n", buf, buf + 200);
    T(lseek(fd, 0, SEEK_SET)); T(readv(fd, v, 3)); T(readv(fd, v, -1)); T(readv(fd, v, 2000)); T(writev(fd, v, 3)); T(writev(fd, v, 0));
    v[1].iov_base = (void *)1; v[1].iov_len = 10; T(lseek(fd, 0, SEEK_SET)); 
    T(pwritev(fd, v, 1, 30)); show("a");
    /* append */
    T(fd2 = open("a", O_WRONLY | O_APPEND)); T(write(fd2, "end", 3)); T(lseek(fd2, 0, SEEK_CUR)); T(read(fd2, buf, 1)); T(close(fd2));
    /* truncation */
    T(ftruncate(fd, 5)); show("a"); T(truncate("a", 50)); show("a"); T(truncate("none", 5)); T(truncate(".", 5)); T(ftruncate(fd, -1));
    T(fd2 = open("a", O_RDONLY)); T(ftruncate(fd2, 0)); T(write(fd2, "x", 1)); T(close(fd2));
    T(fd2 = open("a", O_WRONLY | O_TRUNC)); show("a"); T(close(fd2));
    T(posix_fallocate(fd, 0, 100)); show("a"); T(posix_fallocate(fd, 0, 0));
    /* duplicating */
    T(fd2 = dup(fd)); T(lseek(fd, 10, SEEK_SET)); T(lseek(fd2, 0, SEEK_CUR)); T(dup2(fd, 77)); T(dup2(fd, fd)); T(dup2(99, 5)); T(dup2(fd, -1));
    T(dup3(fd, fd, 0)); T(dup3(fd, 78, O_CLOEXEC)); T(fcntl(78, F_GETFD)); T(fcntl(77, F_GETFD)); T(dup(98));
    T(fcntl(fd, F_DUPFD, 50)); T(fcntl(fd, F_DUPFD_CLOEXEC, 50)); T(fcntl(51, F_GETFD)); T(fcntl(51, F_SETFD, 0)); T(fcntl(51, F_GETFD));
    T(fcntl(fd, F_GETFL) & ~O_LARGEFILE); T(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK)); T(fcntl(fd2, F_GETFL) & ~O_LARGEFILE);
    T(fcntl(fd, F_SETFL, 0)); T(fcntl(fd, 12345)); T(fcntl(99, F_GETFL)); T(fcntl(fd, F_DUPFD, -1)); T(fcntl(fd, F_DUPFD, 100000000));
    /* locks */
    struct flock lock = {F_WRLCK, SEEK_SET, 0, 10};
    T(fcntl(fd, F_SETLK, &lock)); T(fcntl(fd, F_GETLK, &lock)); printf("type %d\n", lock.l_type); T(flock(fd, LOCK_EX)); T(flock(fd, LOCK_UN)); T(flock(fd, 99));
    /* terminals and such */
    struct winsize w;
    T(ioctl(fd, TIOCGWINSZ, &w)); T(isatty(fd)); T(ioctl(fd, FIONREAD, buf)); T(ioctl(fd, 0xdead, buf)); T(ioctl(99, TIOCGWINSZ, &w)); T(ioctl(fd, FIOCLEX)); T(fcntl(fd, F_GETFD));
    /* links */
    T(symlink("a", "s")); T(symlink("x", "s")); T(symlink("", "e")); T(readlink("s", buf, 100)); T(readlink("a", buf, 100)); T(readlink("s", buf, 0)); T(readlink("none", buf, 10));
    T(link("a", "l")); show("l"); T(link("none", "l2")); T(link("a", "l")); T(link(".", "d")); T(link("s", "ls")); show("ls");
    T(symlink("loop", "loop")); T(open("loop", O_RDONLY)); T(open("s", O_RDONLY | O_NOFOLLOW)); T(symlink("nowhere", "dangling")); T(open("dangling", O_RDONLY));
    T(fd2 = open("dangling", O_WRONLY | O_CREAT, 0600)); show("nowhere"); T(close(fd2)); T(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600));
    T(linkat(AT_FDCWD, "s", AT_FDCWD, "sl", AT_SYMLINK_FOLLOW)); show("sl");
    /* directories */
    T(mkdir("d", 0777)); show("d"); T(mkdir("d", 0777)); T(mkdir("a/d", 0777)); T(mkdir("x/y", 0777)); T(mkdir("e/", 0700)); show("e"); T(mkdir(".", 0777)); T(mkdir("/", 0777));
    T(rmdir("a")); T(rmdir("none")); T(rmdir("d/.")); T(rmdir("d/..")); T(unlink("d")); T(unlink("none")); T(unlink("a/")); T(unlink("d/"));
    T(mkdir("d/sub", 0755)); T(rmdir("d")); T(chdir("d")); T(creat("file", 0644)); T(chdir("file")); T(chdir("none")); T(chdir("..")); T(rmdir("d"));
    T(getcwd(buf, sizeof buf) == buf); T((long)getcwd(buf, 1));
    T(fd2 = open("d", O_RDONLY | O_DIRECTORY)); T(openat(fd2, "file", O_RDONLY)); T(openat(fd2, "../a", O_RDONLY)); T(openat(fd, "file", O_RDONLY)); T(openat(98, "file", O_RDONLY));
    T(read(fd2, buf, 10)); T(fchdir(fd2)); show("file"); T(fchdir(fd)); T(chdir("..")); T(unlinkat(fd2, "file", 0)); T(unlinkat(fd2, "sub", 0)); T(unlinkat(fd2, "sub", AT_REMOVEDIR)); T(unlinkat(fd2, "x", 12345));
    T(mkdirat(fd2, "m", 0700)); T(symlinkat("m", fd2, "n")); T(faccessat(fd2, "n", R_OK, 0)); T(renameat(fd2, "m", fd2, "o")); T(readlinkat(fd2, "n", buf, 10)); T(fchmodat(fd2, "o", 0711, 0)); show("d/o");
    T(mkfifo("fifo", 0644)); show("fifo"); T(mknod("reg", S_IFREG | 0600, 0)); show("reg");
    /* renaming */
    T(rename("c", "r")); T(rename("none", "r")); T(rename("r", "d")); T(rename("d", "r")); T(rename("d", "d/x")); T(rename("e", "d")); T(rename("d", "e")); T(rename("a", "a")); T(rename("r", "q/")); T(rename("r", "."));
    T(syscall(SYS_renameat2, AT_FDCWD, "r", AT_FDCWD, "a", 1));
    /* permissions and times */
    T(chmod("a", 0600)); show("a"); T(chmod("s", 0640)); show("a"); T(chmod("none", 0)); T(fchmod(fd, 0604)); show("a"); T(fchmod(99, 0));
    T(access("a", F_OK)); T(access("a", R_OK)); T(access("a", 99)); T(access("none", F_OK)); T(access("a/x", F_OK));
    struct timespec ts[2] = {{1000000, 5}, {1500000, 999999999}};
    T(utimensat(AT_FDCWD, "a", ts, 0)); show("a"); ts[0].tv_nsec = UTIME_OMIT; ts[1].tv_sec = 7; T(utimensat(AT_FDCWD, "s", ts, 0)); show("a");
    ts[1].tv_nsec = 2000000000; T(utimensat(AT_FDCWD, "a", ts, 0)); ts[1].tv_nsec = 3; T(utimensat(AT_FDCWD, "dangling", ts, AT_SYMLINK_NOFOLLOW)); show("dangling"); T(futimens(fd, ts)); show("a");
    struct timeval tv[2] = {{100, 5}, {200, 999999}}; T(utimes("a", tv)); show("a"); struct utimbuf ub = {300, 400}; T(utime("a", &ub)); show("a"); T(utime("none", &ub));
    T(chown("a", -1, -1)); T(lchown("s", -1, -1)); T(chown("none", -1, -1));
    struct stat st; T(stat("s", &st)); printf("%ld\n", (long)st.st_size); T(stat("none", &st)); T(stat("a/b", &st)); T(fstat(99, &st)); T(stat("loop", &st)); T(fstatat(AT_FDCWD, "", &st, 0)); T(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH)); T(fstatat(fd, "", &st, AT_EMPTY_PATH)); T(stat("/", &st)); T(S_ISDIR(st.st_mode));
    struct statvfs vfs; T(statvfs(".", &vfs)); T(vfs.f_namemax); T(fstatvfs(fd, &vfs)); T(statvfs("none", &vfs));
    /* copying */
    T(fd2 = open("copy", O_RDWR | O_CREAT, 0644)); T(lseek(fd, 0, SEEK_SET)); T(pwrite(fd, "0123456789", 10, 0)); off_t off = 2;
    T(sendfile(fd2, fd, &off, 4)); T(off); T(lseek(fd, 0, SEEK_CUR)); T(sendfile(fd2, fd, 0, 3)); T(lseek(fd, 0, SEEK_CUR)); T(pread(fd2, buf, 20, 0)); printf("%.7s\n", buf);
    off_t o1 = 1, o2 = 0; T(copy_file_range(fd, &o1, fd2, &o2, 5, 0)); T(pread(fd2, buf, 20, 0)); printf("%.7s\n", buf); T(fsync(fd)); T(fdatasync(fd2)); T(fsync(99));
    /* special files */
    int zero; T(zero = open("/dev/zero", O_RDONLY)); buf[5] = 1; T(read(zero, buf, 10)); T(buf[5]); T(close(zero)); int null; T(null = open("/dev/null", O_RDWR)); T(write(null, buf, 8000)); T(read(null, buf, 10));
    T(fstat(null, &st)); printf("%o %lx\n", st.st_mode, (long)st.st_rdev); T(open("/dev/none", O_RDONLY)); int full; T(full = open("/dev/full", O_RDWR)); T(write(full, "x", 1)); int rnd; T(rnd = open("/dev/urandom", O_RDONLY)); T(read(rnd, buf, 100)); T(fstat(rnd, &st)); printf("%o %lx\n", st.st_mode, (long)st.st_rdev);
    T(readlink("/proc/self/exe", buf, sizeof buf) > 0); T(syscall(SYS_close_range, 60, 90, 0)); T(fcntl(77, F_GETFD)); T(memfd_create("x", 0)); T(open("/dev/fd/99", O_RDONLY));
    /* the directory's contents, sorted */
    struct dirent **list; int n = scandir(".", &list, 0, alphasort); for (int i = 0; i < n; i++) printf("%s %d\n", list[i]->d_name, list[i]->d_type);
    DIR *dir = opendir("."); int count = 0; while (readdir(dir)) count++; rewinddir(dir); struct dirent *first = readdir(dir); printf("%d %s\n", count == n, first ? "again" : "nothing"); long at = telldir(dir); struct dirent *e = readdir(dir); char name[256]; strcpy(name, e->d_name); seekdir(dir, at); e = readdir(dir); printf("seek %d\n", !strcmp(name, e->d_name)); closedir(dir);
    return 0;
}
