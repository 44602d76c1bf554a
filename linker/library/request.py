"""mkshlib's request: command line (`LibraryRequest`) and specification file are joined to one checked `LibraryPlan`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from uselib.linker.errors import Diagnostic, Diagnostics, LinkError, UsageError
from uselib.linker.formats.library_names import LIBRARY_NAME
from uselib.linker.image import PAGE, Version
from uselib.linker.library import specification, stub
from uselib.linker.library.releases import previous
from uselib.linker.library.releases.previous import PreviousRelease
from uselib.linker.library.releases.rules import DeclaredChanges, ReleaseLevel, ReleaseStep, check_version, next_version
from uselib.linker.library.specification import RenameLine, Specification
from uselib.linker.options import InputArgument, InputGroup, Options
from uselib.linker.quick_dataclass import dataclass, field, replace


@dataclass(frozen=True)
class LibraryRequest:
    """mkshlib's command line. Addresses and sizes in bytes; None or empty where not given."""

    inputs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()  # -l
    library_paths: tuple[str, ...] = ()  # -L
    private_archives: tuple[str, ...] = ()
    specification: str = ""  # file
    name: str = ""
    version: Version | None = None
    text_address: int | None = None
    data_address: int | None = None
    gap: int | None = None
    registry: str = ""  # file
    scheme: str = "uselib"
    interposable: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    strip_debug: bool = False
    strip_all: bool = False
    previous: str = ""  # file or directory: the release before
    next_version: bool = False  # the smallest version that may follow it; overrides `version`
    retire: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()  # (old, new)
    move_data: tuple[str, ...] = ()
    keep_old_names: bool = False
    renumber: bool = False
    bootstrap: str = ""  # function of the library that its bootstrap calls when all is mapped
    interpreter: str = ""  # where the kernel enters the library if PT_INTERP of a program names it


@dataclass(frozen=True)
class LibraryPlan:
    """A request with all defaults filled in; only the base may be open, if a registry is to give it."""

    name: str  # identity: libN_s
    version: Version
    base: int | None
    data_address: int | None
    gap: int | None
    registry: str
    scheme: str
    spec: Specification  # with the command line's names added
    options: Options  # for resolve()
    own_inputs: frozenset[str]  # paths whose members are exported
    strip_debug: bool
    strip_all: bool
    step: ReleaseStep
    previous: PreviousRelease | None = None
    bootstrap: str = ""  # names of functions, see LibraryRequest
    interpreter: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.version}"

    def owns(self, where: str) -> bool:
        """Whether `where`, FILE or FILE(MEMBER), is of an input whose members are exported. Either name may have parentheses."""
        if where in self.own_inputs:
            return True
        end = where.find("(")
        while end >= 0:
            if where[:end] in self.own_inputs:
                return True
            end = where.find("(", end + 1)
        return False


def identity_name(text: str) -> str:
    """`c` -> `libc_s`; a name that has prefix and suffix already stays, and each is added where it is missing."""
    name = text if text.startswith("lib") and text.endswith("_s") else f"lib{text}"
    return name if name.endswith("_s") else f"{name}_s"


def make_plan(request: LibraryRequest) -> LibraryPlan:
    """Joins command line and specification file; the command line comes first. Raises ToolError with all mistakes."""
    spec = specification.read(request.specification) if request.specification else Specification("mkshlib")
    problems = Diagnostics()
    before = _previous(request, problems)
    name, version = _identity(request, spec, before, problems)
    base, data = _addresses(request, spec, name, version, before, problems)
    inputs = _sorted_inputs(request, spec, problems)
    if not inputs.own and not problems.items:
        raise UsageError(Diagnostic("mkshlib", "no objects to make a library of", remedy="see `uselib mkshlib --help`"))
    problems.raise_if_any()
    assert version is not None
    spec = replace(
        spec,
        interposable=tuple(dict.fromkeys((*spec.interposable, *request.interposable))),
        hide=(*spec.hide, *request.hide),
        export=(*spec.export, *request.export),
    )
    whole_name = identity_name(name)
    old = before.history if before is not None else None
    step = ReleaseStep(old, version, _declared(request, spec), f"{whole_name}.{version}")
    check_version(step)
    return LibraryPlan(
        name=whole_name,
        version=version,
        base=base,
        data_address=data,
        gap=request.gap,
        registry=request.registry,
        scheme=request.scheme,
        spec=spec,
        options=Options(
            inputs=inputs.arguments(),
            library_paths=request.library_paths,
            scheme="uselib",
            entry="",
            base=base,
            strip_debug=request.strip_debug,
            discard_locals=request.strip_all,
        ),
        own_inputs=frozenset(inputs.own),
        strip_debug=request.strip_debug,
        strip_all=request.strip_all,
        step=step,
        previous=before,
        bootstrap=request.bootstrap,
        interpreter=request.interpreter,
    )


def _identity(
    request: LibraryRequest, spec: Specification, before: PreviousRelease | None, problems: Diagnostics
) -> tuple[str, Version | None]:
    """The given name and version; empty and None where there is none."""
    name, version = request.name or spec.name, request.version or spec.version
    if request.next_version and before is not None:
        version = next_version(before.history.version, ReleaseLevel.PATCH)
    place = request.specification or "mkshlib"
    if not name:
        problems.add(place, "the library has no name", remedy="give --name N, or #name in a specification file")
    elif "/" in name or not name.isprintable() or " " in name:
        problems.add(place, f"`{name}` cannot be the name of a library")
    if version is None:
        remedy = "give --version X.Y.Z, or #version in a specification file"
        problems.add(place, "the library has no version", remedy=remedy)
    return name, version


def _addresses(
    request: LibraryRequest,
    spec: Specification,
    name: str,
    version: Version | None,
    before: PreviousRelease | None,
    problems: Diagnostics,
) -> tuple[int | None, int | None]:
    """(base, data address); a base of None comes from the registry, a data address of None from the layout."""
    base = request.text_address if request.text_address is not None else spec.text_address
    data = request.data_address if request.data_address is not None else spec.data_address
    place = request.specification or "mkshlib"
    if before is not None:
        base = _base_of_follower(before, name, version, base, data, request, problems)
    if base is None and not request.registry:
        remedy = "give --text ADDRESS, #address .text, or --map REGISTRY"
        problems.add(place, "the library has no address", remedy=remedy)
    if base is not None and data is not None and data <= base:
        problems.add(place, f"the data address {data:#x} is not behind the text address {base:#x}")
    if data is not None and base is None and before is None:
        problems.add(place, "a data address needs a text address", remedy="give --text too, or leave out --data")
    return base, data


@dataclass
class _Inputs:
    """own: paths whose members are all exported. others: inputs from which the linker takes members as needed, in order."""

    own: list[str] = field(default_factory=list)
    others: list[InputArgument] = field(default_factory=list)

    def arguments(self) -> tuple[InputArgument | InputGroup, ...]:
        """The library's own members first, then a group of the rest, wherever they stand on the command line."""
        own = (InputArgument(path, whole=True) for path in self.own)
        return (*own, InputGroup(tuple(self.others))) if self.others else tuple(own)


def _sorted_inputs(request: LibraryRequest, spec: Specification, problems: Diagnostics) -> _Inputs:
    """The objects and libraries of the command line and of #objects, sorted by their kinds."""
    place = request.specification or "mkshlib"
    found = _Inputs()
    for path in (*request.inputs, *(beside(place, path) for path in spec.objects if not path.startswith("-l"))):
        try:
            for item in _expand(path):
                if stub.is_stub(item):
                    found.others.append(InputArgument(item))
                else:
                    found.own.append(item)
        except OSError as failure:
            problems.add(path, f"cannot be read: {failure.strerror}")
    for path in (beside(place, path) for path in spec.noload if not path.startswith("-l")):
        try:
            if not stub.is_stub(path):
                problems.add(path, f"is not a stub library (it has no `{LIBRARY_NAME}`), so it cannot be `noload`")
        except OSError as failure:
            problems.add(path, f"cannot be read: {failure.strerror}")
        found.others.append(InputArgument(path))
    named = (path[2:] for path in (*spec.noload, *spec.objects) if path.startswith("-l"))
    found.others += [InputArgument(library, library=True) for library in (*request.libraries, *named)]
    found.others += [InputArgument(path) for path in request.private_archives]
    return found


def _declared(request: LibraryRequest, spec: Specification) -> DeclaredChanges:
    """The changes that command line and specification declare."""
    renames = (RenameLine(old, new, "--rename") for old, new in request.rename)
    return DeclaredChanges(
        retire=(*spec.retire, *request.retire),
        rename=(*spec.rename, *renames),
        move=(*spec.move_data, *request.move_data),
        keep_old_names=request.keep_old_names,
        renumber=request.renumber,
    )


def _previous(request: LibraryRequest, problems: Diagnostics) -> PreviousRelease | None:
    if not request.previous:
        return None
    try:
        return previous.read(request.previous)
    except OSError as failure:
        problems.add(request.previous, f"cannot be read: {failure.strerror}")
        return None


def _base_of_follower(
    before: PreviousRelease,
    name: str,
    version: Version | None,
    base: int | None,
    data: int | None,
    request: LibraryRequest,
    problems: Diagnostics,
) -> int | None:
    """The base of a library that follows `before`. Collects contradictions to the addresses that programs rely on."""
    old = before.history
    if name and identity_name(name) != old.name:
        problems.add(
            before.where,
            f"is {old.file_name}, and this library is {identity_name(name)}",
            remedy="give --previous a release of the same library",
        )
    if version is None or (version.major != old.version.major):
        known = request.registry or base is not None  # another library, so it may have another place
        return base if known else old.base
    if base not in (None, old.base):
        problems.add(
            before.where,
            f"programs have {old.name} at {old.base:#x}, not at {base:#x}",
            remedy="leave out --text and #address .text, or take a new major version",
        )
    if old.data_size and data not in (None, old.data):
        problems.add(
            before.where,
            f"programs have the data of {old.name} at {old.data:#x}, not at {data:#x}",
            remedy="leave out --data and #address .data, or take a new major version",
        )
    if old.scheme == "uselib" and request.scheme != "uselib":
        problems.add(
            before.where,
            "has scheme uselib, which every program can load; of scheme mmap only some could",
            remedy="leave out --scheme, or take a new major version",
        )
    return old.base


def beside(spec: str, path: str) -> str:
    """Paths in a specification file are relative to the current directory, or else to the file's own."""
    if os.path.isabs(path) or os.path.exists(path):
        return path
    beside = os.path.join(os.path.dirname(spec), path)
    return beside if os.path.exists(beside) else path


def _expand(path: str) -> Iterator[str]:
    """A directory of objects as its *.o files in order of name; anything else as it is."""
    if not os.path.isdir(path) or stub.is_stub(path):
        yield path
        return
    found = sorted(str(item) for item in Path(path).iterdir() if item.suffix in (".o", ".lo") and item.is_file())
    if not found:
        raise LinkError(Diagnostic(path, "is a directory without objects (*.o)"))
    yield from found


def default_gap(text_size: int) -> int:
    """Room for the text to grow in compatible releases: 25 %, at least two pages, in whole pages."""
    return max(2 * PAGE, (text_size // 4 + PAGE - 1) & -PAGE)
