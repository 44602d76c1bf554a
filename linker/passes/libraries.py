"""Finding and opening libraries: archives, stub libraries in both formats, and text files that name other inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from uselib.linker import reading
from uselib.linker.errors import error
from uselib.linker.formats import ar, elf
from uselib.linker.formats.library_names import LIBRARY_NAME
from uselib.linker.formats.magic import TEXTBOOK_MAP
from uselib.linker.image import Machine
from uselib.linker.options import InputArgument, Options
from uselib.linker.passes.inputs import read_object
from uselib.linker.passes.linker_scripts import parse_script
from uselib.linker.passes.model import InputStub
from uselib.linker.passes.object_formats import as_elf
from uselib.linker.quick_dataclass import dataclass, field
from uselib.linker.versions import library_name

_LIBRARY_FILES = {
    "aout": ("lib{}.sa", "lib{}.a"),
    "textbook": ("lib{}_s", "lib{}_s.lib", "lib{}", "lib{}.lib"),
}  # of -l


@dataclass
class InputLibrary:
    """An archive or a directory of members: an index, and a way to load the member it names."""

    where: str
    index: list[tuple[str, int]]  # symbol, key of the member that defines it
    all_keys: Callable[[], list[int]]  # all members, in order
    load: Callable[[int], tuple[str, memoryview]]  # FILE(MEMBER) and content, by key
    stub: InputStub | None
    taken: set[int] = field(default_factory=set)
    place: Callable[[int], tuple[str, int, int]] | None = None  # a member's file, offset and size, by key


def read_file(path: str) -> bytes:
    """The content of an input. Raises LinkError."""
    try:
        return reading.read_file(path)
    except OSError as failure:
        raise error(path, f"cannot be read: {failure.strerror}") from None


def archive_library(data: bytes, where: str) -> InputLibrary:
    """An archive; a stub library if its first member is `LIBRARY NAME`. Raises FormatError."""
    archive = ar.Archive(data, where)
    view = memoryview(data)
    first = archive.first()
    stub_text = None
    if first is not None and first.name == LIBRARY_NAME:
        stub_text = data[first.start : first.start + first.size]

    def load(key: int) -> tuple[str, memoryview]:
        member = archive.member(key)
        name = f"{where}({member.name})"
        if member.path:
            return name, memoryview(read_file(member.path))
        return name, view[member.start : member.start + member.size]

    def place(key: int) -> tuple[str, int, int]:
        member = archive.member(key)
        return (member.path, 0, member.size) if member.path else (where, member.start, member.size)

    def keys() -> list[int]:
        return [member.header for member in archive.members()[stub_text is not None :]]

    index = archive.index()
    if index is None:
        index = [(name, key) for key in keys() for name in _defined_names(*load(key))]
    stub = _stub(where, stub_text, index) if stub_text is not None else None
    return InputLibrary(where, index, keys, load, stub, place=place)


def text_library(data: bytes, where: str) -> InputLibrary:
    """A library in the textbook's file format; a stub library if its first line names a shared library. Raises FormatError."""
    from uselib.linker.historical.textbook.format import decode_library

    found = decode_library(data, where)
    index = [(name, key) for key, module in enumerate(found.modules) for name in module.defines]
    stub = None
    if found.shared:
        stub = InputStub(where, found.shared, found.dependencies, frozenset(name for name, _ in index))
    modules = [(f"{where}({module.name})", memoryview(module.content)) for module in found.modules]
    return InputLibrary(where, index, lambda: list(range(len(modules))), lambda key: modules[key], stub)


def _mapped_directory(path: str) -> InputLibrary:
    """A library in the textbook's directory format, with its MAP."""
    from uselib.linker.historical.textbook.format import parse_map

    where = os.path.join(path, TEXTBOOK_MAP)
    rows = parse_map(read_file(where).decode("utf-8", "replace"), where)
    index = [(name, key) for key, (_, names) in enumerate(rows) for name in names]
    described = os.path.join(path, LIBRARY_NAME)
    stub = _stub(path, read_file(described), index) if os.path.isfile(described) else None

    def load(key: int) -> tuple[str, memoryview]:
        name = rows[key][0]
        return f"{path}({name})", memoryview(read_file(os.path.join(path, name)))

    return InputLibrary(path, index, lambda: list(range(len(rows))), load, stub)


def directory_library(path: str) -> InputLibrary:
    """A library in directory format: `LIBRARY NAME` and the members as files, taken in order of their names; or, with a file MAP, as the
    textbook describes it."""
    if os.path.isfile(os.path.join(path, TEXTBOOK_MAP)):
        return _mapped_directory(path)
    if not os.path.isfile(os.path.join(path, LIBRARY_NAME)):
        raise error(path, f"the directory has no file `{LIBRARY_NAME}`, so it is not a library")
    names = sorted(name for name in os.listdir(path) if name != LIBRARY_NAME)

    def load(key: int) -> tuple[str, memoryview]:
        return f"{path}({names[key]})", memoryview(read_file(os.path.join(path, names[key])))

    keys = list(range(len(names)))
    index = [(name, key) for key in keys for name in _defined_names(*load(key))]
    stub = _stub(path, read_file(os.path.join(path, LIBRARY_NAME)), index)
    return InputLibrary(path, index, lambda: keys, load, stub)


def _stub(where: str, text: bytes, index: Iterable[tuple[str, int]]) -> InputStub:
    lines = [line.strip() for line in text.decode("utf-8", "replace").replace("\0", "").splitlines() if line.strip()]
    if not lines:
        raise error(where, f"its `{LIBRARY_NAME}` is empty: the first line must be the library's file name")
    return InputStub(where, lines[0], tuple(lines[1:]), frozenset(name for name, _ in index))


def _defined_names(where: str, data: memoryview) -> list[str]:
    """The global names an object defines, for libraries without an index."""
    found = as_elf(data, where)
    if found is None:
        return []
    file = read_object(found, where)
    return [file.strings[symbol.name] for symbol in file.symbols[file.first_global :] if symbol.section]


def object_library(data: memoryview, where: str) -> InputLibrary:
    """An object between --start-lib and --end-lib, as an archive of one member."""
    index = [(name, 0) for name in _defined_names(where, data)]
    return InputLibrary(where, index, lambda: [0], lambda _: (where, data), None)


def machine_of(libraries: Iterable[InputLibrary]) -> Machine | None:
    """The machine of the first object in a library, for a link that takes none of their members."""
    for library in libraries:
        for key in library.all_keys():
            where, data = library.load(key)
            if (found := as_elf(data, where)) is not None:
                return elf.identify(found, where)[0]
    return None


class Finder:
    """Where inputs are looked for: -L, --sysroot and --scheme."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._searched: list[str] = []  # SEARCH_DIR of linker scripts
        self.version_scripts: list[tuple[str, str]] = []  # of linker scripts: text, place
        self.assignments: list[tuple[str, str]] = []  # of linker scripts: symbol, expression
        self.read: list[str] = []  # every file that was read, in order

    def search(self, directory: str) -> None:
        """Looks for libraries there too, after all others."""
        self._searched.append(directory)

    def directories(self) -> list[str]:
        """-L directories, `=` and `$SYSROOT` replaced by the sysroot, then those of scripts."""
        return [*map(self._in_sysroot, self._given()), *self._searched]

    def _given(self) -> list[str]:
        root = self._options.sysroot
        return [root + d[1:] if d.startswith("=") else d for d in self._options.library_paths]

    def library(self, name: str, shared: bool = False) -> str:
        """The file or directory that `-l name` stands for; shared: libNAME.so goes before libNAME.a. Raises LinkError."""
        if name.startswith(":"):
            names = [name[1:]]
        elif self._options.format in _LIBRARY_FILES:
            names = [pattern.format(name) for pattern in _LIBRARY_FILES[self._options.format]]
        elif self._options.scheme not in ("", "static"):
            names = [f"lib{name}_s.a", f"lib{name}_s", f"lib{name}.a"]
        else:
            names = [f"lib{name}.a", f"lib{name}"] if name.endswith("_s") else [f"lib{name}.a"]
            if shared:
                names.insert(0, f"lib{name}.so")
        found = _first(self.directories(), names)
        if found is not None:
            return found
        dynamic = any(os.path.exists(os.path.join(d, f"lib{name}.so")) for d in self.directories())
        raise error(
            f"-l{name}",
            f"no {' or '.join(names)} in the library directories",
            remedy=f"there is only lib{name}.so: link with -static" if dynamic else "give its place with -L",
        )

    def script_text(self, path: str) -> tuple[str, str]:
        """A version script, which is looked for in the library directories too: its text and its place. Raises LinkError."""
        if not os.path.exists(path) and not os.path.isabs(path):
            path = _first(self.directories(), [path]) or path
        return read_file(path).decode("utf-8", "replace"), path

    def dependency(self, file_name: str, user: InputStub) -> str | None:
        """The stub library of `file_name` (libc_s.4.0.0), which `user` depends on: under -L, or beside the user."""
        name = library_name(file_name)
        places = [*self.directories(), os.path.dirname(user.where)]
        return _first(places, [f"{file_name}.a", f"{name}.a", name])

    def script(self, data: bytes, path: str) -> list[InputArgument]:
        """What a text file such as libc.so names. Raises LinkError."""
        found = parse_script(data, path)
        self.version_scripts += [(text, path) for text in found.versions]
        self.assignments += found.assignments
        self._searched += [self._in_sysroot(directory) for directory in found.directories]
        return [
            InputArgument(item[2:], library=True, as_needed=as_needed)
            if item.startswith("-l")
            else InputArgument(self._script_path(item, path), as_needed=as_needed)
            for item, as_needed in found.inputs
        ]

    def _in_sysroot(self, item: str) -> str:
        """A path with `=` or `$SYSROOT` in front of it is one below the sysroot."""
        for prefix in ("=", "$SYSROOT"):
            if item.startswith(prefix):
                return self._options.sysroot + item.removeprefix(prefix)
        return item

    def _script_path(self, item: str, script: str) -> str:
        if item.startswith(("=", "$SYSROOT")):
            return self._in_sysroot(item)
        if self._options.sysroot and item.startswith("/") and os.path.exists(self._options.sysroot + item):
            return self._options.sysroot + item
        if os.path.exists(item) or item.startswith("/"):
            return item
        return _first([os.path.dirname(script), *self.directories()], [item]) or item


def _first(directories: list[str], names: list[str]) -> str | None:
    """The first of `names` in the first directory that has one: a file, or a library in directory format."""
    for directory in directories:
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) or any(os.path.isfile(os.path.join(path, n)) for n in (LIBRARY_NAME, TEXTBOOK_MAP)):
                return path
    return None
