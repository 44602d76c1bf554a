"""Names of C++ and Rust in messages, as the source has them: by `c++filt`, else by the C++ library, else left as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

from uselib.linker.errors import Diagnostic
from uselib.linker.quick_dataclass import replace

_MANGLED = re.compile(r"\b_(?:Z|R[A-Za-z])[\w.$]+")
_HASH = re.compile(r"(?<=\w)\[[0-9a-f]+\]")  # of a crate of Rust
_MOST = 1000  # names; messages are limited too


def demangled(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics with mangled names replaced."""
    listed = list(diagnostics)
    texts = [text for d in listed for text in (d.where, d.symbol, d.message, *d.places)]
    names = list(dict.fromkeys(name for text in texts for name in _MANGLED.findall(text)))[:_MOST]
    if not names:
        return listed
    known = plain_names(names)

    def plain(text: str) -> str:
        return _MANGLED.sub(lambda match: known.get(match[0], match[0]), text)

    return [
        replace(
            d,
            where=plain(d.where),
            symbol=plain(d.symbol),
            message=plain(d.message),
            places=tuple(map(plain, d.places)),
        )
        for d in listed
    ]


def plain_names(names: list[str]) -> dict[str, str]:
    """Mangled name -> name in the source, for those that can be demangled."""
    tool = shutil.which("c++filt")
    if tool is not None:
        try:
            done = subprocess.run([tool], input="\n".join(names), capture_output=True, text=True, timeout=20)
            lines = done.stdout.splitlines()
            if done.returncode == 0 and len(lines) == len(names):
                return {
                    n: _HASH.sub("", line) if n.startswith("_R") else line for n, line in zip(names, lines, strict=True)
                }
        except (OSError, subprocess.SubprocessError):
            pass
    return _by_library(names)


def _by_library(names: list[str]) -> dict[str, str]:
    """By __cxa_demangle of the C++ library (Itanium C++ ABI, section 3.4). It does not know Rust's own mangling."""
    import ctypes

    try:
        demangle = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
        free = ctypes.CDLL(None).free
    except (OSError, AttributeError):
        return {}
    demangle.restype = ctypes.c_void_p
    free.argtypes = [ctypes.c_void_p]
    known = {}
    for name in names:
        status = ctypes.c_int()
        text = demangle(name.encode("utf-8", "surrogateescape"), None, None, ctypes.byref(status))
        if text and not status.value:
            known[name] = ctypes.string_at(text).decode("utf-8", "replace")
            free(text)
    return known
