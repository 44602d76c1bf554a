"""Native start-up of a program with 20 libraries of 200 functions: fixed-address libraries, ld.so, and one static file.

The program calls one function of each library. `ld.so` is the host's, with its C library; ours and the static one use musl.
The floor is a program without any start-up code or checks that only opens the same 20 files, maps each once, closes it and
touches one page: what the kernel takes for 20 files, however good a loader is.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.measure import Row, spawn_seconds, sysroot, table, uselib, workspace

LIBRARIES, FUNCTIONS = 20, 200
ROUNDS = 6  # of all programs in turns

# x86-64 Linux, gcc -nostdlib. The names come from the command line of the compiler: PATHS is a list of string literals.
FLOOR_C = r"""
static long call(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
static const char *const paths[] = { PATHS };
void _start(void)
{
    for (long i = 0; i < (long)(sizeof paths / sizeof *paths); i++) {
        long base = 0x61000000 + i * 0x100000, fd = call(2, (long)paths[i], 02000000, 0, 0, 0, 0);      /* open */
        if (call(9, base, 0x2000, 5, 0x100002, fd, 0) != base) call(231, 1, 0, 0, 0, 0, 0);               /* mmap */
        call(3, fd, 0, 0, 0, 0, 0);                                                                      /* close */
        (void)*(volatile char *)base;
    }
    call(231, 0, 0, 0, 0, 0, 0);
}
"""


def _sources(directory: Path) -> tuple[Path, list[Path]]:
    libraries = []
    for number in range(LIBRARIES):
        path = directory / f"lib{number}.c"
        path.write_text(
            "".join(f"int f{number}_{i}(int x) {{ return x * {i + 3} + {number}; }}\n" for i in range(FUNCTIONS))
        )
        libraries.append(path)
    main = directory / "main.c"
    declared = "".join(f"int f{n}_0(int);\n" for n in range(LIBRARIES))
    main.write_text(
        declared
        + "int main(void) {\n  int x = 0;\n"
        + "".join(f"  x += f{n}_0({n});\n" for n in range(LIBRARIES))
        + "  return x == 0;\n}\n"
    )
    return main, libraries


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        main, sources = _sources(directory)
        root = sysroot(directory, "x86_64", "musl")
        objects = []
        for number, source in enumerate(sources):
            uselib("cc", "--sysroot", root, "-O1", "-c", source, "-o", source.with_suffix(".o"))
            address = hex(0x61000000 + number * 0x100000)
            uselib(
                "mkshlib",
                "--name",
                f"b{number}",
                "--version",
                "1.0.0",
                "--text",
                address,
                "-o",
                directory,
                source.with_suffix(".o"),
            )
            subprocess.run(["gcc", "-O1", "-fPIC", "-shared", source, "-o", directory / f"libd{number}.so"], check=True)
            objects.append(source.with_suffix(".o"))
        names = range(LIBRARIES)
        programs: list[tuple[str, Path]] = []
        for scheme in ("mmap", "uselib"):
            program = directory / f"main-{scheme}"
            stubs = [f"-lb{n}_s" for n in names]
            uselib(
                "cc", "--sysroot", root, "--scheme", scheme, "-O1", main, "-L", directory / "lib", *stubs, "-o", program
            )
            programs.append((f"uselib, scheme {scheme}", program))
        for file in (root / "shlib").iterdir():  # all libraries in one directory, as they are where they are installed
            shutil.copy(file, directory / "shlib")
        shared = ["-L", str(directory), f"-Wl,-rpath,{directory}", *(f"-ld{n}" for n in names)]
        for label, option in (("ld.so, lazy", "-Wl,-z,lazy"), ("ld.so, BIND_NOW", "-Wl,-z,now")):
            program = directory / f"main{option[-3:]}"
            subprocess.run(["gcc", "-O1", main, option, *shared, "-o", program], check=True)
            programs.append((label, program))
        program = directory / "main-static"
        uselib("cc", "--sysroot", root, "--scheme", "static", "-O1", main, *objects, "-o", program)
        programs.append(("fully static (musl)", program))
        subprocess.run(["gcc", "-O1", "-static", main, *sources, "-o", directory / "main-glibc"], check=True)
        programs.append(("fully static (glibc)", directory / "main-glibc"))
        programs.append(("floor: 20 files opened, mapped, closed, touched", _floor(directory)))
        environment = {"LD_LIBRARY_PATH": str(directory / "shlib")}
        times: dict[str, list[float]] = {label: [] for label, _ in programs}
        for _ in range(ROUNDS):
            for label, program in programs:
                times[label].append(spawn_seconds(directory, [program], 200, environment))
        rows = [Row(label, min(measured)) for label, measured in times.items()]
        table(f"Native start-up, {LIBRARIES} libraries of {FUNCTIONS} functions", rows, "uselib, scheme mmap")


def _floor(directory: Path) -> Path:
    source, program = directory / "floor.c", directory / "floor"
    source.write_text(FLOOR_C)
    paths = ",".join(f'"{directory}/shlib/libb{n}_s.1.0.0"' for n in range(LIBRARIES))
    flags = ["-O2", "-ffreestanding", "-fno-stack-protector", "-nostdlib", "-static", f"-DPATHS={paths}"]
    subprocess.run(["gcc", *flags, source, "-o", program], check=True)
    return program


if __name__ == "__main__":
    run()
