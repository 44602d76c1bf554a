#include "../rt.h"
extern void (*__init_array_start[])(void), (*__init_array_end[])(void);
void log(int letter) {
  char text[2] = {letter, 0};
  say(text);
}
int test(void) {
  for (void (**f)(void) = __init_array_start; f < __init_array_end; f++) (*f)();
  return __init_array_end - __init_array_start == 4 ? 42 : 1;
}
