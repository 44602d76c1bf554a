"""The one thing that pyproject.toml cannot say in a stable way: a C file that is built if a compiler is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "emulator.trace._native",
            ["emulator/trace/native/recorder.c"],
            extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            optional=True,  # without a compiler the recorder in Python is used
        )
    ]
)
