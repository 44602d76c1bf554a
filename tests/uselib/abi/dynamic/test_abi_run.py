"""`uselib abi run`: pairs of versions, each with what must be found, on both machines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.abi_runs import pair
from uselib.abi.dynamic.run.result import AbiResult

TWO = "int first(int x) { return x + 1; }\nint second(int x) { return x * 10; }\n"
TWO_H = "#include <stdio.h>\nint first(int), second(int);\n"


@dataclass(frozen=True)
class Case:
    """kind: of the divergence, None: identical. texts: each must be in the explanation, message or one side. wrong: names."""

    old: str
    new: str
    program: str
    kind: str | None
    texts: tuple[str, ...] = ()
    old_branch: str = ""
    new_branch: str = ""
    version: str = "1.0.0"
    wrong: tuple[tuple[str, str], ...] = ()


CASES: dict[str, Case] = {
    "nothing changed": Case(TWO, TWO, TWO_H + 'int main() { printf("%d\\n", first(1) + second(2)); return 3; }', None),
    "bystander: another slot of which the program knows nothing": Case(
        TWO,
        TWO.replace("x * 10", "x * 11") + "int third(int x) { return x; }\n",
        TWO_H + 'int main() { printf("%d\\n", first(1)); return 0; }',
        None,
        (),
        "first second",
        "first second third",
    ),
    "slots swapped": Case(
        TWO,
        TWO,
        TWO_H + 'int main() { printf("%d\\n", first(1)); return 0; }',
        "result",
        ("slot 1 was first when the program was linked; it is now second", "= 2", "= 10"),
        "first second",
        "second first",
        wrong=(("first", "second"),),
    ),
    "slots swapped, with the same output": Case(
        TWO,
        TWO,
        TWO_H + "int main() { first(0); return 0; }",
        "result",
        ("slot 1 was first",),
        "first second",
        "second first",
        wrong=(("first", "second"),),
    ),
    "slots swapped of functions that do the same": Case(
        "int a; void first(void) { a++; }\nvoid second(void) { a += 1; a -= 0; }\n",
        "int a; void second(void) { a++; }\nvoid first(void) { a += 1; }\n",
        "void first(void); int main() { first(); return 0; }",
        "wrong binding",
        ("slot 1 was first",),
        "first second",
        "second first",
        wrong=(("first", "second"),),
    ),
    "function renamed": Case(
        TWO,
        TWO.replace("second", "other"),
        TWO_H + 'int main() { printf("%d\\n", second(3)); return 0; }',
        None,
        (),
        "first second",
        "first other",
    ),
    "function removed": Case(
        TWO,
        "int first(int x) { return x + 1; }\n",
        TWO_H + 'int main() { first(1); second(2); puts("x"); return 0; }',
        "start-up",
        ("the jump table had 2 slots when the program was linked, and has 1 now",),
        "first second",
        "first",
        wrong=(("second", ""),),
    ),
    "parameters swapped": Case(
        "int sub(int a, int b) { return a - b; }\n",
        "int sub(int b, int a) { return a - b; }\n",
        '#include <stdio.h>\nint sub(int, int); int main() { printf("%d\\n", sub(5, 3)); return 0; }',
        "result",
        ("sub(...) = 2", "sub(...) = -2", "the code of sub (slot 1) has changed"),
    ),
    "member swapped, seen through a pointer": Case(
        "struct point { int x, y; }; static struct point p = {1, 2};\nstruct point *origin(void) { return &p; }\n",
        "struct point { int y, x; }; static struct point p = {2, 1};\nstruct point *origin(void) { return &p; }\n",
        "#include <stdio.h>\nstruct point { int x, y; }; struct point *origin(void);\n"
        'int main() { printf("%d\\n", origin()->x); return 0; }',
        "memory",
        ("what the result points to differs", "origin"),
    ),
    "result changed": Case(
        TWO,
        TWO.replace("x + 1", "x + 2"),
        TWO_H + "int main() { return first(1) == 77; }",
        "result",
        ("= 2", "= 3"),
    ),
    "argument that follows from a result": Case(
        "static int n; int more(void) { return n++ < 2; }\nvoid use(int a) { }\n",
        "static int n; int more(void) { return n++ < 3; }\nvoid use(int a) { }\n",
        "int more(void); void use(int); int main() { while (more()) use(1); return 0; }",
        "result",
        ("more(...) = 0",),
    ),
    "output of the library": Case(
        '#include <stdio.h>\nvoid greet(void) { puts("hello"); }\n',
        '#include <stdio.h>\nvoid greet(void) { puts("Hello"); }\n',
        "void greet(void); int main() { greet(); return 0; }",
        "output",
        ("stdout differs at byte 0, line 1", "'hello'", "'Hello'"),
    ),
    "data moved": Case(
        "int limit = 7; int other = 8;\nint use(void) { return 0; }\n",
        "int before = 1; int limit = 7; int other = 8;\nint use(void) { return 0; }\n",
        "extern int limit; int use(void); int main() { use(); return limit == 100; }",
        "data access",
        ("limit was at 0x61008000; it is now at 0x61008004, and before lies where it was", "limit: 7", "limit: 1"),
        wrong=(("limit", "before"),),
    ),
    "data grown over its neighbour": Case(
        "int a[2] = {1, 2}; int b = 3;\nint use(void) { return 0; }\n",
        "int a[3] = {1, 2, 3}; int b = 4;\nint use(void) { return 0; }\n",
        "extern int b; int use(void); int main() { use(); return b == 100; }",
        "wrong binding",
        ("b was at 0x61008008; it is now at 0x6100800c, and a lies where it was",),
        wrong=(("b", "a"),),
    ),
    "slot retired": Case(
        TWO,
        "int second(int x) { return x * 10; }\n",
        TWO_H + "int main() { second(1); return first(1); }",
        "status",
        ("SIGILL", "slot 1 was first when the program was linked; it is now empty and traps, and first is gone"),
        "first second",
        "- second",
        wrong=(("first", ""),),
    ),
    "another major version": Case(
        TWO,
        TWO.replace("x + 1", "x + 5"),
        TWO_H + 'int main() { printf("%d\\n", first(1)); return 0; }',
        "start-up",
        ("the program was linked with 1.0.0, and 2.0.0 is another major version",),
        version="2.0.0",
    ),
    "crash on one side": Case(
        TWO,
        TWO.replace("return x * 10", "return *(volatile int *)16"),
        TWO_H + "int main() { first(1); second(2); return 0; }",
        "status",
        ("only the new version's run is killed", "SIGSEGV", "second", "the code of second (slot 2) has changed"),
    ),
    "callbacks in another number": Case(
        "int each(int (*f)(int)) { return f(1) + f(2); }\n",
        "int each(int (*f)(int)) { int a = f(2); f(1); return a + f(1); }\n",
        "#include <stdlib.h>\nint each(int (*)(int)); static int twice(int x) { return 2 * abs(x); }\n"
        "int main() { return each(twice); }",
        None,
    ),
}


def texts_of(result: AbiResult) -> str:
    found = result.divergence
    return "" if found is None else "\n".join((found.message, found.old, found.new, found.explanation))


@pytest.mark.parametrize("arch", ["x86_64", pytest.param("i386", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_pair(tmp_path: Path, name: str, arch: str) -> None:
    case = CASES[name]
    result = pair(
        tmp_path, arch, case.old, case.new, case.program, case.old_branch, case.new_branch, case.version
    ).compare()
    assert result.verdict == ("diverged" if case.kind else "identical on this run"), result
    assert (result.divergence.kind if result.divergence else None) == case.kind, result.divergence
    for text in case.texts:
        assert text in texts_of(result), result.divergence
    assert {(row.bound, row.found) for row in result.wrong} == set(case.wrong)
    json.dumps(result.as_json())
