#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int (*indirect)(const char *) = atoi;
int main(int argc, char **argv) { 
  int n = argc > 1 ? atoi(argv[1]) : 10; int s = 0;
  puts("output");
  for (int i = 0; i < n; i++) s += abs(i);
  printf("%d %d\n", s, indirect("12") + (int)strlen("four"));
  return 0; }
