/* Initialisers run in dependency order: libworld_s before libhello_s before the program. */
#include <stdio.h>

__attribute__((constructor)) static void up(void) { puts(NAME " is up"); }
__attribute__((destructor)) static void down(void) { puts(NAME " is down"); }
