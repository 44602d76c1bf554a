"""The meaning of names of parameters, members, constants and functions.

This is the only module that judges names. It has tables of words and patterns.
"""

from __future__ import annotations

import re

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _words_of(line: str) -> dict[str, str]:
    """`ms: ms msec; s: s sec` -> {ms: ms, msec: ms, s: s, sec: s}."""
    rows = (row.partition(":") for row in line.split(";"))
    return {word: kind.strip() for kind, _, words in rows for word in words.split()}


# Words for one role, by which parameters in another order are recognised although they were respelled.
_ROLES = _words_of(
    "dst: destination dest target to; src: source from; width: w; height: h; column: col; begin: start; end: stop;"
    "min: lo low minimum; max: hi high maximum; len: length size count"
)

# Units by quantity, one row for each: a name that goes from one unit to another one of its row means other numbers.
_UNITS_TEXT = """
    ns: ns nsec nanos nanoseconds; us: us usec micros microseconds; ms: ms msec msecs millis milliseconds; s: s sec secs seconds;\
        min: min mins minutes; h: hours; d: days
    bits: bits; bytes: bytes; words: words; pages: pages; kb: kb kib; mb: mb mib; blocks: blocks; sectors: sectors
    mm: mm; cm: cm; m: m meters metres; km: km; inch: inch inches; ft: feet; mi: miles; px: px pixels; pt: pt points
    deg: deg degrees; rad: rad radians
    C: celsius; F: fahrenheit; K: kelvin
    cents: cents; dollars: dollars; euros: euros; percent: percent; permille: permille; fraction: fraction
    hz: hz; khz: khz; mhz: mhz
"""
_UNITS = tuple(_words_of(line) for line in _UNITS_TEXT.strip().splitlines())

_RESERVED = re.compile(
    r"reserved|unused|spare|_*pad(ding)?\d*$|_*pad(ding)?_|filler|dummy|_*rsvd|_*resv|future", re.IGNORECASE
)
_SIZE_TAG = re.compile(
    r"^_*(cb|dw|n)?_?(struct|my|self|this|abi|api)?_?(size|sz|version|ver|cb|sizeof)_*$|^size_?of_?\w*$|^(size|version)_of_\w+$|^nLength$",
    re.IGNORECASE,
)
_ABOUT_RELEASE = re.compile(
    r"version|_(major|minor|patch|micro|revision|release|build|date|time|author|url|copyright|license|description|soname)(_|$)|(^|_)ver(_|$)",
    re.IGNORECASE,
)
_ABOUT_PEOPLE = re.compile(r"(^|_)(name|vendor|banner|homepage|codename|title|contact|email|owner)(_|$)", re.IGNORECASE)
_PRIVATE = re.compile(r"(^|_)(priv|private|internals?|impl|opaque|hidden)(_|t?$)|^_|(Private|Internal|Impl)$")
_COUNT = re.compile(
    r"(^|_)(n|num|nr|number|count|len|length|total|size|nitems)(_|s?$|\d)|^n[A-Z_]|(Count|Len|Num|Size)$", re.IGNORECASE
)
_DEFAULT = re.compile(r"(^|_)(default|dflt|def|initial)(_|$)", re.IGNORECASE)
_SENTINEL = re.compile(
    r"(^|_)(max|count|last|num|n|end|size|total|sentinel|limit)(_|$)|(Max|Count|Last|End|Size)$", re.IGNORECASE
)
_CONSTRUCTOR = re.compile(
    r"(^|_)(new|create|open|alloc|make|init|start|connect|dup|clone|copy|parse|load|build|begin|construct|acquire|fopen|popen)(_|\d|$)"
    r"|(New|Create|Open|Alloc|Make|Init|Dup|Clone|Parse|Load)$",
    re.IGNORECASE,
)
_INITIALISER = re.compile(r"(^|_)(init|initiali[sz]e|setup)(_|\d|$)|(Init|Initialize|Setup)$")
_MANY = re.compile(r"^(n|num|nr|count|nitems|nelems)$|^(n|num|nr)_|_(count|num)$|Count$", re.IGNORECASE)
_DESTRUCTOR = re.compile(
    r"(^|_)(free|destroy|close|delete|del|release|dispose|unref|done|fini|finish|shutdown|end|term|kill|drop)(_|\d|$)"
    r"|(Free|Destroy|Close|Delete|Release)$",
    re.IGNORECASE,
)


def canonical(name: str) -> str:
    """A parameter's or member's name with the words for one role made one."""
    return _ROLES.get(name.lower(), name.lower())


def unit_changed(old: str, new: str) -> str:
    """`s became ms` if the names give different units of one quantity, else empty."""
    before, after = _words(old), _words(new)
    for units in _UNITS:
        first = [units[word] for word in before[-1:] + before[:-1] if word in units]
        second = [units[word] for word in after[-1:] + after[:-1] if word in units]
        told = len(before) + len(after) > 2 or min(len(old), len(new)) > 2  # a lone `s` or `m` is not a unit
        if first and second and first[0] != second[0] and told:
            return f"{first[0]} became {second[0]}"
    return ""


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def is_reserved(name: str) -> bool:
    """Whether a member's name says that it is kept for later (an unnamed one is padding)."""
    return not name or _RESERVED.search(name) is not None


def is_size_tag(name: str) -> bool:
    """Whether a first member tells the library which version of the structure it was given."""
    return _SIZE_TAG.search(name) is not None


def about_release(name: str) -> bool:
    """Whether a constant describes the release, and so is another in each."""
    return _ABOUT_RELEASE.search(name) is not None


def about_people(name: str) -> bool:
    """Whether a text only names somebody or something."""
    return _ABOUT_PEOPLE.search(name) is not None


def is_private(name: str) -> bool:
    """Whether a tag says that its members are private."""
    return _PRIVATE.search(name) is not None


def is_count(name: str) -> bool:
    """Whether a parameter or function tells how many there are."""
    return _COUNT.search(name) is not None


def plurals(name: str) -> list[str]:
    """The words of a name that give more than one object, in the singular: `all_items` -> item."""
    return [
        word[:-1]
        for word in _words(name)
        if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    ]


def is_default(name: str) -> bool:
    return _DEFAULT.search(name) is not None


def is_sentinel(name: str) -> bool:
    """Whether an enumerator only counts the others."""
    return _SENTINEL.search(name) is not None


def is_constructor(name: str) -> bool:
    return _CONSTRUCTOR.search(name) is not None


def is_initialiser(name: str) -> bool:
    """Whether a function fills an object that its caller made."""
    return _INITIALISER.search(name) is not None


def is_many(name: str) -> bool:
    """Whether a parameter behind a pointer says how many objects it points to (and not, like a length, how many bytes)."""
    return _MANY.search(name) is not None


def is_destructor(name: str) -> bool:
    return _DESTRUCTOR.search(name) is not None
