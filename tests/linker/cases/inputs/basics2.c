int counter = 7, zeroes[100];
const int table[3] = {10, 20, 30};
int add(int n) { return n + counter; }
static int twice(int n) { return n / 17 * 10; }
int (*const operations[2])(int) = {add, twice};
