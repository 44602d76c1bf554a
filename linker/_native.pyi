"""linker/native/: buffers are bytes or memoryviews; word: bytes of an address."""

from collections.abc import Callable, Container, Iterable
from typing import NewType

from uselib.linker.passes.model import InputSection, ObjectFile, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol

Buffer = bytes | bytearray | memoryview
Layout = NewType("Layout", object)
LocalSymbols = tuple[Buffer, int, bytes, list[InputSection | None]] | list[OutputSymbol]

def layout(template: Symbol, /) -> Layout: ...
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
def apply(
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
    left: Callable[[int], int],
    /,
) -> None: ...
