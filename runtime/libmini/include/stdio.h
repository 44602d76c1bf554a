#ifndef _STDIO_H
#define _STDIO_H
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>
#define EOF (-1)
#define BUFSIZ 1024
#define FILENAME_MAX 4096
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define _IOFBF 0
#define _IOLBF 1
#define _IONBF 2
typedef struct __file FILE;
extern FILE *const stdin, *const stdout, *const stderr;
#define stdin stdin
#define stdout stdout
#define stderr stderr
FILE *fopen(const char *restrict, const char *restrict);
FILE *fdopen(int, const char *);
int fclose(FILE *);
int fflush(FILE *);
int fileno(FILE *);
size_t fread(void *restrict, size_t, size_t, FILE *restrict);
size_t fwrite(const void *restrict, size_t, size_t, FILE *restrict);
int fgetc(FILE *);
int getc(FILE *);
int getchar(void);
int ungetc(int, FILE *);
char *fgets(char *restrict, int, FILE *restrict);
int fputc(int, FILE *);
int putc(int, FILE *);
int putchar(int);
int fputs(const char *restrict, FILE *restrict);
int puts(const char *);
int feof(FILE *);
int ferror(FILE *);
void clearerr(FILE *);
int fseek(FILE *, long, int);
long ftell(FILE *);
void rewind(FILE *);
int setvbuf(FILE *restrict, char *restrict, int, size_t);
void setbuf(FILE *restrict, char *restrict);
void perror(const char *);
int remove(const char *);
int rename(const char *, const char *);
#define __PRINTF(format, first) __attribute__((__format__(__printf__, format, first)))
int printf(const char *restrict, ...) __PRINTF(1, 2);
int fprintf(FILE *restrict, const char *restrict, ...) __PRINTF(2, 3);
int dprintf(int, const char *restrict, ...) __PRINTF(2, 3);
int sprintf(char *restrict, const char *restrict, ...) __PRINTF(2, 3);
int snprintf(char *restrict, size_t, const char *restrict, ...) __PRINTF(3, 4);
int vprintf(const char *restrict, va_list) __PRINTF(1, 0);
int vfprintf(FILE *restrict, const char *restrict, va_list) __PRINTF(2, 0);
int vsprintf(char *restrict, const char *restrict, va_list) __PRINTF(2, 0);
int vsnprintf(char *restrict, size_t, const char *restrict, va_list) __PRINTF(3, 0);
int sscanf(const char *restrict, const char *restrict, ...) __attribute__((__format__(__scanf__, 2, 3)));
int vsscanf(const char *restrict, const char *restrict, va_list) __attribute__((__format__(__scanf__, 2, 0)));
#endif
