int function_taken = 1;
int by_function(void) { return 1; }
