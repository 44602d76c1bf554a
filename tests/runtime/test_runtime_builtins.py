"""The compiler's helper routines (runtime/builtins) against Python's integers and numpy's floating point."""

import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from support.paths import GUEST
from support.programs import build
from support.tools import ARCHES, native

M = (1 << 64) - 1


def signed(n: int) -> int:
    return n - (1 << 64) if n >> 63 else n


def truncated(a: int, b: int) -> tuple[int, int]:
    """C's division."""
    if a == -(1 << 63) and b == -1:
        return 0, 0  # undefined in C: the program prints zeros
    q = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return q, a - q * b


def expected(a: int, b: int) -> str:
    sa, sb, n = signed(a), signed(b), b & 63
    if sa in (0, -(1 << 63)) and sb == -1:
        q, r = 0, 0
    else:
        q, r = truncated(sa, sb)
    first = (a // b, a % b, q, r, a * b & M, a << n & M, a >> n, sa >> n, -a & M)
    bits = (a.bit_count(), a.bit_count() & 1, (a & -a).bit_length())
    single = float(np.uint64(a).astype(np.float32))
    half = np.uint64(a >> 1).astype(np.float64)
    floats = f"{float(a):.17g} {single:.9g} {a if len(str(a)) <= 21 else 0} {int(half)} {a}"
    return " ".join(map(str, first + bits)) + " " + floats


def operands() -> list[tuple[int, int]]:
    chosen = random.Random(2)
    edges = [
        1,
        2,
        3,
        7,
        0xFFFF,
        0x7FFFFFFF,
        0x80000000,
        0xFFFFFFFF,
        1 << 32,
        (1 << 32) + 1,
        (1 << 63) - 1,
        1 << 63,
        M,
        M - 1,
    ]
    pairs = [(a, b) for a in [0, *edges] for b in edges]
    for _ in range(2000):
        pairs.append((chosen.getrandbits(chosen.randint(1, 64)), chosen.getrandbits(chosen.randint(1, 64)) or 1))
    return pairs


@native
@pytest.mark.parametrize("options", [["-O0"], ["-O2"]])
def test_integers(arch: str, options: list[str], tmp_path: Path) -> None:
    program = build(tmp_path / "builtins", arch, "static", *options, GUEST / "builtins.c")
    pairs = operands()
    text = "".join(f"{a} {b}\n" for a, b in pairs).encode()
    lines = subprocess.run([program], input=text, capture_output=True, check=True).stdout.decode().splitlines()
    assert len(lines) == len(pairs)
    for (a, b), line in zip(pairs, lines, strict=True):
        assert line == expected(a, b), (a, b)


COMPLEX = """
#include <stdio.h>
#define PART(z) (double)__real__(z), (double)__imag__(z)
int main(void) {
    static const double v[] = {0.0, -0.0, 1, -2.5, 3e200, 1e-200, 1e308, __builtin_inf(), -__builtin_inf(), __builtin_nan("")};
    enum { N = sizeof v / sizeof *v };
    for (int i = 0; i < N * N * N * N; i++) {
        volatile _Complex double a, b, p, q;
        __real__ a = v[i % N], __imag__ a = v[i / N % N], __real__ b = v[i / N / N % N], __imag__ b = v[i / N / N / N];
        p = a * b, q = a / b;
        printf("%d %.10g %.10g %.10g %.10g\\n", i, PART(p), PART(q));
    }
    { volatile _Complex float a = 1.5f + 2.0fi, b = -3.0f + 0.25fi; printf("%.6g %.6g %.6g %.6g\\n", PART(a * b), PART(a / b)); }
    { volatile _Complex long double a = 1.5L + 2.0Li, b = -3.0L + 0.25Li; printf("%.9g %.9g %.9g %.9g\\n", PART(a * b), PART(a / b)); }
    { volatile double x = 1.1; volatile int n = 13; printf("%.15g %.15g\\n", __builtin_powi(x, n), __builtin_powi(x, -n)); }
    return 0;
}
"""


def plain(line: str) -> list[str]:
    """The sign of a NaN means nothing; the sign of a zero part of a quotient depends on how one divides."""
    return [word.replace("-nan", "nan") if word != "-0" else "0" for word in line.split()]


@native
def test_complex(tmp_path: Path) -> None:
    """Products and quotients against the host compiler's own routines: kinds of results agree, and finite values."""
    import shutil

    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the host")
    source = tmp_path / "c.c"
    source.write_text(COMPLEX)
    subprocess.run([compiler, "-w", "-O1", source, "-o", tmp_path / "host"], check=True)
    theirs = subprocess.run([tmp_path / "host"], capture_output=True, check=True).stdout.decode()
    for arch in ARCHES:
        ours = subprocess.run(
            [build(tmp_path / arch, arch, "static", "-w", "-O1", source)], capture_output=True, check=True
        ).stdout.decode()
        pairs = zip(map(plain, ours.splitlines()), map(plain, theirs.splitlines()), strict=True)
        # which of NaN and infinity comes out where something overflows differs from method to method
        differ = [(a, b) for a, b in pairs if a != b and not {"nan", "inf", "-inf"} & {*a, *b}]
        assert not differ
        assert ours.splitlines()[-3:] == theirs.splitlines()[-3:]
