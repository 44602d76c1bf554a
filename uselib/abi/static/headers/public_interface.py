"""The public interface of a library as its C headers declare it.

Headers say what debug information cannot: which exported names programs may use, which structures they know the contents of,
and the constants that were compiled into them. Of a library without debug information they also give the types.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from uselib.abi.static.model.facts import Constant, DataFact, Facts, FunctionFact
from uselib.linker.c_types.preprocess import PreprocessedText, Settings, expansions, preprocess
from uselib.linker.c_types.types import Enumeration, FunctionType, Record, TypeId, Types
from uselib.linker.c_types.units import TopLevelDeclaration, split
from uselib.linker.c_types.words import KEYWORDS, WORD
from uselib.linker.errors import Diagnostic, FormatError, ToolError
from uselib.linker.image import Machine

if TYPE_CHECKING:
    from uselib.linker.c_types.declared_types import DeclaredTypes

_SUFFIXES = (".h", ".hh", ".hpp", ".hxx")
_MOST_FILES = 10_000
_CPLUSPLUS = re.compile(r"(?:class|template|namespace|using|inline\s+namespace|enum\s+class)\b")
_SHOWN = 5  # problems of one kind that are told one by one


@dataclass(frozen=True, slots=True)
class DeclaredSymbol:
    """A function or variable that headers declare. type: its number in `HeaderFacts.types`."""

    type: TypeId
    place: str


@dataclass(frozen=True)
class HeaderFacts:
    """functions, data: by the symbol's name (that of an asm label, if it has one). record_names: tags and type names that are
    defined completely. inlines: functions that the headers define, as `Facts.inlines`. uncertain: words of declarations that
    could not be read: any of them may be a public name. unknown: one sentence for each thing that could not be read."""

    files: tuple[str, ...] = ()
    functions: dict[str, DeclaredSymbol] = field(default_factory=dict)
    data: dict[str, DeclaredSymbol] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    record_names: frozenset[str] = frozenset()
    inlines: dict[str, str] = field(default_factory=dict)
    uncertain: frozenset[str] = frozenset()
    types: Types = field(default_factory=Types)
    unknown: tuple[str, ...] = ()


def header_files(paths: Iterable[str]) -> list[str]:
    """The files that are meant: a directory's headers, in the order of their names. Raises FormatError."""
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            if not os.path.exists(path):
                raise FormatError(Diagnostic(path, "no such header file or directory"))
            found.append(path)
            continue
        inside = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if name.endswith(_SUFFIXES)
        )
        if not inside:
            raise FormatError(
                Diagnostic(path, "has no header in it", remedy="give the directory that holds the *.h files")
            )
        found += inside
        if len(found) > _MOST_FILES:
            raise FormatError(
                Diagnostic(path, f"has more than {_MOST_FILES} headers", remedy="give the public ones only")
            )
    return found


class _OwnFiles:
    """Is a file one of the headers that were given, or included by them from beside them?"""

    def __init__(self, files: Iterable[str]) -> None:
        self._shown = {os.path.realpath(name): name for name in files}
        self._folders = {os.path.dirname(real): os.path.dirname(name) for real, name in self._shown.items()}
        self._known: dict[tuple[str, bool], str] = {}

    def name(self, file: str, system: bool) -> str:
        """How to show the file, or "" if it is not the library's own."""
        key = file, system
        if key not in self._known:
            self._known[key] = self._decide(file, system)
        return self._known[key]

    def _decide(self, file: str, system: bool) -> str:
        if not file or file.startswith("<"):
            return ""
        real = os.path.realpath(file)
        if real in self._shown:
            return self._shown[real]
        folder = os.path.dirname(real)
        while not system and folder not in ("/", ""):
            if folder in self._folders:
                return os.path.join(self._folders[folder], os.path.relpath(real, folder))
            folder = os.path.dirname(folder)
        return ""


def read_headers(
    paths: Sequence[str],
    machine: Machine,
    include_dirs: Sequence[str] = (),
    defines: Sequence[str] = (),
    compiler: Sequence[str] = (),
) -> HeaderFacts:
    """Reads header files and directories. include_dirs, defines: as the compiler's -I and -D. compiler: the command whose
    preprocessor is used, with what selects the machine; without one the text is read as it stands (preprocess.py).

    What cannot be read is told in `unknown`. Raises FormatError if nothing could be, or a path is not there.
    """
    files = header_files(paths)
    folders = [path for path in paths if os.path.isdir(path)]
    settings = Settings(machine, (*include_dirs, *folders), tuple(defines), tuple(compiler))
    sources, unknown = _sources(files, settings)
    own = _OwnFiles(files)
    results = [_read(source, own, settings) for source in sources]
    result = results[0] if len(results) == 1 else _joined(results)
    if not compiler:
        unknown.append(
            "headers were read without a C compiler: system headers and computed conditions are not taken into account"
        )
    return replace(result, files=tuple(files), unknown=(*unknown, *result.unknown))


def _sources(files: Sequence[str], settings: Settings) -> tuple[list[PreprocessedText], list[str]]:
    """All headers as one text, as a program that includes them all sees them; if that fails, those that work, one by one."""
    try:
        return [preprocess(files, settings)], []
    except OSError as failure:
        problem: ToolError = FormatError(Diagnostic(failure.filename or files[0], failure.strerror or str(failure)))
    except ToolError as failure:
        problem = failure
    working: list[str] = []
    unknown: list[str] = []
    if len(files) > 1:
        for name in files:
            try:
                preprocess([name], settings)
                working.append(name)
            except (ToolError, OSError) as failure:
                unknown.append(f"header not read: {_words(failure)}")
    if not working:
        raise problem
    try:
        return [preprocess(working, settings)], unknown
    except (ToolError, OSError):  # each works alone, not together
        return [preprocess([name], settings) for name in working], unknown


def _words(failure: Exception) -> str:
    return str(failure) if isinstance(failure, ToolError) else f"{getattr(failure, 'filename', '')}: {failure}"


def _joined(results: Sequence[HeaderFacts]) -> HeaderFacts:
    """Headers that cannot be included together: names and constants of all, types of none (each text numbers its own)."""
    functions = {name: replace(d, type=-1) for r in results for name, d in r.functions.items()}
    data = {name: replace(d, type=-1) for r in results for name, d in r.data.items()}
    return HeaderFacts(
        functions=functions,
        data=data,
        constants={name: c for r in results for name, c in r.constants.items()},
        record_names=frozenset().union(*(r.record_names for r in results)),
        inlines={name: text for r in results for name, text in r.inlines.items()},
        uncertain=frozenset().union(*(r.uncertain for r in results)),
        unknown=(
            *dict.fromkeys(text for r in results for text in r.unknown),
            "the headers cannot be included together: their types were not compared",
        ),
    )


def _read(source: PreprocessedText, own: _OwnFiles, settings: Settings) -> HeaderFacts:
    from uselib.abi.static.headers.macro_constants import constants
    from uselib.linker.c_types.declared_types import DeclaredTypes
    from uselib.linker.c_types.type_names import TypeNames

    units = []
    public = []
    for unit in split(source):
        shown = own.name(unit.file, unit.system)
        if shown:
            unit.file = shown
            public.append(unit)
        units.append(unit)
    types = DeclaredTypes(TypeNames.of(units), settings.machine)
    reader = _PublicDeclarations(types)
    for unit in public:
        reader.take(unit)
    wanted = []
    for macro in source.macros.values():
        shown = own.name(macro.file, macro.system)
        if shown:
            wanted.append(macro._replace(file=shown))
    names = reader.record_names(units, public)
    return HeaderFacts(
        functions=reader.functions,
        data=reader.data,
        constants=constants(
            wanted,
            source.macros,
            types.expression,
            settings.machine.word,
            lambda names: expansions(source.files, settings, names),
        ),
        record_names=names,
        inlines=reader.inlines,
        uncertain=frozenset(reader.uncertain),
        types=types.types(),
        unknown=tuple(reader.sentences()),
    )


class _PublicDeclarations:
    """Takes the public declarations, one at a time; what is not understood is noted and leaves the others alone."""

    def __init__(self, types: DeclaredTypes) -> None:
        self.types = types
        self.functions: dict[str, DeclaredSymbol] = {}
        self.data: dict[str, DeclaredSymbol] = {}
        self.inlines: dict[str, str] = {}
        self.uncertain: set[str] = set()
        self._problems: list[str] = []

    def take(self, unit: TopLevelDeclaration) -> None:
        if _CPLUSPLUS.match(unit.text):
            self._failed(unit, f"{unit.place}: C++ is not read, C only")
            return
        try:
            parsed = self.types.parse(unit)
            for node in parsed.nodes:
                self._take(node, unit, parsed)
        except FormatError as failure:
            self._failed(unit, str(failure))
        except RecursionError:
            self._failed(unit, f"{unit.place}: a declaration nested too deeply")

    def _failed(self, unit: TopLevelDeclaration, text: str) -> None:
        self._problems.append(text)
        self.uncertain |= set(WORD.findall(unit.text)) - KEYWORDS

    def _take(self, node: Any, unit: TopLevelDeclaration, parsed: Any) -> None:
        from pycparser import c_ast

        if isinstance(node, c_ast.Typedef):
            self.types.typedef(node.name)
            return
        if not isinstance(node, c_ast.Decl):
            return
        if not node.name:
            if isinstance(node.type, c_ast.Struct | c_ast.Union | c_ast.Enum):
                self.types.type(node.type, parsed)
            return
        if unit.definition:
            self.inlines[node.name] = " ".join(unit.definition.split())
        if "static" in node.storage:
            return
        own = parsed.marked.own
        number = self.types.type(node.type, parsed, own)
        place = parsed.place(node)
        rows = self.functions if isinstance(node.type, c_ast.FuncDecl) or self._is_function(number) else self.data
        rows[own.symbol or node.name] = DeclaredSymbol(number, place)

    def _is_function(self, number: TypeId) -> bool:
        """`function_type f;` declares a function too."""
        return isinstance(self.types.table.plain(number), FunctionType)

    def record_names(
        self, units: Iterable[TopLevelDeclaration], public: Iterable[TopLevelDeclaration]
    ) -> frozenset[str]:
        """Tags and type names whose contents a program sees; of system headers too."""
        names = {tag for unit in units for tag in unit.tags()}
        names |= {name for unit in units if unit.is_typedef and "{" in unit.text for name in unit.typedefs()}
        for unit in public:
            for name in unit.typedefs() if unit.is_typedef else ():
                try:
                    number = self.types.typedef(name)
                except (FormatError, RecursionError):
                    continue
                self.types.size(number)
                row = self.types.table.plain(number)
                if isinstance(row, Record | Enumeration) and row.size is not None:
                    names.add(name)
        return frozenset(names)

    def sentences(self) -> Iterator[str]:
        for text in self._problems[:_SHOWN]:
            yield f"declaration not understood: {text}"
        if len(self._problems) > _SHOWN:
            yield f"{len(self._problems) - _SHOWN} more declarations of the headers not understood"
        missing = [
            f"{place}: type {name} is not declared in the headers" for name, place in self.types.undeclared.items()
        ]
        missing += [f"{name}: the value of an enumerator that is not understood" for name in self.types.not_constant]
        yield from missing[:_SHOWN]
        if len(missing) > _SHOWN:
            yield f"{len(missing) - _SHOWN} more types are not declared in the headers"


def with_headers(facts: Facts, headers: HeaderFacts, types: bool | None = None) -> Facts:
    """`facts`, limited to what the headers declare, with their constants.

    types True: the headers' types take the place of those from debug information; None: only where there are none. Otherwise
    `declared` has them.
    """
    public = frozenset((*headers.functions, *headers.data)) | headers.uncertain
    exported = {name.partition("@")[0] for name in (*facts.functions, *facts.data)}
    foreign = not exported & public  # another library's headers, or none of C: they must not make all changes private
    said = f"the headers declare none of the {len(exported)} names that {facts.path} exports: every export counts as public"
    facts = replace(
        facts,
        public=None if foreign else public,
        constants=headers.constants,
        record_names=None if foreign else headers.record_names | headers.uncertain,
        inlines=headers.inlines,
        unknown=(*facts.unknown, *headers.unknown, *([said] if foreign else [])),
    )
    kept = _typed(facts, headers, False)
    if not (not facts.typed if types is None else types):
        return replace(kept, declared=_typed(facts, headers, True) if len(headers.types.rows) > 1 else None)
    told = tuple(text for text in facts.unknown if not text.endswith("types are not compared"))  # now they are
    return replace(_typed(facts, headers, True), unknown=told)


def _typed(facts: Facts, headers: HeaderFacts, use_types: bool) -> Facts:
    """With the places of the declarations, and if wanted the headers' types."""
    functions = {name: _function(fact, headers, use_types) for name, fact in facts.functions.items()}
    data = {name: _datum(fact, headers, use_types) for name, fact in facts.data.items()}
    if not use_types:
        return replace(facts, functions=functions, data=data)
    return replace(facts, functions=functions, data=data, types=headers.types, typed=len(headers.types.rows) > 1)


def _function(fact: FunctionFact, headers: HeaderFacts, use_types: bool) -> FunctionFact:
    declared = headers.functions.get(fact.name.partition("@")[0])
    number = declared.type if declared is not None and declared.type >= 0 else None
    place = fact.place or (declared.place if declared is not None else "")
    return replace(fact, place=place, type=number if use_types else fact.type)


def _datum(fact: DataFact, headers: HeaderFacts, use_types: bool) -> DataFact:
    declared = headers.data.get(fact.name.partition("@")[0])
    number = declared.type if declared is not None and declared.type >= 0 else None
    place = fact.place or (declared.place if declared is not None else "")
    return replace(fact, place=place, type=number if use_types else fact.type)
