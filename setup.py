"""The one thing that pyproject.toml cannot say in a stable way: C files that are built if a compiler is there."""

import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "uselib.emulator.trace._native",
            ["emulator/trace/native/recorder.c"],
            depends=glob.glob("emulator/trace/native/*.h"),
            extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            optional=True,  # without a compiler the recorder in Python is used
        ),
        Extension(
            "uselib.emulator.trace._watch",
            ["emulator/trace/native/data_watch.c"],
            extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            optional=True,  # likewise: uselib/abi/dynamic/run/data_watch.py
        ),
        Extension(
            "uselib.emulator.machine._core",
            sorted(glob.glob("emulator/machine/native/core/*.c") + glob.glob("emulator/machine/native/calls/*.c")),
            depends=glob.glob("emulator/machine/native/*/*.h"),
            extra_compile_args=[
                "-O2",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-mno-red-zone",
            ],  # its asm calls and pushes
            libraries=["dl"],
            optional=True,  # x86-64 hosts; without it the CPU is as Unicorn has it: emulator/machine/core.py
        ),
        Extension(
            "uselib.emulator.machine._pages",
            ["emulator/machine/native/page_table.c"],
            extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            optional=True,  # without it every page lookup goes to Python: emulator/machine/native_pages.py
        ),
        Extension(
            "uselib.linker._native",
            sorted(glob.glob("linker/native/*.c")),
            depends=glob.glob("linker/native/*.h"),
            extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            optional=True,  # without it the same is done in Python: linker/passes/native.py
        ),
    ]
)
