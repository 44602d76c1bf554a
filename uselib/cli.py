"""`uselib`: one command, a table of subcommands, each in a module of its own that is imported only when it is asked for.

Errors that are meant for the user (`ToolError`) become one line on stderr and exit status 1; bad usage is status 2.
"""

from __future__ import annotations

import importlib
import os
import sys

from uselib.linker import cycle_collector
from uselib.linker.errors import ToolError, UsageError, file_of, printable

# name -> (module under uselib.commands, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "ld": ("ld", "link objects, archives and stub libraries into an executable (GNU ld's options)"),
    "mkshlib": ("mkshlib", "make a fixed-address shared library and its stub library"),
    "chkshlib": ("chkshlib", "compare two versions of a library, or a program with its libraries"),
    "sysroot": ("sysroot", "make a directory with shared libraries, stubs, start-up files and headers"),
    "cc": ("cc", "compile and link a C program against a sysroot"),
    "shlicc": ("shlicc", "the same with the system's linker and a table of libraries, as BSD/OS did"),
    "run": ("run", "run a program in the emulator"),
    "trace": ("trace", "run a program and show every call through a jump table"),
    "abi": ("abi", "run a program against two versions of a library: output, calls and data compared"),
    "inspect": ("inspect", "show header, jump table, exports, libraries and bindings of a file"),
    "ldd": ("ldd", "which shared libraries a program would get, and why no other versions of them"),
    "ldconfig": ("ldconfig", "make and mend the symbolic links to the newest versions of installed libraries"),
    "map": ("map", "the address registry: allocate, list and check library addresses"),
    "compare": ("compare", "the same program in every scheme: sizes, start-up, pages, cost of a call"),
    "demo": ("demo", "build, run, trace and upgrade a library in a few seconds"),
    "ld-dir": ("ld_dir", "print a directory for `cc -B DIR`, in which `ld` is our linker"),
}


def usage() -> str:
    rows = "\n".join(f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items())
    return f"usage: uselib COMMAND [OPTIONS]\n\n{rows}\n\n`uselib COMMAND --help` shows the options of a command."


# Linking leaves hundreds of thousands of small objects; freeing them one by one at exit would take a third of the time.
# `run` of a small program would spend 15 % of its time on modules and on Unicorn's.
QUICK_EXIT = frozenset(("ld", "mkshlib", "run"))


def main(argv: list[str] | None = None) -> int:
    """Runs a subcommand, the process's own command line if `argv` is None. Returns its exit status."""
    if argv is not None:
        return _run(argv)
    cycle_collector.stop()  # imports make no garbage cycles; _run starts collections again
    status = _run(sys.argv[1:])
    if sys.argv[1:2] and sys.argv[1] in QUICK_EXIT:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            return status
        os._exit(status)
    return status


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from uselib.linker.package_version import VERSION

        print(f"uselib {VERSION}")
        return 0
    if arguments[0] not in COMMANDS:
        print(f"uselib: {printable(arguments[0])}: no such command; {_suggestion(arguments[0])}", file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(f"uselib.commands.{COMMANDS[arguments[0]][0]}")
        cycle_collector.resume()
        return int(module.run(arguments[1:]))
    except ToolError as failure:
        for diagnostic in failure.diagnostics:
            text = str(diagnostic).encode("utf-8", "backslashreplace").decode()  # names from damaged files
            print(f"uselib: {text}", file=sys.stderr)
        return 2 if isinstance(failure, UsageError) else 1
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # the reader closed the pipe: the interpreter must not report it at exit
        return 141
    except KeyboardInterrupt:
        return 130
    except OSError as failure:
        where = f"{name}: " if (name := file_of(failure)) else ""
        text = printable(f"{where}{failure.strerror or failure}").encode("utf-8", "backslashreplace").decode()
        print(f"uselib: {text}", file=sys.stderr)
        return 1
    except MemoryError:
        print(
            "uselib: out of memory; its inputs, or what they ask for, are too large for this machine", file=sys.stderr
        )
        return 1
    except Exception as failure:  # an internal error is one line too, and names the way to the details
        if os.environ.get("USELIB_DEBUG"):
            raise
        print(
            f"uselib: internal error: {type(failure).__name__}: {failure}; USELIB_DEBUG=1 shows where", file=sys.stderr
        )
        return 1


def _suggestion(word: str) -> str:
    """What to do about a mistyped command."""
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, 1)
    return f"did you mean `uselib {near[0]}`?" if near else "`uselib --help` lists them"


if __name__ == "__main__":
    sys.exit(main())
