#ifdef NDEBUG
#undef assert
#define assert(condition) ((void)0)
#else
#undef assert
#define assert(condition) ((void)((condition) || (__assert_fail(#condition, __FILE__, __LINE__, __func__), 0)))
#endif
#ifndef _ASSERT_H
#define _ASSERT_H
#define static_assert _Static_assert
void __assert_fail(const char *expression, const char *file, int line, const char *function) __attribute__((__noreturn__));
#endif
