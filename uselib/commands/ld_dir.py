"""`uselib ld-dir`: prints a directory whose `ld` is our linker, for `cc -B$(uselib ld-dir) -static ...`."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from uselib.linker.errors import error
from uselib.linker.installation import PACKAGE
from uselib.linker.writing import write_atomically

SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
from uselib.cli import main
sys.argv.insert(1, "ld")
sys.exit(main())
"""


def directory() -> Path:
    """The directory, in the user's cache; one for each interpreter and installation. Raises LinkError."""
    root = os.path.dirname(PACKAGE)
    text = SCRIPT.format(python=sys.executable, root=root)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "uselib" / f"ld-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        script = place / "ld"
        if not script.exists() or script.read_text() != text:
            write_atomically(str(script), text.encode(), 0o777)
    except OSError as failure:
        raise error(str(place), f"cannot be made: {failure.strerror}", remedy="set XDG_CACHE_HOME") from None
    return place


def run(arguments: list[str]) -> int:
    """Returns the exit status."""
    if arguments:
        print("usage: uselib ld-dir\n\nPrints a directory for `cc -B DIR`, in which `ld` is our linker.")
        return 0 if arguments[0] in ("-h", "--help") else 2
    print(directory())
    return 0
