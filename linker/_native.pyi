"""linker/native/: buffers are bytes or memoryviews; word: bytes of an address."""

from collections.abc import Callable

Buffer = bytes | bytearray | memoryview

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
