"""`uselib trace diff A B`: where two runs differ (uselib/trace/reading/diff.py).

Exit status as diff(1): 0 the same, 1 different, 2 trouble.
"""

from __future__ import annotations

import sys

from uselib.commands.trace.reader import DECODING, Given, Reader, choice, count
from uselib.emulator.option_table import Option
from uselib.emulator.trace.prototypes.damage import said_once
from uselib.linker.errors import ToolError, UsageError
from uselib.trace.reading.decoding import ByPrototype
from uselib.trace.reading.diff import all_bits, compare
from uselib.trace.reading.diff_text import DiffLimits, as_json, as_text
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.text import Colours


def show(given: Given, a: TraceFile, b: TraceFile) -> int:
    files = given.get("prototypes", ())
    said = said_once()  # files that both traces name
    decoders = ByPrototype(a, files, said), ByPrototype(b, files, said)
    known = {"known": decoders[0].masks, "words": all_bits, "none": None}[given.get("values", "known")]
    result = compare(a, b, known, given.get("by_caller", False))
    if not given.get("q"):
        if given.get("json"):
            print(as_json(result))
        elif not result.same:
            limits = DiffLimits(given.get("context", 3), given.get("hunks", 1), given.get("limit", 20))
            for line in as_text(result, (a, b), decoders, limits, Colours(sys.stdout)):
                print(line)
    return 0 if result.same else 1


READER = Reader(
    usage="uselib trace diff [OPTIONS] A B",
    about="Aligns two traces by call flow and shows where they differ. Exit status: 0 the same, 1 different, 2 trouble.",
    options={
        "--values": Option(
            "WHICH",
            "compare arguments and results: known (by prototype; default), words, none",
            choice("known", "words", "none"),
        ),
        "--prototypes": DECODING["--prototypes"],
        "--by-caller": Option("", "the same function called from another function is another call", None),
        "--context": Option("N", "calls shown around a difference (default 3)", count),
        "--hunks": Option("N", "differences shown (default 1, the first; 0: all)", count),
        "--limit": Option("N", "rows in the table of counts (default 20; 0: all)", count),
        "--json": Option("", "for programs: a summary", None),
        "-q": Option("", "print nothing; see the exit status", None),
    },
    show=show,
    files=2,
)


def run(arguments: list[str]) -> int:
    """0 the same, 1 different, 2 trouble. Raises UsageError."""
    try:
        return READER.run(arguments)
    except (UsageError, BrokenPipeError):
        raise
    except ToolError as failure:
        text = "\n".join(map(str, failure.diagnostics))
    except OSError as failure:
        text = f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure)
    print(f"uselib: {text}", file=sys.stderr)
    return 2
