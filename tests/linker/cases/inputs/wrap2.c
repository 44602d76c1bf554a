int wrapped(void) { return 41; }
int answer(void) { return 5; }
int table[2] = {1, 9};
