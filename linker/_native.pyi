"""linker/native/: buffers are bytes or memoryviews; word: bytes of an address."""

from collections.abc import Callable, Container, Iterable
from typing import NewType

from uselib.linker.formats.elf import ElfSymbol
from uselib.linker.passes.model import DynamicBinding, InputSection, ObjectFile, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol
from uselib.linker.passes.relocations import SymbolKey

Buffer = bytes | bytearray | memoryview
Layout = NewType("Layout", object)
LocalSymbols = tuple[Buffer, int, bytes, list[InputSection | None]] | list[OutputSymbol]

def layout(symbol: Symbol, binding: DynamicBinding, /) -> Layout: ...
def take(
    layout: Layout,
    table: Buffer,
    word: int,
    first: int,
    strings: bytes,
    symbols: dict[str, Symbol],
    globals: list[Symbol],
    sections: list[InputSection | None],
    file: ObjectFile,
    ours: bool,
    undefined: dict[str, None],
    offered: Container[str],
    left: Callable[[int], None],
    /,
) -> bool: ...
def export(layout: Layout, symbols: list[Symbol], exports: list[Symbol], left: Callable[[Symbol], None], /) -> None: ...
def symbol_table(
    layout: Layout,
    word: int,
    files: list[LocalSymbols],
    symbols: list[Symbol],
    own: Callable[[Symbol], Iterable[OutputSymbol] | None] | None,
    row_of: Callable[[Symbol], OutputSymbol | None],
    /,
) -> tuple[bytes, bytes, int, bytes]: ...
def odd(
    records: Buffer, word: int, rela: bool, quiet: Buffer, count: int, size: int, flags: Buffer | None, /
) -> list[int]: ...
def values(symbols: Buffer, word: int, first: int, addresses: list[int | None], globals: list[int], /) -> bytes: ...
def branches(
    layout: Layout,
    references: Buffer,
    first: int,
    globals: list[Symbol],
    lazy: int,
    lazy_step: int,
    through_got: int,
    through_got_step: int,
    /,
) -> bytes: ...
def apply(
    layout: Layout,
    out: bytearray,
    at: int,
    address: int,
    size: int,
    content: Buffer,
    records: Buffer,
    word: int,
    rela: bool,
    kinds: bytes,
    references: Buffer,
    branches: Buffer | None,
    code: bool,
    got: int,
    tombstone: int,
    table: Buffer,
    first: int,
    sections: list[InputSection | None],
    globals: list[Symbol],
    got_entries: dict[SymbolKey, int],
    file_key: int,
    left: Callable[[int], int],
    /,
) -> None: ...
def symbol_flags(layout: Layout, table: Buffer, word: int, first: int, globals: list[Symbol], /) -> bytearray: ...
def scan(
    layout: Layout,
    records: Buffer,
    word: int,
    rela: bool,
    kinds: bytes,
    flags: bytearray,
    content: Buffer,
    size: int,
    output: int,
    relative: int,
    first: int,
    globals: list[Symbol],
    file: ObjectFile,
    plt: list[Symbol],
    got: dict[SymbolKey, tuple[ObjectFile, int]],
    imports: dict[Symbol, None],
    start: int,
    /,
) -> tuple[int, bytes]: ...
def place(
    layout: Layout,
    rows: Buffer,
    image: bytearray,
    at: int,
    address: int,
    word: int,
    rela: bool,
    symbolic: int,
    irelative: int,
    entries: int,
    resolvers: list[int],
    globals: list[Symbol],
    first: int,
    /,
) -> bytes: ...
def sorted_rows(rows: bytearray, relative: int, irelative: int, word: int, rela: bool, /) -> bytes: ...
def hash_order(names: list[str], buckets: int, /) -> list[int]: ...
def gnu_hash(names: list[str], first: int, word: int, buckets: int, words: int, shift: int, /) -> bytes: ...
def sysv_hash(names: list[str], buckets: int, /) -> bytes: ...
def dynamic_symbols(
    layout: Layout,
    word: int,
    symbols: list[Symbol],
    names: list[int],
    record: Callable[[int, Symbol], ElfSymbol],
    /,
) -> bytes: ...
