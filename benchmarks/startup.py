"""Native start-up of a program with 20 libraries of 200 functions: fixed-address libraries, ld.so, and one static file.

The program calls one function of each library. `ld.so` is the host's, with its C library; ours and the static one use musl.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.measure import Row, spawn_seconds, sysroot, table, uselib, workspace

LIBRARIES, FUNCTIONS = 20, 200


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
        rows = []
        for scheme in ("mmap", "uselib"):
            program = directory / f"main-{scheme}"
            stubs = [f"-lb{n}_s" for n in names]
            uselib(
                "cc", "--sysroot", root, "--scheme", scheme, "-O1", main, "-L", directory / "lib", *stubs, "-o", program
            )
            environment = {"LD_LIBRARY_PATH": str(directory / "shlib")}
            rows.append(Row(f"uselib, scheme {scheme}", spawn_seconds(directory, [program], environment=environment)))
        shared = ["-L", str(directory), f"-Wl,-rpath,{directory}", *(f"-ld{n}" for n in names)]
        for label, option in (("ld.so, lazy", "-Wl,-z,lazy"), ("ld.so, BIND_NOW", "-Wl,-z,now")):
            program = directory / f"main{option[-3:]}"
            subprocess.run(["gcc", "-O1", main, option, *shared, "-o", program], check=True)
            rows.append(Row(label, spawn_seconds(directory, [program])))
        program = directory / "main-static"
        uselib("cc", "--sysroot", root, "--scheme", "static", "-O1", main, *objects, "-o", program)
        rows.append(Row("fully static (musl)", spawn_seconds(directory, [program])))
        subprocess.run(["gcc", "-O1", "-static", main, *sources, "-o", directory / "main-glibc"], check=True)
        rows.append(Row("fully static (glibc)", spawn_seconds(directory, [directory / "main-glibc"])))
        table(f"Native start-up, {LIBRARIES} libraries of {FUNCTIONS} functions", rows, "uselib, scheme mmap")


if __name__ == "__main__":
    run()
