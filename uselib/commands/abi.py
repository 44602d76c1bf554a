"""`uselib abi`: the dynamic comparison of two versions of a library. A table of subcommands, one module for each."""

from __future__ import annotations

import sys
from importlib import import_module

from uselib.linker.errors import printable

# name -> (module with run(arguments) -> exit status, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("uselib.commands.abi_run", "run a program against two versions of a library and show the first difference"),
    "matrix": ("uselib.commands.abi_matrix", "programs x versions, in parallel, with a table and a cache"),
    "probe": (
        "uselib.commands.abi_probe",
        "feed one function of both versions generated inputs and show the smallest difference",
    ),
}


def usage() -> str:
    rows = "\n".join(f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items())
    return (
        f"usage: uselib abi COMMAND [OPTIONS]\n\n{rows}\n\n`uselib abi COMMAND --help` shows the options of a command."
    )


def run(arguments: list[str]) -> int:
    """Returns the subcommand's exit status; 2 for bad usage."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] not in COMMANDS:
        print(
            f"uselib: abi {printable(arguments[0])}: no such command; `uselib abi --help` lists them", file=sys.stderr
        )
        return 2
    return int(import_module(COMMANDS[arguments[0]][0]).run(arguments[1:]))
