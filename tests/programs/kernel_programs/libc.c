/* What programs reach the kernel through: stdio, ftw, glob, temporary files, realpath, spawn. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char buf[70000];
static int order;

static char seen[50][200]; /* the order of a directory's entries is the file system's: sorted before it is shown */
static int count;

static int visit(const char *path, const struct stat *s, int type, struct FTW *f)
{
    sprintf(seen[count++], "%s %d %d %o %ld", path, type, f->level, s->st_mode, S_ISDIR(s->st_mode) ? 0L : (long)s->st_size);
    return 0;
}

static void show(void)
{
    qsort(seen, count, sizeof seen[0], (int (*)(const void *, const void *))strcmp);
    for (int i = 0; i < count; i++) puts(seen[i]);
    count = 0;
}

static int removal(const char *path, const struct stat *s, int type, struct FTW *f) { order++; return remove(path); }

int main(int argc, char **argv)
{
    if (argc > 1) { printf("child %s %s\n", argv[1], getenv("VARIABLE") ? getenv("VARIABLE") : "-"); return 5; }
    setvbuf(stdout, 0, _IOLBF, 0);
    mkdir("tree", 0755); mkdir("tree/b", 0700); mkdir("tree/a", 0755);
    for (int i = 0; i < 5; i++) { char name[50]; sprintf(name, "tree/%c/file%d.txt", 'a' + i % 2, i); FILE *f = fopen(name, "w"); fprintf(f, "number %d\n", i * 1000); fclose(f); }
    symlink("../b/file1.txt", "tree/a/link"); symlink("nowhere", "tree/dangling");
    FILE *f = fopen("tree/a/file0.txt", "r+"); printf("%d\n", f != 0);
    fseek(f, 0, SEEK_END); printf("%ld\n", ftell(f)); fputs("appended\n", f); rewind(f); while (fgets(buf, sizeof buf, f)) printf("line %s", buf); fseeko(f, 7, SEEK_SET); printf("%c\n", fgetc(f)); ungetc('?', f); printf("%c %d\n", fgetc(f), feof(f)); fclose(f);
    f = fopen("tree/a/file0.txt", "a+"); fprintf(f, "%s %5d|%-8s|%08.3f\n", "formatted", 42, "left", 3.14159); rewind(f); size_t n = fread(buf, 1, sizeof buf, f); printf("%zu\n%.*s", n, (int)n, buf); fclose(f);
    printf("%d\n", fopen("none/x", "w") == 0); perror("none"); printf("%d\n", fopen("tree", "w") == 0); perror("tree");
    nftw("tree", visit, 10, FTW_PHYS); show(); nftw("tree", visit, 10, FTW_DEPTH); show(); 
    glob_t g; printf("%d\n", glob("tree/*/*.txt", GLOB_MARK, 0, &g)); for (size_t i = 0; i < g.gl_pathc; i++) puts(g.gl_pathv[i]); globfree(&g); printf("%d\n", glob("none*", 0, 0, &g) == GLOB_NOMATCH);
    char *real = realpath("tree/a/link", 0), *here = realpath(".", 0); printf("%s\n", real ? real + strlen(here) : strerror(errno)); printf("%d %s\n", realpath("tree/dangling", 0) == 0, strerror(errno));
    char name[] = "tree/tmpXXXXXX"; int fd = mkstemp(name); printf("%d %zu\n", fd >= 0, strlen(name)); struct stat s; fstat(fd, &s); printf("%o\n", s.st_mode); close(fd); unlink(name); char dirname[] = "tree/dirXXXXXX"; printf("%d\n", mkdtemp(dirname) != 0); rmdir(dirname);
    /* memory mapped files */
    fd = open("mapped", O_RDWR | O_CREAT, 0644); ftruncate(fd, 8192); char *map = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); strcpy(map + 4096, "through memory"); pread(fd, buf, 14, 4096); printf("%.14s\n", buf); pwrite(fd, "through file", 12, 0); printf("%.12s\n", map); write(1, map + 4096, 15); puts(""); munmap(map, 8192);
    char *private_ = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0); private_[0] = 'X'; pread(fd, buf, 1, 0); printf("%c\n", buf[0]); lseek(fd, 0, SEEK_SET); printf("%zd %c\n", read(fd, private_, 8192), private_[0]); close(fd);
    /* large data through a pipe and a child */
    int p[2], q[2]; pipe(p); pipe(q); pid_t pid = fork();
    if (!pid) { close(p[1]); close(q[0]); ssize_t r; long total = 0, sum = 0; while ((r = read(p[0], buf, sizeof buf)) > 0) { total += r; for (ssize_t i = 0; i < r; i++) sum += (unsigned char)buf[i]; } sprintf(buf, "%ld %ld", total, sum); write(q[1], buf, strlen(buf)); _exit(9); }
    close(p[0]); close(q[1]); for (int i = 0; i < 40; i++) { memset(buf, i, sizeof buf); for (size_t at = 0; at < sizeof buf;) { ssize_t w = write(p[1], buf + at, sizeof buf - at); if (w < 0) { perror("write"); break; } at += w; } } close(p[1]);
    n = read(q[0], buf, 100); printf("%.*s\n", (int)n, buf); int status; waitpid(pid, &status, 0); printf("%d\n", WEXITSTATUS(status));
    char *args[] = {argv[0], "spawned", 0}, *env[] = {"VARIABLE=value", 0}; fflush(stdout); posix_spawn_file_actions_t fa; posix_spawn_file_actions_init(&fa); posix_spawn_file_actions_addopen(&fa, 1, "spawned.txt", O_WRONLY | O_CREAT, 0644); printf("%d\n", posix_spawn(&pid, "/proc/self/exe", &fa, 0, args, env)); waitpid(pid, &status, 0); printf("%d\n", WEXITSTATUS(status)); f = fopen("spawned.txt", "r"); fgets(buf, 100, f); printf("%s", buf); fclose(f);
    printf("%d\n", posix_spawn(&pid, "/none/such", 0, 0, args, env));
    time_t t = 86400 * 365; struct tm tm; gmtime_r(&t, &tm); strftime(buf, 100, "%Y-%m-%d", &tm); puts(buf);
    nftw("tree", removal, 10, FTW_DEPTH | FTW_PHYS); printf("%d %d\n", order, access("tree", F_OK));
    f = tmpfile(); printf("%d\n", f != 0 || errno == EROFS || errno == ENOENT); 
    fprintf(stderr, "end\n");
    return 3;
}
