"""chkshlib for COFF files, with the options and the verdicts of System V Release 3 (linker/historical/coff/check.py).

uselib chkshlib [-b] [-i] [-n] [-v] FILE1 [FILE2 ...]
  -b  also say which symbols lie outside the target's sections
  -i  the target paths need not be equal
  -n  does the first target library refer to the second?
  -v  go on after the first failure, and show every symbol that fails
One file is compared with itself only in its form. Exit status: 0 compatible, 4 not, 2 bad usage, 1 other errors.
"""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.historical.coff import check as coff_check
from uselib.linker.historical.coff.check import CoffFileKind, LibraryFile, compare, refers
from uselib.linker.reading import read_file

_FLAGS = "binv"
_SHOWN = 1  # symbols of a failure without -v


def is_coff_call(arguments: list[str]) -> bool:
    """Whether the files of a command line are COFF files of System V."""
    files = [word for word in arguments if not word.startswith("-")]
    if not files or not all(set(word[1:]) <= set(_FLAGS) for word in arguments if word.startswith("-")):
        return False
    try:
        return all(coff_check.is_checkable(read_file(path)) for path in files)
    except OSError:
        return False


def run(arguments: list[str]) -> int:
    """Raises ToolError, OSError."""
    flags = {letter for word in arguments if word.startswith("-") for letter in word[1:]}
    files = [coff_check.read(read_file(word), word) for word in arguments if not word.startswith("-")]
    if len(files) == 1:
        print(f"{files[0].where}: {files[0].kind.value}, {len(files[0].symbols)} symbols")
        return 0
    if "n" in flags:
        return _referring(files)
    status = 0
    for first, second in _pairs(files):
        verdict = compare(first, second, "i" in flags, "b" in flags)
        print(f"{first.where}, {second.where}: {verdict.question} {'yes' if verdict.compatible else 'no'}")
        for line in verdict.problems if "v" in flags else verdict.problems[:_SHOWN]:
            print(f"  {line}")
        for line in verdict.warnings:
            print(f"  warning: {line}")
        if not verdict.compatible:
            status = 4
            if "v" not in flags:
                return status
    return status


def _pairs(files: list[LibraryFile]) -> list[tuple[LibraryFile, LibraryFile]]:
    """The first file with each other one; libraries of one kind in both directions."""
    found = []
    for other in files[1:]:
        found.append((files[0], other))
        if files[0].kind is other.kind and other.kind is not CoffFileKind.EXECUTABLE:
            found.append((other, files[0]))
    return found


def _referring(files: list[LibraryFile]) -> int:
    if len(files) != 2 or any(file.kind is not CoffFileKind.TARGET for file in files):
        raise UsageError(Diagnostic("chkshlib -n", "takes two target libraries"))
    names = refers(*files)
    answer = f"yes, by {', '.join(names)}" if names else "no"
    print(f"{files[0].where}, {files[1].where}: does the first refer to the second? {answer}")
    return 0
