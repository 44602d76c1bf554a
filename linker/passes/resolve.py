"""Symbol resolution: which files take part in the link (definitions.py: which definition each global name has).

Files are taken in command-line order, as GNU ld does: an object file always; a member of an archive only when the
archive's index lists it under a name that is undefined (and strongly so) at that point. An archive, or a whole group, is
searched until nothing new is taken. After this pass there are no more files, and every global name has one `Symbol`.
"""

from __future__ import annotations

import os

from uselib.linker.errors import Diagnostic, LinkError, ToolError, error
from uselib.linker.formats import ar, elf
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.formats.magic import is_bitcode, is_textbook_library
from uselib.linker.formats.shared_object import is_shared, read_shared_object
from uselib.linker.image import Machine
from uselib.linker.options import InputArgument, InputGroup, Options
from uselib.linker.passes import commons
from uselib.linker.passes.definitions import Definitions
from uselib.linker.passes.inputs import read_object, refuse_link_time
from uselib.linker.passes.libraries import (
    Finder,
    InputLibrary,
    archive_library,
    directory_library,
    machine_of,
    object_library,
    read_file,
    text_library,
)
from uselib.linker.passes.model import InputStub, ObjectFile
from uselib.linker.passes.object_formats import as_elf
from uselib.linker.passes.resolution import Resolution, is_large
from uselib.linker.passes.shared_inputs import SharedInputs
from uselib.linker.quick_dataclass import replace
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.linker.versions import library_name

if TYPE_CHECKING:
    from uselib.linker.lto.compilation import LinkTimeFiles

_BITCODE = "link with clang -flto, which passes -plugin; or compile with -fno-lto"


class Resolver:
    """Takes inputs one after the other. `files` and `table` always describe what was taken so far."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.shared = SharedInputs()
        self.table = Definitions(options, self.shared, any(map(self._takes_shared, options.arguments())))
        self.problems, self.warnings = self.table.problems, self.table.warnings
        self.machine = options.machine
        self.files: list[ObjectFile] = []
        self.traced: list[str] = []
        self._libraries: dict[str, InputLibrary] = {}
        self.finder = Finder(options)
        self._data: dict[tuple[str, int], frozenset[str]] = {}  # of members of libraries: _has_data
        self._scripts: list[str] = []  # being read, outermost first
        self._link_time: LinkTimeFiles | None = None
        self._offers_all = bool(options.plugins) and options.shape == "relocatable"  # gcc's counts the others

    def add_object(
        self, data: memoryview, where: str, stub: InputStub | None = None, place: tuple[str, int, int] | None = None
    ) -> None:
        """Takes an object file into the link. place: its file, offset there and size."""
        file = read_object(data, where, stub)
        if file.link_time or self._offers_all:
            claimed = self._claim(where, place, file.elf.machine)
            if claimed is None and file.link_time == "only":
                refuse_link_time(where)
            file = claimed or file
        remedy = "compile it for the same machine" + ("" if self._options.machine else ", or give -m")
        if not self._fits(file.elf.machine, "an object", where, remedy):
            return
        self.files.append(file)
        if stub is not None:
            stub.objects.append(file)
        if self._options.trace:
            self.traced.append(where)
        self.table.add(file)

    def _fits(self, machine: Machine, what: str, where: str, remedy: str) -> bool:
        """Whether a file is for the machine of the link, which the first file decides without -m. If not, the problem is noted."""
        if self.machine is None:
            self.machine = machine
        if machine is not self.machine:
            text = f"{what} for {machine.label} in a link for {self.machine.label}"
            self.problems.append(Diagnostic(where, text, remedy=remedy))
        return machine is self.machine

    def add_bitcode(self, where: str, place: tuple[str, int, int] | None) -> None:
        """Takes a file of LLVM's intermediate code."""
        file = self._claim(where, place, self.machine or Machine.X86_64)
        if file is None:
            raise error(where, "LLVM's intermediate code, of link-time optimisation", remedy=_BITCODE)
        self.files.append(file)
        self.table.add(file)

    def _claim(self, where: str, place: tuple[str, int, int] | None, machine: Machine) -> ObjectFile | None:
        """What stands for a file of link-time optimisation, if a plugin claims it."""
        if not self._options.plugins or place is None:
            return None
        if self._link_time is None:
            from uselib.linker.lto.compilation import LinkTimeFiles  # only for such files

            self._link_time = LinkTimeFiles(self._options, self.table, self.shared, self.finder)
        known = self._link_time
        return known.claim(where, place, machine) if not known.compiled else None

    def compile_link_time(self) -> None:
        """All files are read: those of link-time optimisation become objects, where the first of them was."""
        known = self._link_time
        if known is None:
            return
        try:
            if self.problems or not known.files:
                return
            gone = set(map(id, known.files))
            position = next(n for n, file in enumerate(self.files) if id(file) in gone)
            self.files = [file for file in self.files if id(file) not in gone]
            found, count = known.compile(self.files), len(self.files)
            for path in found.files:
                self.add_object(memoryview(read_file(path)), path)
            self.files = [*self.files[:position], *self.files[count:], *self.files[position:count]]
            for directory in found.directories:
                self.finder.search(directory)
            given = [a for i in self._options.inputs for a in (i.members if isinstance(i, InputGroup) else (i,))]
            dynamic = not given or given[-1].dynamic  # as the command line has left it: -static holds for these too
            for name in found.libraries:
                self.take(InputArgument(name, library=True, as_needed=True, dynamic=dynamic))
            self._take_group(self.libraries)
        finally:
            known.close()

    # -- files -----------------------------------------------------------------------------------------------------

    def take(self, argument: InputArgument | InputGroup) -> None:
        """Takes an input of the command line."""
        try:
            if isinstance(argument, InputGroup):
                self._take_group([library for member in argument.members for library in self._open(member)])
            else:
                libraries = self._open(argument)  # several: those of a linker script, which is a group
                if len(libraries) == 1:
                    self.search(libraries[0])
                else:
                    self._take_group(libraries)
        except ToolError as failure:  # continue, to report all problems together
            self.problems += failure.diagnostics

    def _take_group(self, libraries: list[InputLibrary]) -> None:
        while True:
            before = len(self.files)
            for library in libraries:
                self.search(library)
            if len(self.files) == before:
                return

    def _open(self, argument: InputArgument) -> list[InputLibrary]:
        """Takes an object file at once; gives the library (or those of a linker script) to be searched."""
        path = self.finder.library(argument.name, self._takes_shared(argument)) if argument.library else argument.name
        key = os.path.abspath(path)
        if key not in self._libraries:
            if os.path.isdir(path):
                self._libraries[key] = directory_library(path)
            else:
                data = read_file(path)
                self.finder.read.append(path)
                if (found := as_elf(data, path)) is not None:
                    if is_shared(found) and self._takes_shared(argument):
                        self.add_shared(found, path, argument)
                    elif argument.lazy:
                        return [object_library(found, path)]
                    else:
                        self.add_object(found, path, None, (path, 0, len(found)))
                    return []
                if is_bitcode(data):
                    self.add_bitcode(path, (path, 0, len(data)))
                    return []
                if is_textbook_library(data):
                    self._libraries[key] = text_library(data, path)
                elif data[:8] not in (ar.MAGIC, ar.THIN_MAGIC):
                    return self._script(data, path, argument)
                else:
                    self._libraries[key] = archive_library(data, path)
        library = self._libraries[key]
        if argument.whole:
            if (
                library.stub is None and library.taken
            ):  # all members again, as in GNU ld: what they define is defined twice
                library = replace(library, taken=set())
            for member in library.all_keys():
                self._take_member(library, member)
        return [library]

    def _takes_shared(self, argument: InputArgument) -> bool:
        options = self._options
        return argument.dynamic and options.format == "elf" and not options.scheme and options.shape != "relocatable"

    def _script(self, data: bytes, path: str, argument: InputArgument) -> list[InputLibrary]:
        if path in self._scripts:
            raise error(path, "this linker script names itself")
        self._scripts.append(path)
        try:
            known = len(self.finder.assignments)
            inputs = self.finder.script(data, path)
            for name, expression in self.finder.assignments[known:]:
                self.table.assign(name, expression)
            return [
                library
                for item in inputs
                for library in self._open(
                    InputArgument(
                        item.name,
                        item.library,
                        argument.whole,
                        argument.dynamic,
                        argument.as_needed or item.as_needed,
                    )
                )
            ]
        finally:
            self._scripts.pop()

    def add_shared(self, data: memoryview, path: str, argument: InputArgument) -> None:
        """Takes a shared object."""
        name = os.path.basename(path) if argument.library else path
        file = read_shared_object(data, path, name)
        machine = elf.identify(data, path)[0]
        if self._fits(machine, "a shared object", path, "give the library for the same machine"):
            self.shared.add(file, argument.as_needed, self.table.symbols, self.table.undefined)

    def check_shared(self) -> None:
        """Whether what the shared objects refer to is defined; what they need is read for it, and counts as input with
        --copy-dt-needed-entries."""
        options = self._options
        check = not options.shlib_undefined if options.shlib_undefined is not None else options.shape != "shared"
        check &= options.unresolved in ("report-all", "ignore-in-object-files")
        if not self.shared.libraries or not (check or options.copy_dt_needed):
            return
        from uselib.linker.passes.shared_dependencies import SharedDependencies  # what a dynamic linker would look for

        found = SharedDependencies(options, self.shared, self.machine)
        if options.copy_dt_needed:
            for file in found.all():
                self.shared.add(file, True, self.table.symbols, self.table.undefined)
        elif check:
            into = self.problems if options.unresolved_are_errors else self.warnings
            into += found.undefined(self.table.symbols)

    # -- libraries -------------------------------------------------------------------------------------------------

    def search(self, library: InputLibrary) -> None:
        """Takes members that define what is undefined, in the index's order, until nothing more is found."""
        undefined, tentative, taken = self.table.undefined, self.table.commons, library.taken
        found = True
        while found and (undefined or tentative):
            found = False
            for name, key in library.index:
                if key in taken:
                    continue
                if name in undefined or (name in tentative and self._has_data(library, key, name)):
                    self._take_member(library, key)
                    found = True

    def _has_data(self, library: InputLibrary, key: int, name: str) -> bool:
        """Whether a member defines a global datum of that name: it then replaces a common one, as in GNU ld. A function, a weak
        definition or another common symbol does not. The program's own data are never replaced by those of a stub library."""
        if library.stub is not None:
            return False
        place = (library.where, key)
        if place not in self._data:
            where, data = library.load(key)
            found = as_elf(data, where)
            self._data[place] = commons.data_of(read_object(found, where)) if found is not None else frozenset()
        return name in self._data[place]

    def _take_member(self, library: InputLibrary, key: int) -> None:
        if key in library.taken:
            return
        library.taken.add(key)
        where, data = library.load(key)
        found, place = as_elf(data, where), library.place(key) if library.place is not None else None
        if found is not None:
            self.add_object(found, where, library.stub, place)
        elif is_bitcode(data):
            self.add_bitcode(where, place)
        elif where.endswith(f"({ar.BSD_INDEX})"):  # the index of an old archive
            return
        else:
            self.problems.append(Diagnostic(where, "not an object file"))

    def add_dependencies(self, list_them: bool) -> None:
        """Stub libraries that those in use depend on: found by themselves, and searched for what is undefined.

        list_them: also take their first object, as if the program referred to them, so that they appear in `.lib`, are
        checked for overlaps, and see the program's definitions of what is interposable.
        """
        missing: set[str] = set()
        while True:
            before = len(self.files)
            known = {library.stub.name: library for library in self._libraries.values() if library.stub}
            for user in self.stubs:
                for file_name in user.dependencies:
                    name = library_name(file_name)
                    library = known.get(name)
                    if library is None and name not in missing:
                        library = self._find_dependency(file_name, user)
                        if library is None:
                            missing.add(name)
                        else:
                            known[name] = library
                    if library is not None and list_them and library.stub and not library.stub.objects:
                        for symbol, key in library.index:
                            if symbol.startswith(NEEDS_PREFIX):
                                self._take_member(library, key)
            self._take_group(list(known.values()))
            if len(self.files) == before:
                return

    def _find_dependency(self, file_name: str, user: InputStub) -> InputLibrary | None:
        name = library_name(file_name)
        path = self.finder.dependency(file_name, user)
        if path is None:
            self.warnings.append(
                Diagnostic(
                    user.where,
                    f"depends on {file_name}, whose stub library was not found",
                    remedy=f"name {name}.a on the command line or give its directory with -L",
                )
            )
            return None
        for library in self._open(InputArgument(path)):
            if library.stub is not None and library.stub.name == name:
                return library
        raise error(path, f"is not the stub library of {file_name}, which {user.where} depends on")

    @property
    def libraries(self) -> list[InputLibrary]:
        """All that were opened, in the order of the command line."""
        return list(self._libraries.values())

    @property
    def stubs(self) -> list[InputStub]:
        """The stub libraries in use, in link order."""
        return list({id(file.stub): file.stub for file in self.files if file.stub is not None}.values())


def resolve(options: Options, list_dependencies: bool = True) -> Resolution:
    """Reads all inputs. list_dependencies: libraries of libraries count as the program's own.

    Raises LinkError with every unreadable file, wrong machine and duplicate definition.
    """
    resolver = Resolver(options)
    for name in (*options.undefined, *options.require_defined):
        resolver.table.require(name)
    if options.entry and not options.entry[0].isdigit() and options.shape != "shared":
        resolver.table.require(options.entry)
    for name, expression in options.defsym:
        resolver.table.assign(name, expression)
    for argument in options.inputs:
        resolver.take(argument)
    if not resolver.problems:
        try:
            resolver.add_dependencies(list_dependencies)
        except ToolError as failure:
            resolver.problems += failure.diagnostics
    resolver.compile_link_time()
    if not resolver.problems:
        resolver.check_shared()
    missing = resolver.shared.settle_versions(resolver.table.symbols, resolver.files)
    resolver.problems += (
        missing if options.shape == "shared" else []
    )  # undefined symbols of programs are reported anyhow
    if resolver.problems:
        raise LinkError(*dict.fromkeys(resolver.problems))
    resolver.shared.bind(resolver.table.symbols)
    machine = resolver.machine or machine_of(resolver.libraries)
    if machine is None:
        raise error("ld", "no input files")
    return Resolution(
        machine,
        resolver.files,
        resolver.table.symbols,
        resolver.stubs,
        resolver.table.conflicts_with(resolver.stubs),
        resolver.warnings,
        resolver.traced,
        is_large(resolver.files),
        list(resolver.shared.libraries.values()),
        resolver.finder.version_scripts,
        [*options.defsym, *resolver.finder.assignments],
        resolver.finder.read,
    )
