#include "system.h"

int errno; /* in an object of its own: a program that defines errno too is the conflict of figure 5 */
