"""Zstandard by the system's library, which Python 3.11 has no module for (RFC 8878)."""

from __future__ import annotations

import ctypes
import functools

_NAMES = ("libzstd.so.1", "libzstd.so")
_LEVEL = 3  # the library's own default


class ZstdError(Exception):
    """There is no library, or the data are damaged. The text says which."""


@functools.cache
def _library() -> ctypes.CDLL:
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
        library.ZSTD_decompress.restype = ctypes.c_size_t
        library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
        library.ZSTD_compress.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_int,
        ]
        library.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
        library.ZSTD_isError.argtypes = [ctypes.c_size_t]
        return library
    raise ZstdError(f"{_NAMES[0]} is not installed")


def compress(data: bytes) -> bytes:
    """The data as one frame. Raises ZstdError."""
    library = _library()
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(len(data)))
    size = library.ZSTD_compress(room, len(room), data, len(data), _LEVEL)
    if library.ZSTD_isError(size):
        raise ZstdError("the library cannot compress it")
    return room.raw[:size]


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that frames hold. Raises ZstdError."""
    library = _library()
    room = ctypes.create_string_buffer(max(size, 1))
    found = library.ZSTD_decompress(room, size, data, len(data))
    if library.ZSTD_isError(found) or found != size:
        raise ZstdError("damaged data")
    return room.raw[:size]
