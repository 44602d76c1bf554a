"""The key of a comparison: a digest of all that it depends on. Equal keys give equal results.

A key is a digest of contents; names of files count only where the program sees them, and times never:
- the program, both libraries, files that `--prototypes` and `inputs` name, and arguments that are names of files
- the other libraries that the program uses, and theirs: every version of each that start-up could find in the directories it searches
- arguments, standard input, options, limits

Other files that a run reads (in its current directory, not named by an argument) are not in the key: name them in `inputs`. Runs with the
host's clock (`--realtime`) have no key. The version of uselib is in the cache's entries (cache.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Sequence

from uselib.abi.dynamic.run.result import AbiRequest
from uselib.emulator.process.run_options import OPTIONS
from uselib.linker.errors import ToolError

_MANY = 10_000  # files below a directory that is an input; more of them: no key
_DIRECTORIES = frozenset(("--sysroot", "--root"))
_INPUTS = frozenset(("--readable", "--prototypes"))
_SWITCHES = frozenset(name for name, option in OPTIONS.items() if option.read is None)


class _NoKey(Exception):
    """The comparison depends on something that a key cannot cover."""


class Keys:
    """Makes keys. It caches digests of files, so each file is read once."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._libraries: dict[tuple[str, ...], dict[str, str]] = {}
        self._programs: dict[str, tuple[tuple[str, ...], str]] = {}

    def key(self, request: AbiRequest, inputs: Iterable[str] = ()) -> str:
        """The key of a comparison, or an empty string if it has none."""
        try:
            parts = self._parts(request, inputs)
        except (_NoKey, OSError):
            return ""
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _parts(self, request: AbiRequest, inputs: Iterable[str]) -> dict[str, object]:
        plain = dataclasses.asdict(request)
        for name in ("program", "old", "new", "prototypes", "run_words", "parallel", "stdin"):
            del plain[name]
        words = request.run_words
        if "--realtime" in words:
            raise _NoKey
        options, named = _split(words)
        named += [name for name in request.arguments if os.path.isfile(name)]
        return {
            **plain,
            "argument 0": request.program,  # the program sees it
            "program": self._digest(request.program),
            "old": [os.path.basename(request.old), self._digest(request.old)],
            "new": [os.path.basename(request.new), self._digest(request.new)],
            "prototypes": [self._digest(path) for path in request.prototypes],
            "stdin": hashlib.sha256(request.stdin).hexdigest(),
            "options": options,
            "inputs": [[path, self._content(path)] for path in [*named, *inputs]],
            "libraries": self._dependencies(request, _searched(words)),
        }

    # -- files ---------------------------------------------------------------------------------------------------------

    def _digest(self, path: str) -> str:
        """SHA-256 of a regular file. Raises OSError, _NoKey."""
        known = self._files.get(path)
        if known is None:
            if not os.path.isfile(path):
                raise _NoKey
            with open(path, "rb", buffering=0) as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()
            self._files[path] = known
        return known

    def _content(self, path: str) -> object:
        """A file's digest; of a directory, those of all files below it. Raises _NoKey, OSError."""
        if not os.path.isdir(path):
            return self._digest(path)
        rows: list[tuple[str, str]] = []
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                full = os.path.join(folder, name)
                if len(rows) == _MANY:
                    raise _NoKey
                rows.append((os.path.relpath(full, path), self._digest(full)))
        return rows

    # -- other libraries -----------------------------------------------------------------------------------------------

    def _dependencies(self, request: AbiRequest, searched: tuple[str, ...]) -> dict[str, str]:
        key = (request.program, request.old, request.new, *searched)
        if key not in self._libraries:
            self._libraries[key] = self._closure(request, searched)
        return self._libraries[key]

    def _closure(self, request: AbiRequest, searched: tuple[str, ...]) -> dict[str, str]:
        """Path -> digest of all files that could be mapped besides the two libraries. Raises OSError, _NoKey."""
        recorded_names, recorded = self._recorded(request.program)
        names = list(recorded_names)
        folders = [*searched, *(part for part in recorded.split(":") if part), "/shlib"]
        folders += [os.path.dirname(os.path.abspath(path)) for path in (request.program, request.old, request.new)]
        sysroots = [word for option, word in _pairs(request.run_words) if option in _DIRECTORIES]
        folders += [os.path.join(root, folder.lstrip("/")) for root in sysroots for folder in [*folders, "shlib"]]
        names += [name for path in (request.old, request.new) for name in _needed(path)]
        compared = {os.path.realpath(path) for path in (request.old, request.new)}
        found: dict[str, str] = {}
        seen: set[str] = set()
        while names:
            name = names.pop()
            stem = os.path.basename(name).partition(".")[0]
            if stem in seen:
                continue
            seen.add(stem)
            for path in _candidates(stem, name, folders):
                if os.path.realpath(path) not in compared:
                    found[path] = self._digest(path)
                    names += _needed(path)
        return found

    def _recorded(self, program: str) -> tuple[tuple[str, ...], str]:
        """`.lib` of a program, and the paths of its libraries that it records. Raises OSError."""
        if program not in self._programs:
            from uselib.linker.formats.elf_image import read_image
            from uselib.linker.reading import read_file

            try:
                image = read_image(read_file(program), program)
                self._programs[program] = image.library_names, image.library_path
            except ToolError:  # not linked by our ld: it names no libraries to be found here
                self._programs[program] = (), ""
        return self._programs[program]


def _candidates(stem: str, name: str, folders: Sequence[str]) -> list[str]:
    """Every file that start-up's rules could choose for a recorded name: all versions in all directories, and the name as it is."""
    paths = [name] if "/" in name else []
    for folder in dict.fromkeys(folders):
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        paths += [os.path.join(folder, entry) for entry in entries if entry.partition(".")[0] == stem]
    return [path for path in paths if os.path.isfile(path)]


def _needed(path: str) -> tuple[str, ...]:
    """The file names of the libraries that a library depends on."""
    from uselib.loader.programs.headers import library_header

    try:
        with open(path, "rb") as file:
            header = library_header(file.read(4096), path)
    except (OSError, ToolError):
        return ()
    return header.dependencies if header is not None else ()


# -- options -----------------------------------------------------------------------------------------------------------


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Options with their values, as emulator/process/run_options.py reads them."""
    pairs, position = [], 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        position += 1
        if not equals and name not in _SWITCHES and position < len(words):
            value = words[position]
            position += 1
        pairs.append((name, value))
    return pairs


def _split(words: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Splits options into those that depend on their words alone, and the files and directories that other options name."""
    options: list[tuple[str, str]] = []
    named: list[str] = []
    for name, value in _pairs(words):
        if name in _DIRECTORIES:
            options.append((name, ""))  # only its presence counts here; its contents are looked at elsewhere
        if name in _INPUTS:
            named.append(value)
        elif name not in _DIRECTORIES and name != "--library-path":
            options.append((name, value))
        elif name == "--root":  # the program sees all of it
            named.append(value)
    return options, named


def _searched(words: Sequence[str]) -> tuple[str, ...]:
    """The directories of `--library-path`, else those of LD_LIBRARY_PATH, as `uselib run` takes them."""
    given = [value for name, value in _pairs(words) if name == "--library-path"]
    text = given[-1] if given else os.environ.get("LD_LIBRARY_PATH", "")
    return tuple(part for part in text.split(":") if part)
