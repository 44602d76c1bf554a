#ifndef _SYS_TYPES_H
#define _SYS_TYPES_H
#include <stddef.h>
typedef __PTRDIFF_TYPE__ ssize_t;
typedef long long off_t; /* 64 bits on both machines, like time_t */
typedef long long time_t;
typedef int pid_t;
typedef unsigned uid_t, gid_t, mode_t;
typedef unsigned long long dev_t, ino_t;
typedef unsigned long nlink_t;
typedef long blksize_t;
typedef long long blkcnt_t;
typedef int clockid_t;
#endif
