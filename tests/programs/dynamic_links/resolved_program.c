#include <stdio.h>
typedef int function(int);
function exported, guarded, in_library;
function *address_in_library(int);
extern function *const table[], *pointer;
function *const mine[] = {exported};
static int own_choice(int x) { return x + 1; }
static function *choose(void) { return own_choice; }
int own(int) __attribute__((ifunc("choose")));
static function *volatile kept = own;
int main(void) {
    printf("%d %d %d\n", exported(3), guarded(3), in_library(3));
    printf("%d %d %d\n", table[0](4), table[1](4), table[2](4));
    printf("%d %d %d\n", mine[0] == exported, exported == address_in_library(0), pointer == exported);
    printf("%d %d %d\n", address_in_library(1)(5), address_in_library(2)(5), pointer(5));
    printf("%d %d\n", own(6), kept(7));
    return 0;
}
