// Hidden symbols are shared between files and local in the output.
//#Variant: -O1
//#Variant: -O1 -fPIC
//#Object: inputs/hidden2.c
//#ExpectLocal: secret
#include "rt.h"
__attribute__((visibility("hidden"))) int secret(void);
__attribute__((visibility("hidden"))) extern int secret_data;
int test(void) { return secret() + secret_data; }
