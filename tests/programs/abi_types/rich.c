#include <stdbool.h>
#include <stddef.h>
#include <stdarg.h>
struct node { struct node *next; struct tree *up; int value; };
struct tree { struct node *first; union { int i; float f; struct { char a, b; } pair; }; enum { LOW = -3, HIGH = 200 } level; };
struct bits { unsigned a : 3; int b : 7; long long c : 40; unsigned short d : 5, : 0, e : 9; bool flag : 1; char tail; };
union both { int number; char bytes[4]; };
struct flexible { size_t count; struct both2 { int q; } items[]; };
struct zero { int n; int none[0]; };
typedef int (*callback)(void *context, const char *text, ...);
typedef callback table[3];
struct ops { callback call; void (*visit)(struct node *restrict, volatile int *); table all; int (*(*get)(int))[5]; };
struct packed { char c; int i; long long l; } __attribute__((packed));
struct aligned { char c __attribute__((aligned(16))); } __attribute__((aligned(32)));
enum wide { SMALL, HUGE_ONE = 0x7fffffffffffffffLL, MINUS = -5LL };
enum color { RED, GREEN = 7, BLUE };
struct hidden;
typedef struct { short s; unsigned char u; signed char sc; char plain; wchar_t w; } mixed_t;
typedef float vec __attribute__((vector_size(16)));
int counter = 1; const char greeting[] = "hello"; const int matrix[2][3] = {{1,2,3},{4,5,6}}; struct tree root; extern int later[]; int later[5] = {1};
volatile int vol; static const char *const words[] = {"x", "y"}; const char *const *exported = words;
int walk(struct node *n, const struct tree *t) { return n->value + t->level; }
void set_bits(struct bits b, union both u, struct flexible *f, struct zero *z) { counter += b.a + u.number + f->count + z->n; }
struct ops *operations(table t) { return 0; }
double floats(float f, double d, long double l, _Complex double c) { return f + d + l + __real__ c; }
void shapes(struct packed *p, struct aligned *a, enum wide w, enum color c) { counter += p->i + a->c + w + c; }
struct hidden *opaque(struct hidden *h) { return h; }
mixed_t *mixed(mixed_t *m, int grid[4][5], int n, int vla[n][n]) { return m + grid[1][2] + vla[1][1]; }
int old(a, b) int a; char *b; { return a + b[0]; }
int none() { return 4; }
int variadic(const char *f, ...) { va_list v; va_start(v, f); int r = va_arg(v, int); va_end(v); return r; }
int take_list(va_list v) { return va_arg(v, int); }
vec vectors(vec v) { return v + v; }
__attribute__((noinline)) static int helper(int *p) { return *p * 3; }
int inlined(int *p) { return helper(p) + *p; }
int caller(int x) { return inlined(&x) + inlined(&x); }
_Bool truth(unsigned long long a, unsigned short b, short c, long d) { return a + b + c + d; }
extern int aliased(int *p) __attribute__((alias("inlined")));
typedef struct node *node_ptr; typedef const node_ptr const_node; const_node again(const_node n) { return n; }
