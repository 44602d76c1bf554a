__thread int there = 3;
extern __thread int here;
static __thread int one = 1, two;
int get(void) { return there + here; }
int local_sum(void) {
  two = 1;
  return one + two;
}
