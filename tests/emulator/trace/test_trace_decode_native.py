"""Places of arguments and results, against what compilers really do: native programs, by gcc and clang, for both machines, call
functions whose body stores every register and the stack; the decoder must find the values again, by C prototypes and by DWARF."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from uselib.emulator.trace.prototypes.capture import STACK_WORD, VECTOR_WORD, CaptureKind, wanted, wanted_words
from uselib.emulator.trace.prototypes.conventions import in_memory
from uselib.emulator.trace.prototypes.declarations import from_file
from uselib.emulator.trace.prototypes.decode import CallDecoder
from uselib.emulator.trace.prototypes.dwarf import read_dwarf
from uselib.emulator.trace.prototypes.type_views import FloatingView, VoidView
from uselib.linker.image import Machine

TYPES = """
struct pair { int x, y; };
struct mixed { double d; int i; };
struct big { long a[4]; };
struct floats { float a, b; };
struct triple { float a, b, c; };
struct bytes { char c[3]; };
struct crowd { long long a; short b; char c; };
struct nested { struct pair p; float f; };
struct bits { unsigned a : 3; int b : 5; unsigned c : 24; };
union number { int i; float f; };
enum color { RED, GREEN = 5, BLUE };
typedef _Bool flag;
"""
CALLS = [  # declaration, arguments, what is shown
    ("int a1(int a, unsigned b, char c, short d, long e)", "-1, 3000000000u, 'x', -2, 5", "-1 3000000000 'x' -2 5"),
    ("int a2(long long a, int b, unsigned long long c)", "-6, 7, 1ull << 63", "-6 7 9223372036854775808"),
    ("int a3(double a, float b, int c, float d)", "1.5, 2.25f, 7, 0.1f", "1.5 2.25 7 0.1"),
    ("int a4(int a, long double b, int c)", "1, 3.5L, 2", "1 3.5 2"),
    ("int a5(struct pair p, int z)", "(struct pair){1, -2}, 9", "{x=1, y=-2} 9"),
    ("int a6(struct mixed m, int z)", "(struct mixed){2.5, 3}, 9", "{d=2.5, i=3} 9"),
    ("int a7(int a, struct big b, int z)", "4, (struct big){{1, 2, 3, 4}}, 9", "4 {a=[1, 2, 3, 4]} 9"),
    (
        "int a8(struct floats f, struct triple t)",
        "(struct floats){1, 2}, (struct triple){3, 4, 5}",
        "{a=1.0, b=2.0} {a=3.0, b=4.0, c=5.0}",
    ),
    ("int a9(struct bytes b, flag t, enum color c)", '(struct bytes){"abc"}, 1, GREEN', '{c="abc"} true GREEN'),
    ("int b1(int a, int b, int c, int d, int e, int f, int g, long h)", "1, 2, 3, 4, 5, 6, 7, 8", "1 2 3 4 5 6 7 8"),
    (
        "int b2(struct crowd s, union number u)",
        "(struct crowd){-1, 2, 'q'}, (union number){5}",
        "{a=-1, b=2, c='q'} {i=5, f=7e-45}",
    ),
    (
        "int b3(int a, int b, int c, int d, int e, struct crowd s, int z)",
        "1, 2, 3, 4, 5, (struct crowd){6, 7, '8'}, 9",
        "1 2 3 4 5 {a=6, b=7, c='8'} 9",
    ),
    (
        "int b4(struct nested n, struct bits b)",
        "(struct nested){{1, 2}, 3}, (struct bits){5, -3, 70000}",
        "{p={x=1, y=2}, f=3.0} {a=5, b=-3, c=70000}",
    ),
    ("int b5(_Complex double z, _Complex float w, int n)", "1.0, 2.0f, 3", "1.0+0.0i 2.0+0.0i 3"),
    (
        "int b6(double a, double b, double c, double d, double e, double f, double g, double h, double i)",
        "1, 2, 3, 4, 5, 6, 7, 8, 9",
        "1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 9.0",
    ),
    ("struct big s1(int a, int b)", "1, 2", "1 2"),
    ("struct pair n1(int a, int b)", "1, 2", "1 2"),
    ("int b7(void (*f)(void), const int *p, unsigned char c)", "0, (int *)16, 200", "NULL 0x10 200"),
    (
        "int b8(int a, long double x, long double y, struct mixed m)",
        "1, -2.5L, 1e300L, (struct mixed){4, 5}",
        "1 -2.5 1e+300 {d=4.0, i=5}",
    ),
]
RESULTS = [  # definition, what is shown
    ("int r1(void) { return -5; }", "-5"),
    ("long long r2(void) { return -(1ll << 40); }", str(-(1 << 40))),
    ("double r3(void) { return 2.5; }", "2.5"),
    ("float r4(void) { return 0.1f; }", "0.1"),
    ("enum color r5(void) { return BLUE; }", "BLUE"),
    ("flag r6(void) { return 1; }", "true"),
    ("char r7(void) { return 10; }", "'\\n'"),
    ("unsigned short r8(void) { return 65535; }", "65535"),
    ("void *r9(void) { return 0; }", "NULL"),
    ("void q1(void) { }", ""),
    ("struct pair q2(void) { return (struct pair){3, 4}; }", "{x=3, y=4}"),
    ("struct mixed q3(void) { return (struct mixed){1.5, 4}; }", "{d=1.5, i=4}"),
    ("struct floats q4(void) { return (struct floats){1, 2}; }", "{a=1.0, b=2.0}"),
    ("struct crowd q5(void) { return (struct crowd){1, 2, 'c'}; }", "{a=1, b=2, c='c'}"),
]
ASSEMBLER = {
    Machine.X86_64: """
        .text
        capture: leaq record(%rip), %rax; movq %rdi, (%rax); movq %rsi, 8(%rax); movq %rdx, 16(%rax)
        movq %rcx, 24(%rax); movq %r8, 32(%rax); movq %r9, 40(%rax)
        movq %xmm0, 48(%rax); movq %xmm1, 56(%rax); movq %xmm2, 64(%rax); movq %xmm3, 72(%rax)
        movq %xmm4, 80(%rax); movq %xmm5, 88(%rax); movq %xmm6, 96(%rax); movq %xmm7, 104(%rax)
        leaq 112(%rax), %rdi; leaq 8(%rsp), %rsi; movl $128, %ecx; rep movsb; ret
        .globl result; result: subq $8, %rsp; call *%rdi; leaq record(%rip), %rcx
        movq %rax, (%rcx); movq %rdx, 8(%rcx); movq %xmm0, 16(%rcx); addq $8, %rsp; ret
        .globl _start; _start: andq $-16, %rsp; call entry
    """,
    Machine.I386: """
        .text
        capture: pushl %esi; pushl %edi; leal record, %edi; xorl %eax, %eax; movl $6, %ecx; leal 12(%esp), %esi
        1: lodsl; stosl; movl $0, (%edi); addl $4, %edi; loop 1b
        addl $64, %edi; leal 12(%esp), %esi; movl $128, %ecx; rep movsb; popl %edi; popl %esi; ret
        capture_pop: popl %edx; pushl %edx; call capture_moved; ret $4
        capture_moved: pushl %esi; pushl %edi; leal record, %edi; movl $6, %ecx; leal 16(%esp), %esi
        1: lodsl; stosl; movl $0, (%edi); addl $4, %edi; loop 1b
        addl $64, %edi; leal 16(%esp), %esi; movl $128, %ecx; rep movsb; popl %edi; popl %esi; ret
        .globl result; result: movl 4(%esp), %eax; call *%eax; movl %eax, record; movl %edx, record+8; movl $0, record+4
        movl $0, record+12; ret
        .globl result_st0; result_st0: movl 4(%esp), %eax; call *%eax; fstpl record+16; ret
        .globl _start; _start: andl $-16, %esp; call entry
    """,
}
SIZE = 240  # words, vectors, stack


@dataclass(frozen=True)
class Built:
    machine: Machine
    path: str
    header: str
    records: list[bytes]


def name_of(text: str) -> str:
    return text.split("(")[0].split()[-1].lstrip("*")


def c_source(machine: Machine) -> str:
    header = TYPES + "".join(f"{declaration};\n" for declaration, _, _ in CALLS)
    declared = from_file(
        TYPES + "".join(d + ";" for d, _, _ in CALLS) + "".join(d.split("{")[0] + ";" for d, _ in RESULTS), "x", machine
    )
    assembler = ASSEMBLER[machine]
    body = []
    for declaration, arguments, _ in CALLS:
        name = name_of(declaration)
        prototype = declared.find(name)
        assert prototype is not None
        pops = machine is Machine.I386 and in_memory(prototype.result, machine)
        assembler += f"\n.globl {name}; .set {name}, {'capture_pop' if pops else 'capture'}"
        body.append(f"clear(); {name}({arguments}); dump();")
    for definition, _ in RESULTS:
        prototype = declared.find(name_of(definition))
        assert prototype is not None
        st0 = machine is Machine.I386 and isinstance(prototype.result, FloatingView)
        if machine is Machine.I386 and in_memory(prototype.result, machine):
            body.append("clear(); dump();")
        else:
            body.append(f"clear(); {'result_st0' if st0 else 'result'}({name_of(definition)}); dump();")
    write = (
        'asm volatile("syscall" : "+a"(r) : "D"(1L), "S"(record), "d"((long)sizeof record) : "rcx", "r11", "memory");'
        if machine is Machine.X86_64
        else 'asm volatile("int $0x80" : "+a"(r) : "b"(1L), "c"(record), "d"((long)sizeof record) : "memory");'
    )
    leave = write.replace("1L", "0L")
    numbers = ("1", "231") if machine is Machine.X86_64 else ("4", "252")
    return "\n".join(
        [
            header,
            f"char record[{SIZE}] __attribute__((aligned(16)));",
            "void result(); void result_st0();",
            "static void clear(void) { for (unsigned n = 0; n < sizeof record; n++) ((volatile char *)record)[n] = 0; }",
            f"static void dump(void) {{ long r = {numbers[0]}; {write} }}",
            *("__attribute__((noinline)) " + definition for definition, _ in RESULTS),
            f"void entry(void) {{ {' '.join(body)} {{ long r = {numbers[1]}; {leave} }} }}",
            'asm("' + assembler.replace("\n", "\\n").replace("  ", " ") + '");',
        ]
    )


@cache
def built(compiler: str, machine: Machine, folder: Path) -> Built:
    where = folder / f"{compiler}-{machine.label}"
    source = where.with_suffix(".c")
    source.write_text(c_source(machine))
    bits = "-m32" if machine is Machine.I386 else "-m64"
    options = [
        "-O1",
        "-g",
        "-w",
        "-ffreestanding",
        "-fno-pic",
        "-no-pie",
        "-static",
        "-nostdlib",
        "-fno-stack-protector",
    ]
    done = subprocess.run([compiler, bits, *options, str(source), "-o", str(where)], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stderr)
    output = subprocess.run([str(where)], capture_output=True, timeout=20).stdout
    count = len(CALLS) + len(RESULTS)
    assert len(output) == SIZE * count
    header = TYPES + "".join(f"{d};\n" for d, _, _ in CALLS) + "".join(d.split("{")[0] + ";\n" for d, _ in RESULTS)
    return Built(machine, str(where), header, [output[n * SIZE : (n + 1) * SIZE] for n in range(count)])


CASES = [(compiler, machine) for compiler in ("gcc", "clang") for machine in Machine]


@pytest.mark.parametrize(("compiler", "machine"), CASES)
def test_arguments_are_found(compiler: str, machine: Machine, folder: Path) -> None:
    program = built(compiler, machine, folder)
    sources = [from_file(program.header, "calls.h", machine), read_dwarf(program.path, machine)]
    decoder = CallDecoder(machine)
    from_dwarf = 0
    for (declaration, _, expected), record in zip(CALLS, program.records, strict=False):
        name = name_of(declaration)
        words = struct.unpack_from("<6Q", record)
        payload = {VECTOR_WORD: (record[48:112], False), STACK_WORD: (record[112:240], False)}
        for number, source in enumerate(sources):
            assert source is not None
            prototype = source.find(name)
            if prototype is None and number == 1:
                continue  # compilers need not describe what they only call
            assert prototype is not None
            from_dwarf += number
            assert " ".join(decoder.arguments(prototype, words, payload)) == expected, (name, number)
            size = 4 if machine is Machine.I386 else 8
            stack = [int.from_bytes(record[n : n + size], "little") for n in range(112, 240, size)]
            most = stack[:11] if machine is Machine.I386 else [*words, *stack[:5]]
            count = wanted_words(prototype, machine)
            registers = {VECTOR_WORD: payload[VECTOR_WORD]}
            if all(request.kind is not CaptureKind.STACK for request in wanted(prototype, machine, registers=True)):
                assert " ".join(decoder.arguments(prototype, most[:count], registers)) == expected, name
            recorded = decoder.arguments(prototype, most[:4])  # nothing copied: right, or a `?`
            pairs = zip(recorded, decoder.arguments(prototype, words, payload), strict=True)
            assert all(short in ("?", full) for short, full in pairs), name
    assert from_dwarf == len(CALLS)


@pytest.mark.parametrize(("compiler", "machine"), CASES)
def test_results_are_found(compiler: str, machine: Machine, folder: Path) -> None:
    program = built(compiler, machine, folder)
    sources = [from_file(program.header, "calls.h", machine), read_dwarf(program.path, machine)]
    decoder = CallDecoder(machine)
    for (definition, expected), record in zip(RESULTS, program.records[len(CALLS) :], strict=True):
        for source in sources:
            assert source is not None
            prototype = source.find(name_of(definition))
            assert prototype is not None
            if in_memory(prototype.result, machine):
                continue
            words = (*struct.unpack_from("<3Q", record), 1)
            assert decoder.result(prototype, words) == expected, name_of(definition)
            assert isinstance(prototype.result, VoidView) == (not expected)
