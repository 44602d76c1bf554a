"""Two versions of a library for `uselib abi probe`: each function of the second differs in one way, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.programs import source, sysroot
from uselib.abi.dynamic.probe.spec import ProbeRequest
from uselib.commands import cc, mkshlib

HEADER = """
struct point { int x, y; double w; char name[8]; };
struct bits { unsigned a : 3; int b : 5; unsigned char c; };
union number { int i; float f; };
enum mode { FAST, SLOW = 5, EXACT };
enum flags { READ = 1, WRITE = 2, EXECUTE = 4 };
struct node { int value; struct node *next; };
struct hidden;
int clamp(int value, int low, int high);
int weird(int value);
int sum(const int *values, int count);
int upper(char *text);
int norm(struct point *p, int scale);
struct point mid(struct point a, struct point b);
double scale(double x, enum mode m);
const char *name_of(enum mode m);
int fill(char *buf, unsigned long size, int c);
int spin(unsigned n);
int say(int n);
long long wide(long long a, short b, unsigned char c);
float half(float f);
long double extended(long double x);
int many(int a, double b, long long c, float d, int e, int f, int g, int h, double i, short j);
int crash(int n);
int count(void);
int parse(const char *s);
int leave(int n);
int *place(int n);
int behind(char *text);
int small(struct bits b);
int either(union number *u, int i);
int open_it(enum flags f);
int first(const struct node *list);
int nothing(int *out);
int put(int n);
int get(void);
void keep(const char *text);
char kept(void);
int each(int (*f)(int), int n);
int all(const char *format, ...);
int use(struct hidden *h);
extern int counter;
extern int errno;
"""
NEWLY = {  # function -> (body in 1.0, body in 1.1)
    "clamp": ("int clamp(int value, int low, int high)", "return value < low ? low : value > high ? high : value;", ""),
    "weird": ("int weird(int value)", "return 0;", "return value == 47111;"),
    "sum": (
        "int sum(const int *values, int count)",
        "return total(values, count);",
        "return total(values, count) + (count == 3);",
    ),
    "upper": ("int upper(char *text)", "return raise(text, 'z');", "return raise(text, 'y');"),
    "norm": (
        "int norm(struct point *p, int scale)",
        "p->x *= scale; return 0;",
        "p->x *= scale; if (p->name[0]) p->w = 1; return 0;",
    ),
    "mid": (
        "struct point mid(struct point a, struct point b)",
        "a.x = b.x; return a;",
        "a.x = b.x; a.w += b.y > 9; return a;",
    ),
    "scale": (
        "double scale(double x, enum mode m)",
        "return m == SLOW ? x * 2 : x;",
        "return x != x ? 0 : m == SLOW ? x * 2 : x;",
    ),
    "name_of": (
        "const char *name_of(enum mode m)",
        'return m == FAST ? "fast" : m == SLOW ? "slow" : "exact";',
        'return m == FAST ? "fast" : m == SLOW ? "slow" : "precise";',
    ),
    "fill": (
        "int fill(char *buf, unsigned long size, int c)",
        "for (unsigned long i = 0; i < size; i++) buf[i] = c; return 0;",
        "for (unsigned long i = 0; i + 1 < size; i++) buf[i] = c; return 0;",
    ),
    "spin": ("int spin(unsigned n)", "return n;", 'while (n == 1000) __asm__ volatile(""); return n;'),
    "say": ("int say(int n)", 'return printf("%d\\n", n) < 0;', 'return printf("%u\\n", n) < 0;'),
    "wide": (
        "long long wide(long long a, short b, unsigned char c)",
        "return a + b - c;",
        "return a + b - c + (a >> 40 == 1);",
    ),
    "half": ("float half(float f)", "return f / 2;", "return f > 1000 ? f : f / 2;"),
    "extended": ("long double extended(long double x)", "return x + 1;", "return x == 2 ? x : x + 1;"),
    "many": (
        "int many(int a, double b, long long c, float d, int e, int f, int g, int h, double i, short j)",
        "return a + b + c + d + e + f + g + h + i + j == 5;",
        "return a + b + c + d + e + f + g + h + i + j == 5 || j == -77;",
    ),
    "crash": ("int crash(int n)", "return n;", "return n > 100 ? *(volatile int *)8 : n;"),
    "count": ("int count(void)", "counter++; return 0;", "counter += 2; return 0;"),
    "parse": (
        "int parse(const char *s)",
        "return !strcmp(s, \"quick\") ? 1 : *s == 'q' ? errno = 22, -1 : 0;",
        "return !strcmp(s, \"quick\") ? 1 : *s == 'q' ? errno = 33, -1 : 0;",
    ),
    "leave": ("int leave(int n)", "return n;", "if (n == 3) exit(7); return n;"),
    "place": (
        "int *place(int n)",
        "static int kept; kept = n; return &kept;",
        "static int kept; kept = n > 5 ? 5 : n; return &kept;",
    ),
    "behind": ("int behind(char *text)", "return *text;", "text[strlen(text) + 300] = 1; return *text;"),
    "small": ("int small(struct bits b)", "return b.b;", "return b.b + (b.a == 6);"),
    "either": ("int either(union number *u, int i)", "return i;", "return i + (u->i == 17);"),
    "open_it": ("int open_it(enum flags f)", "return f;", "return f == (READ | EXECUTE) ? 0 : f;"),
    "first": (
        "int first(const struct node *list)",
        "return list ? list->value : 0;",
        "return list ? list->value : -1;",
    ),
    "put": (
        "int put(int n)",
        "return used < 2 ? table[used++] = n, 0 : -1;",
        "return used < 2 ? table[used++ / 2] = n, 0 : -1;",
    ),
    "get": ("int get(void)", "return used ? table[--used] : -1;", ""),
    "keep": ("void keep(const char *text)", "memory = text;", ""),
    "kept": ("char kept(void)", "return memory ? *memory : 0;", "return memory ? *memory == 'z' ? 'y' : *memory : 0;"),
    "nothing": ("int nothing(int *out)", "*out = 3; return 0;", "*out = 3; return 0;"),
    "each": ("int each(int (*f)(int), int n)", "return f(n);", ""),
    "all": ("int all(const char *format, ...)", "return *format;", ""),
    "use": ("int use(struct hidden *h)", "return h != 0;", ""),
}
HELPERS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int total(const int *values, int count) { int s = 0; for (int i = 0; i < count; i++) s += values[i]; return s; }
static int raise(char *t, int last) { int n = 0; for (; *t; t++, n++) if (*t >= 'a' && *t <= last) *t -= 32; return n; }
static int table[2], used;
static const char *memory;
int counter;
"""


def make(
    folder: Path, arch: str, version: str, new: bool, *options: str, name: str = "p", errno: str = "extern int errno;"
) -> Path:
    header = source(folder / "p.h", HEADER)
    bodies = "".join(f"{head} {{ {later if new and later else body} }}\n" for head, body, later in NEWLY.values())
    text = source(folder / f"p-{version}.c", f'#include "{header.name}"\n{HELPERS}{bodies}')
    member = folder / f"p-{arch}-{version}-{name}.o"
    words = ["--sysroot", str(sysroot(arch)), "-O1", "-fno-builtin", "-w", *options, "-c", str(text), "-o", str(member)]
    assert cc.run(words) == 0
    slots = "".join(f"{function} {number}\n" for number, function in enumerate(NEWLY, 1))
    spec = source(
        folder / f"{name}-{version}.spec",
        f"#name {name}\n#version {version}\n#address .text 0x61000000\n#address .data 0x61100000\n#branch\n{slots}",
    )
    output = folder / f"{arch}-{name}-{version}"
    assert (
        mkshlib.run(["-s", str(spec), "-o", str(output), str(member), "-L", str(sysroot(arch) / "lib"), "-lc_s"]) == 0
    )
    return output / "shlib" / f"lib{name}_s.{version}"


def request_for(pair: tuple[str, Path, Path], *functions: str, **more: Any) -> ProbeRequest:
    arch, old, new = pair
    return ProbeRequest(str(old), str(new), functions, (str(sysroot(arch) / "shlib"),), **more)


def make_pair(folder: Path, arch: str) -> tuple[str, Path, Path]:
    """The architecture, version 1.0.0 and version 1.1.0."""
    return arch, make(folder, arch, "1.0.0", False, "-g"), make(folder, arch, "1.1.0", True, "-g")
