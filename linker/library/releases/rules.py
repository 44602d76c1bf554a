"""The rules for a release that follows another one: what programs linked before rely on, and which changes are refused.

A distribution that ships a library for years needs these rules (`mkshlib --previous`):

| since the release before          | within a major version                                              | release |
|-----------------------------------|---------------------------------------------------------------------|---------|
| code, order of objects, text size | free                                                                | patch   |
| new function                      | behind all old slots, or in the empty one that has its name         | minor   |
| new datum, new interposable       | behind all old places                                               | minor   |
| function or datum gone            | refused, unless --retire: trap, place stays reserved                | minor   |
| renamed                           | with --rename: same slot, same place                                | minor   |
| datum grown                       | refused, unless --move-data: behind all others, old place reserved  | minor   |
| datum shrunk                      | the rest stays reserved, and it may grow again up to there          | minor   |
| not interposable any more         | refused, unless --retire f$pointer                                  | minor   |
| retired name is back              | same slot; same place if it fits                                    | minor   |
| function <-> datum, other base    | refused                                                             | major   |

A new major version is another library: no program of the one before loads it. So nothing has to be declared, and base, data and
table may move. With --previous it still keeps the same slots and places as far as it can, and slots of removed functions are traps.
--renumber drops all of this.

The rules are functions without state (names, numbers and sizes in, records out). record.py applies them in this order: names.py,
slots.py and, once sizes are known, places.py. This module has the step from one release to the next, and the version number that it needs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from uselib.linker.errors import Diagnostic, LinkError, some
from uselib.linker.image import Version
from uselib.linker.library.releases.history import History
from uselib.linker.library.specification import RenameLine
from uselib.linker.quick_dataclass import dataclass, replace

OR_MAJOR = "or take a new major version"


class ReleaseLevel(enum.IntEnum):
    """Which of the three version numbers a change needs."""

    PATCH, MINOR, MAJOR = range(3)

    @property
    def article(self) -> str:
        return f"a {self.name.lower()} release"


def next_version(version: Version, level: ReleaseLevel) -> Version:
    """The next version for a step of that size; a full number carries over into the one before it."""
    if level is ReleaseLevel.PATCH and version.patch < 0xFFFF:
        return replace(version, patch=version.patch + 1)
    if level is not ReleaseLevel.MAJOR and version.minor < 0xFFFF:
        return Version(version.major, version.minor + 1, 0)
    return Version(version.major + 1, 0, 0)


class VersionTooSmall(LinkError):
    """A release that needs at least the version `wanted`."""

    def __init__(self, wanted: Version, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.wanted = wanted


@dataclass(frozen=True)
class InterfaceChange:
    """A difference from the release before. text: completes a sentence that begins with `because`."""

    level: ReleaseLevel
    text: str


@dataclass(frozen=True)
class DeclaredChanges:
    """The changes that the maintainer declares (command line and specification file)."""

    retire: tuple[str, ...] = ()
    rename: tuple[RenameLine, ...] = ()
    move: tuple[str, ...] = ()
    keep_old_names: bool = False
    renumber: bool = False

    @property
    def first(self) -> str:
        """An option or directive that makes no sense without --previous; empty if there is none."""
        given = {
            "retire": self.retire,
            "rename": self.rename,
            "move-data": self.move,
            "keep-old-names": self.keep_old_names,
            "renumber": self.renumber,
        }
        return next((name for name, value in given.items() if value), "")


@dataclass(frozen=True)
class ReleaseStep:
    """From `old` to `version`; messages name `where`. Without `old`, a library's first release."""

    old: History | None
    version: Version
    declared: DeclaredChanges
    where: str

    @property
    def major(self) -> bool:
        """Whether it is a new major version, which no program linked before has to run on."""
        return self.old is None or self.version.major != self.old.version.major

    @property
    def inherited(self) -> History | None:
        """The history whose slots and places this release keeps; None for a first release and with --renumber."""
        return None if self.declared.renumber and self.major else self.old

    @property
    def releases(self) -> tuple[Version, ...]:
        if self.old is None or self.major:
            return (self.version,)
        return tuple(dict.fromkeys((*self.old.releases, self.version)))


def check_version(step: ReleaseStep) -> None:
    """Raises LinkError if the version is below the previous one, or the declarations do not fit the step."""
    old = step.old
    if old is None:
        if step.declared.first:
            raise LinkError(
                Diagnostic(
                    step.where,
                    f"{step.declared.first} needs an earlier release, and none is given",
                    remedy="give it with --previous",
                )
            )
        return
    if step.version < old.version:
        raise LinkError(
            Diagnostic(
                step.where,
                f"is older than {old.file_name}, which is given as its predecessor",
                remedy="give --previous the release before it",
            )
        )
    if step.declared.renumber and not step.major:
        raise LinkError(
            Diagnostic(
                step.where,
                f"renumbering would break every program linked with {old.file_name}",
                remedy=f"take a new major version, {old.version.major + 1}.0.0",
            )
        )


def check_version_suffices(step: ReleaseStep, changes: Sequence[InterfaceChange]) -> None:
    """Raises VersionTooSmall if the changes need a higher version number."""
    old = step.old
    if old is None or step.major:
        return
    level = max((change.level for change in changes), default=ReleaseLevel.PATCH)
    v, w = step.version, old.version
    given = ReleaseLevel.MINOR if v.minor > w.minor else ReleaseLevel.PATCH
    if level <= given:
        return
    wanted = next_version(w, level)
    shown = [change.text for change in changes if change.level > given]
    more = f"; and {len(shown) - 3} more" if len(shown) > 3 else ""
    raise VersionTooSmall(
        wanted,
        Diagnostic(
            step.where,
            f"is {level.article} after {w}, because {'; '.join(shown[:3])}{more}",
            remedy=f"call it {wanted}, so that programs linked with it refuse {w}",
        ),
    )


def same_version(step: ReleaseStep) -> LinkError:
    """The error for a release that is made again with other contents."""
    return LinkError(
        Diagnostic(
            step.where,
            f"has other contents than the {step.version} that exists already",
            remedy=f"give it a version of its own, {next_version(step.version, ReleaseLevel.PATCH)}",
        )
    )


@dataclass(frozen=True)
class GrowthRoom:
    """The bytes that later releases may use without moving anything.

    text: up to the data; None if nothing is exported there, so that the data may still move. end: of the memory in use. limit: the end of the
    library's entry in the registry; None without one. slots: numbers that are left.
    """

    text: int | None
    data_address: int
    end: int
    limit: int | None
    slots: int

    def within(self, limit: int) -> GrowthRoom:
        return replace(self, limit=limit)

    def __str__(self) -> str:
        text = "any amount of text (no data are exported)"
        if self.text is not None:
            text = f"{self.text} bytes of text before the data at {self.data_address:#x}"
        data = "any amount of data (no registry bounds it)"
        if self.limit is not None:
            data = f"{max(0, self.limit - self.end)} bytes of data before {self.limit:#x}"
        return f"{text}, {data}, {self.slots} slots of 8 bytes of text"


def summary(step: ReleaseStep, changes: Sequence[InterfaceChange]) -> str:
    """The kind of a release, compared with the one before. Empty for a library's first."""
    if step.old is None:
        return ""
    if step.version == step.old.version:
        return f"the same as the {step.version} that exists already"
    after = f"after {step.old.version}: "
    if step.major:
        start = "a new major version, renumbered" if step.declared.renumber else "a new major version"
        return after + start + (f" ({'; '.join(change.text for change in changes)})" if changes else "")
    level = max((change.level for change in changes), default=ReleaseLevel.PATCH)
    because = "; ".join(change.text for change in changes) or "the interface is the same"
    return f"{after}{level.article} ({because})"


def misplaced(old: History, new: History) -> tuple[str, ...]:
    """The functions and data of one release that another one does not have at the same addresses."""
    slots = {name: (old.table - old.base, number) for name, number in old.functions().items()}
    places = {name: place.address for name, place in old.data_places().items()}
    now_slots = {name: (new.table - new.base, number) for name, number in new.functions().items()}
    now_places = {name: place.address for name, place in new.data_places().items()}
    gone = [name for name, number in slots.items() if now_slots.get(name) != number]
    gone += [name for name, address in places.items() if now_places.get(name) != address]
    return tuple(gone) if old.base == new.base else (*slots, *places)


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b, c and 4 more`."""
    found = list(names)
    if len(found) > 4:
        return some(found, 3)
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else ""
