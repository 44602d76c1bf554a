// Alignments up to a page hold in all kinds of sections.
//#Variant: -O1
//#Variant: -O1 -fdata-sections
#include "rt.h"
char odd = 1;
__attribute__((aligned(4096))) char page[3] = {1, 2, 3};
__attribute__((aligned(256))) char zero[5];
__attribute__((aligned(512))) const char constant[2] = {4, 5};
__attribute__((aligned(128))) int code(void) { return page[2] + constant[1] + zero[1] + odd; }
#define BAD(x, n) ((unsigned long)(x) & ((n)-1))
int test(void) { return BAD(page, 4096) || BAD(zero, 256) || BAD(constant, 512) || BAD(code, 128) || code() != 9 ? 1 : 42; }
