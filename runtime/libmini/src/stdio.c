/* Buffered streams. stdout is line-buffered on a terminal, stderr is not buffered. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "system.h"

enum { UNKNOWN = 3, SIZE = 4096 }; /* buffering mode not settled yet; bytes of a buffer */

struct __file {
    int fd, mode; /* _IOFBF, _IOLBF, _IONBF or UNKNOWN */
    int readable, writable, append, eof, error;
    int owns_buffer;
    int writing;              /* what the buffer holds is to be written */
    unsigned char *buffer;    /* 0 until used */
    size_t size, start, end;  /* unread or unwritten: [start, end) */
    int pushed;               /* of ungetc, -1: none */
    FILE *next, *previous;
};

static FILE files[3] = {
    {.fd = 0, .mode = UNKNOWN, .readable = 1, .pushed = EOF},
    {.fd = 1, .mode = UNKNOWN, .writable = 1, .pushed = EOF},
    {.fd = 2, .mode = _IONBF, .writable = 1, .pushed = EOF},
};
FILE *const stdin = &files[0], *const stdout = &files[1], *const stderr = &files[2];
static FILE *open_files;

static int prepare(FILE *f) {
    static unsigned char standard[2][SIZE];
    if (f->mode == UNKNOWN) f->mode = f->writable && isatty(f->fd) ? _IOLBF : _IOFBF;
    if (f->buffer) return 1;
    if (f == stdin || f == stdout) f->buffer = standard[f->fd], f->size = SIZE;
    else if ((f->buffer = malloc(SIZE))) f->size = SIZE, f->owns_buffer = 1;
    return f->buffer != 0;
}

static int write_all(FILE *f, const unsigned char *data, size_t n) {
    while (n) {
        ssize_t done = write(f->fd, data, n);
        if (done < 0) {
            if (errno == EINTR) continue;
            f->error = 1;
            return EOF;
        }
        data += done, n -= (size_t)done;
    }
    return 0;
}

int fflush(FILE *f) {
    int result = 0;
    if (!f) {
        for (int i = 1; i < 3; i++) result |= fflush(&files[i]);
        for (f = open_files; f; f = f->next)
            if (f->writing) result |= fflush(f);
        return result;
    }
    if (f->writing) {
        result = write_all(f, f->buffer + f->start, f->end - f->start);
        f->writing = 0;
    } else if (f->end > f->start || f->pushed != EOF) { /* seek back over the bytes that were read ahead */
        off_t ahead = (off_t)(f->end - f->start) + (f->pushed != EOF);
        int saved = errno;
        if (lseek(f->fd, -ahead, SEEK_CUR) < 0) {
            errno = saved;
            return 0; /* a pipe: keep them */
        }
    }
    f->start = f->end = 0;
    f->pushed = EOF;
    return result;
}

HIDDEN void __mini_flush_all(void) { fflush(0); }

static int mode_flags(const char *mode, FILE *f) {
    int flags;
    switch (mode[0]) {
    case 'r': flags = 0, f->readable = 1; break;
    case 'w': flags = O_CREAT | O_TRUNC, f->writable = 1; break;
    case 'a': flags = O_CREAT | O_APPEND, f->writable = f->append = 1; break;
    default: errno = EINVAL; return -1;
    }
    if (strchr(mode, '+')) f->readable = f->writable = 1;
    if (strchr(mode, 'x')) flags |= O_EXCL;
    if (strchr(mode, 'e')) flags |= O_CLOEXEC;
    return flags | (f->readable && f->writable ? O_RDWR : f->writable ? O_WRONLY : O_RDONLY);
}

static FILE *enlist(const FILE *made) {
    FILE *f = malloc(sizeof *f);
    if (!f) return 0;
    *f = *made;
    f->mode = UNKNOWN;
    f->pushed = EOF;
    f->next = open_files;
    if (open_files) open_files->previous = f;
    return open_files = f;
}

FILE *fdopen(int fd, const char *mode) {
    FILE made = {.fd = fd};
    return mode_flags(mode, &made) < 0 ? 0 : enlist(&made);
}

FILE *fopen(const char *restrict path, const char *restrict mode) {
    FILE made = {0}, *f;
    int flags = mode_flags(mode, &made);
    if (flags < 0 || (made.fd = open(path, flags, 0666)) < 0) return 0;
    if (!(f = enlist(&made))) close(made.fd);
    return f;
}

int fclose(FILE *f) {
    int result = fflush(f);
    if (close(f->fd) < 0) result = EOF;
    if (f->owns_buffer) free(f->buffer);
    if (f >= files && f < files + 3) {
        f->readable = f->writable = 0;
        return result;
    }
    if (f->next) f->next->previous = f->previous;
    if (f->previous) f->previous->next = f->next;
    else open_files = f->next;
    free(f);
    return result;
}

size_t fwrite(const void *restrict data, size_t size, size_t count, FILE *restrict f) {
    const unsigned char *p = data;
    size_t n = size * count, left = n;
    if (!n) return 0;
    if (!f->writable) {
        errno = EBADF;
        f->error = 1;
        return 0;
    }
    if (!f->writing) {
        if (f->readable) fflush(f); /* a change of direction */
        f->start = f->end = 0;
    }
    if (f->mode == _IONBF || !prepare(f)) return write_all(f, p, n) ? 0 : count;
    f->writing = 1;
    while (left) {
        size_t room = f->size - f->end, take = left < room ? left : room;
        if (!f->end && left >= f->size && f->mode == _IOFBF) { /* large: past the buffer */
            if (write_all(f, p, left)) return (n - left) / size;
            return count;
        }
        memcpy(f->buffer + f->end, p, take);
        f->end += take, p += take, left -= take;
        if (f->end == f->size) {
            if (fflush(f)) return (n - left) / size;
            f->writing = 1;
        }
    }
    if (f->mode == _IOLBF && f->end && memchr((const unsigned char *)data, '\n', n) && fflush(f)) return 0;
    return count;
}

static int fill(FILE *f) {
    ssize_t n;
    if (!f->readable) {
        errno = EBADF;
        f->error = 1;
        return 0;
    }
    if (f->writing) fflush(f);
    if (!prepare(f)) return 0;
    if (f == stdin && stdout->mode == _IOLBF) fflush(stdout); /* a prompt shows before its answer is read */
    do n = read(f->fd, f->buffer, f->size);
    while (n < 0 && errno == EINTR);
    f->start = 0;
    f->end = n > 0 ? (size_t)n : 0;
    if (n == 0) f->eof = 1;
    if (n < 0) f->error = 1;
    return n > 0;
}

size_t fread(void *restrict data, size_t size, size_t count, FILE *restrict f) {
    unsigned char *p = data;
    size_t n = size * count, left = n;
    if (!n) return 0;
    if (f->pushed != EOF) *p++ = (unsigned char)f->pushed, f->pushed = EOF, left--;
    while (left) {
        size_t there = f->writing ? 0 : f->end - f->start, take = left < there ? left : there;
        if (!there) {
            if (!fill(f)) break;
            continue;
        }
        memcpy(p, f->buffer + f->start, take);
        f->start += take, p += take, left -= take;
    }
    return (n - left) / size;
}

int fgetc(FILE *f) {
    unsigned char c;
    if (f->pushed == EOF && !f->writing && f->start < f->end) return f->buffer[f->start++];
    return fread(&c, 1, 1, f) == 1 ? c : EOF;
}

int getc(FILE *f) { return fgetc(f); }
int getchar(void) { return fgetc(stdin); }

int ungetc(int c, FILE *f) {
    if (c == EOF || f->pushed != EOF) return EOF;
    f->eof = 0;
    return f->pushed = (unsigned char)c;
}

char *fgets(char *restrict s, int size, FILE *restrict f) {
    int n = 0, c = 0;
    while (n < size - 1 && c != '\n' && (c = fgetc(f)) != EOF) s[n++] = (char)c;
    if (size <= 0 || (!n && size > 1) || (c == EOF && f->error)) return 0;
    s[n] = 0;
    return s;
}

int fputc(int c, FILE *f) {
    unsigned char byte = (unsigned char)c;
    if (f->writing && f->mode == _IOFBF && f->end + 1 < f->size) return f->buffer[f->end++] = byte;
    return fwrite(&byte, 1, 1, f) == 1 ? byte : EOF;
}

int putc(int c, FILE *f) { return fputc(c, f); }
int putchar(int c) { return fputc(c, stdout); }
int fputs(const char *restrict s, FILE *restrict f) { return fwrite(s, 1, strlen(s), f) == strlen(s) ? 0 : EOF; }
int puts(const char *s) { return fputs(s, stdout) < 0 || fputc('\n', stdout) < 0 ? EOF : 0; }
int feof(FILE *f) { return f->eof; }
int ferror(FILE *f) { return f->error; }
void clearerr(FILE *f) { f->eof = f->error = 0; }
int fileno(FILE *f) { return f->fd; }

int fseek(FILE *f, long offset, int whence) {
    if (fflush(f)) return -1;
    if (lseek(f->fd, offset, whence) < 0) return -1;
    f->start = f->end = 0;
    f->pushed = EOF;
    f->eof = 0;
    return 0;
}

long ftell(FILE *f) {
    off_t at = lseek(f->fd, 0, SEEK_CUR);
    if (at < 0) return -1;
    if (f->writing) at += (off_t)(f->end - f->start);
    else at -= (off_t)(f->end - f->start) + (f->pushed != EOF);
    return (long)at;
}

void rewind(FILE *f) {
    fseek(f, 0, SEEK_SET);
    f->error = 0;
}

int setvbuf(FILE *restrict f, char *restrict buffer, int mode, size_t size) {
    if (f->buffer && f->end) return -1; /* in use */
    f->mode = mode;
    if (buffer && size) f->buffer = (unsigned char *)buffer, f->size = size;
    return 0;
}

void setbuf(FILE *restrict f, char *restrict buffer) { setvbuf(f, buffer, buffer ? _IOFBF : _IONBF, BUFSIZ); }

void perror(const char *s) {
    int error = errno;
    if (s && *s) fprintf(stderr, "%s: %s\n", s, strerror(error));
    else fprintf(stderr, "%s\n", strerror(error));
}

int remove(const char *path) {
    int result = unlink(path);
    return result < 0 && errno == EISDIR ? rmdir(path) : result;
}
int rename(const char *from, const char *to) { return (int)__mini_result(CALL2(rename, from, to)); }
