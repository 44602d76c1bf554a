/* File attributes, from the kernel's structures to ours. */
#include <sys/stat.h>
#include "system.h"

#ifdef __x86_64__
struct kernel_stat {
    unsigned long dev, ino, nlink;
    unsigned mode, uid, gid, pad;
    unsigned long rdev;
    long size, blksize, blocks;
    unsigned long atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    long unused[3];
};
#define SYS_statat SYS_newfstatat
#define SYS_statfd SYS_fstat
#else
struct kernel_stat { /* struct stat64 */
    unsigned long long dev;
    unsigned pad, short_ino;
    unsigned mode, nlink, uid, gid;
    unsigned long long rdev;
    unsigned pad2;
    long long size __attribute__((packed, aligned(4)));
    unsigned blksize;
    unsigned long long blocks __attribute__((packed, aligned(4)));
    unsigned atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    unsigned long long ino;
};
#define SYS_statat SYS_fstatat64
#define SYS_statfd SYS_fstat64
_Static_assert(sizeof(struct kernel_stat) == 96, "struct stat64");
#endif

static int converted(long result, const struct kernel_stat *from, struct stat *to) {
    if (result < 0) return (int)__mini_result(result);
    *to = (struct stat){
        .st_dev = from->dev, .st_rdev = from->rdev, .st_ino = from->ino, .st_mode = from->mode,
        .st_nlink = from->nlink, .st_uid = from->uid, .st_gid = from->gid, .st_size = from->size,
        .st_blksize = (blksize_t)from->blksize, .st_blocks = (blkcnt_t)from->blocks,
        .st_atim = {(time_t)from->atime, (long)from->atime_nsec},
        .st_mtim = {(time_t)from->mtime, (long)from->mtime_nsec},
        .st_ctim = {(time_t)from->ctime, (long)from->ctime_nsec},
    };
    return 0;
}

enum { CURRENT_DIRECTORY = -100, NO_FOLLOW = 0x100 };

int stat(const char *restrict path, struct stat *restrict to) {
    struct kernel_stat from;
    return converted(CALL4(statat, CURRENT_DIRECTORY, path, &from, 0), &from, to);
}

int lstat(const char *restrict path, struct stat *restrict to) {
    struct kernel_stat from;
    return converted(CALL4(statat, CURRENT_DIRECTORY, path, &from, NO_FOLLOW), &from, to);
}

int fstat(int fd, struct stat *to) {
    struct kernel_stat from;
    return converted(CALL2(statfd, fd, &from), &from, to);
}

int mkdir(const char *path, mode_t mode) { return (int)__mini_result(CALL2(mkdir, path, mode)); }
int chmod(const char *path, mode_t mode) { return (int)__mini_result(CALL2(chmod, path, mode)); }
mode_t umask(mode_t mask) { return (mode_t)CALL1(umask, mask); }
