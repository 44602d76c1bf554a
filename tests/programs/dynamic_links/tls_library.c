/* Thread-local data of every visibility, in a library that is linked with the program or loaded at run time. MODEL is the access model. */
#define IN __attribute__((tls_model(MODEL)))
extern __thread int tls_shared IN;                                          /* defined in the program as well, when linked with it */
__attribute__((visibility("hidden"))) extern __thread int tls_hidden IN;
__attribute__((visibility("protected"))) extern __thread long long tls_protected IN;
static __thread char tls_block[300] = {1, 2, 3};
static __thread int tls_zero[1000];
__thread int tls_shared = 1;
__thread int tls_hidden = 20;
__thread long long tls_protected __attribute__((aligned(64))) = 300;
extern __thread int tls_absent __attribute__((weak));

int tls_sum(void) { return tls_shared + tls_hidden + (int)tls_protected + tls_block[2] + tls_zero[999]; }
void tls_add(int n) {
    tls_shared += n;
    tls_hidden += n;
    tls_protected += n;
    tls_block[2] += n;
    tls_zero[999] += n;
}
int *tls_address(int which) { return which ? which > 1 ? (int *)&tls_protected : &tls_hidden : &tls_shared; }
int tls_aligned(void) { return ((unsigned long)&tls_protected & 63) == 0; }
