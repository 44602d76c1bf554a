int common_taken = 1;
int by_common;
