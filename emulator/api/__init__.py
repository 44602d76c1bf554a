"""The Python API: run programs and call library functions from Python. Import its names from `emulator`."""
