#ifndef _SETJMP_H
#define _SETJMP_H
typedef unsigned long jmp_buf[8];
int setjmp(jmp_buf) __attribute__((__returns_twice__));
int _setjmp(jmp_buf) __attribute__((__returns_twice__));
void longjmp(jmp_buf, int) __attribute__((__noreturn__));
void _longjmp(jmp_buf, int) __attribute__((__noreturn__));
#define setjmp setjmp
#endif
