void addvec(const int *x, const int *y, int *z, int n);
void multvec(const int *x, const int *y, int *z, int n);
extern int addcnt, multcnt;
