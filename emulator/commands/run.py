"""`uselib run`: runs a program in the emulator."""

from __future__ import annotations

from emulator.run import Runner
from emulator.run_options import parse

USAGE = "uselib run [OPTIONS] PROG [ARGUMENTS]"


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it."""
    parsed = parse(USAGE, arguments)
    if isinstance(parsed, int):
        return parsed
    options, _ = parsed
    return Runner(options).run()
