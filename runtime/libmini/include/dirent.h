#ifndef _DIRENT_H
#define _DIRENT_H
#include <sys/types.h>
struct dirent { /* the kernel's linux_dirent64 */
    ino_t d_ino;
    off_t d_off;
    unsigned short d_reclen;
    unsigned char d_type;
    char d_name[256];
};
typedef struct __dir DIR;
DIR *opendir(const char *);
struct dirent *readdir(DIR *);
int closedir(DIR *);
#endif
