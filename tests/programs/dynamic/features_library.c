/* A shared object with what a dynamic linker has to do: IFUNC, thread-local data, copied data, constructors, a function that can be
   interposed. As a plugin (-DPLUGIN) it is opened by name. */
#include <stdio.h>

#ifdef PLUGIN
#define PREFIX "plugin"
#elif defined PRELOAD
#define PREFIX "preloaded"
#else
#define PREFIX "library"
#endif

const char *where(void) { return PREFIX; }

#ifndef PRELOAD
__thread int counter = 40;
int shared_value = 7;

int count(void) { return ++counter; }

#ifndef __i386__ /* musl and old tools have no IFUNC; glibc of both machines does, one is enough */
#ifdef __GLIBC__
static int two(void) { return 2; }
static int (*choose(void))(void) { return two; }
int chosen(void) __attribute__((ifunc("choose")));
#else
int chosen(void) { return 2; }
#endif
#else
int chosen(void) { return 2; }
#endif

static __attribute__((constructor)) void begin(void) { printf("%s begins\n", where()); fflush(stdout); }
static __attribute__((destructor)) void end(void) { printf("%s ends\n", PREFIX); fflush(stdout); }
#endif
