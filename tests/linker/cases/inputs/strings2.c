const char *first(void) { return "a string in two files"; }
const char *tail(void) { return "with a tail" + 7; }
double half(void) {
  static volatile double x = 4.0;
  return x * 0.125;
}
const unsigned *wide(void) { return (const unsigned *)L"W"; }
