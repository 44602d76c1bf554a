"""Names of libraries with versions, and the rules by which a version is chosen when a program starts.

    libX_s.MAJOR.MINOR.PATCH   a target library: MAJOR = incompatible releases, MINOR = compatible additions, PATCH = same
                               interface. Decimal, each at most 65535, no leading zeros: no version has two names.
    libX_s.MAJOR.MINOR, libX_s.MAJOR   symbolic links to the newest of them (`uselib ldconfig`)

A rule is a row of `RULES`. runtime/crt/versions.h has the same table for start-up; tests/loader/libraries/test_versions_choice.py lets both
choose among the same files. docs/versions.md says which system had which rule. This module does not read
directories; loader/libraries/search.py does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.image import Version
from uselib.linker.quick_dataclass import dataclass

_NUMBER = r"(0|[1-9][0-9]{0,4})"
_FULL = re.compile(rf"(.+)\.{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.DOTALL)
_LINK = re.compile(rf"(.+?)\.{_NUMBER}(?:\.{_NUMBER})?", re.DOTALL)
_LIMIT = 0xFFFF


@dataclass(frozen=True)
class VersionRule:
    """How a version is chosen. Ways of looking, in this order: `recorded`, for the recorded file name; `link`, for the
    symbolic links; `best`, for the highest version that the rule admits. Each goes through all directories of a search
    path, and the first directory that has a match decides."""

    name: str
    recorded: bool
    link: bool
    best: bool
    same_minor: bool  # minor equal to the one linked with; else it may be higher
    patch_counts: bool  # with the same minor, the patch level must not be lower
    text: str

    def refusal(self, installed: Version, linked: Version) -> str:
        """The reason why a program linked with one version cannot run with another, a key of REFUSALS; empty if it can."""
        if installed.major != linked.major:
            return "major"
        if installed.minor < linked.minor:
            return "lower-minor"
        if installed.minor > linked.minor:
            return "other-minor" if self.same_minor else ""
        return "lower-patch" if self.patch_counts and installed.patch < linked.patch else ""

    def admits(self, installed: Version, linked: Version) -> bool:
        return not self.refusal(installed, linked)


REFUSALS: Mapping[str, str] = {
    "major": "wrong major version",
    "lower-minor": "lower minor version than the program was linked with",
    "other-minor": "other minor version than the program was linked with",
    "lower-patch": "lower patch level than the program was linked with",
}

_ROWS = (
    # name          recorded link   best   same_minor patch_counts
    VersionRule("default", True, False, True, False, False, "the recorded file name, else the highest that fits"),
    VersionRule("exact", True, False, False, False, False, "the recorded file name and nothing else"),
    VersionRule("sun", False, False, True, False, False, "same major, minor not lower: the highest (SunOS 4)"),
    VersionRule(
        "exact-minor", False, False, True, True, False, "same major and minor: the highest patch level (textbook)"
    ),
    VersionRule("linux", False, True, False, False, True, "the symbolic link; patch level not lower (Linux libc 4)"),
)
RULES: Mapping[str, VersionRule] = {rule.name: rule for rule in _ROWS}
DEFAULT = RULES["default"]


def rule_named(name: str, where: str) -> VersionRule:
    """The rule of that name; an empty name means the default. Raises UsageError."""
    rule = RULES.get(name or DEFAULT.name)
    if rule is None:
        raise UsageError(Diagnostic(where, f"`{name}` is not a version rule", remedy=f"write {', '.join(RULES)}"))
    return rule


def split_name(file_name: str) -> tuple[str, Version] | None:
    """(`libX_s`, version) of `libX_s.MAJOR.MINOR.PATCH`; None for any other name."""
    match = _FULL.fullmatch(file_name)
    if match is None:
        return None
    numbers = [int(text) for text in match.groups()[1:]]
    return None if max(numbers) > _LIMIT else (match[1], Version(*numbers))


def library_name(file_name: str) -> str:
    """`libc_s` of `libc_s.4.0.0` or `/shlib/libc_s.4.0.0`; the last component itself if it has no version."""
    last = file_name.rpartition("/")[2]
    found = split_name(last)
    return found[0] if found is not None else last


def version_of(file_name: str, name: str) -> Version | None:
    """The version in a file name of library `name`; None if it is not one."""
    found = split_name(file_name[len(name) :].join(("x", ""))) if file_name.startswith(name + ".") else None
    return found[1] if found is not None and found[0] == "x" else None


def split_link(file_name: str) -> tuple[str, tuple[int, ...]] | None:
    """(`libX_s`, (major,) or (major, minor)) of a name as the symbolic links have; None for any other."""
    match = _LINK.fullmatch(file_name)
    if match is None or split_name(file_name) is not None:
        return None
    numbers = tuple(int(text) for text in match.groups()[1:] if text is not None)
    return None if max(numbers) > _LIMIT else (match[1], numbers)


def link_names(name: str, linked: Version) -> tuple[str, str]:
    """The links that rule `linux` opens, in its order: the nearer one first."""
    return f"{name}.{linked.major}.{linked.minor}", f"{name}.{linked.major}"


def names_library(file_name: str, name: str) -> bool:
    """Whether a file name, with directory or not, is one of library `name`, whatever its version."""
    last = file_name.rpartition("/")[2]
    return last == name or last.startswith(name + ".")


def best(
    installed: Iterable[Version], linked: Version, rule: VersionRule, below: Version | None = None
) -> Version | None:
    """The highest version that the rule admits, lower than `below` if that is given."""
    fitting = (version for version in installed if rule.admits(version, linked) and (below is None or version < below))
    return max(fitting, default=None)
