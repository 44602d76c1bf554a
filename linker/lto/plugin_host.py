"""The process that a compiler's linker plugin runs in: `python plugin_host.py FD`, with a socket to the linker as descriptor FD.

A plugin is a shared library of a compiler (liblto_plugin.so, LLVMgold.so). It is called, and calls back, by the interface that gcc's wiki
describes under "whopr/driver" (plugin-api.h of binutils). It may end the process, or crash; here it takes the linker with it in neither case.
Only the standard library is imported, so that the process starts fast.

Requests and answers are lines of JSON. File names are strings with surrogates for bytes that are not UTF-8.

    {"load": PATH, "options": [...], "output": 0..3, "name": NAME}    -> {}
    {"claim": [PATH, OFFSET, SIZE, NUMBER]}                           -> {"symbols": [[...], ...]} or {"symbols": null}: not its own
    {"compile": {NUMBER: [RESOLUTION, ...]}, "wrapped": [...]}        -> {"files": [...], "libraries": [...], "directories": [...]}
    {"cleanup": true}                                                 -> {}

Each answer has "messages": [[level, text], ...]; a fatal one is the last. A symbol is a list of the fields of `_Symbol`.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, byref, c_char, c_char_p, c_int, c_int64, c_long, c_uint64, c_void_p

TYPE_CHECKING = False  # as in quick_typing, which cannot be imported here: the process knows no package of ours
if TYPE_CHECKING:
    from typing import Any

_OK, _NO_SYMBOLS, _BAD_HANDLE, _ERROR = range(4)  # ld_plugin_status
_FATAL = 3  # ld_plugin_level
# ld_plugin_tag
_API_VERSION, _LINKER_OUTPUT, _OPTION = 1, 3, 4
_REGISTER_CLAIM_FILE, _REGISTER_ALL_SYMBOLS_READ, _REGISTER_CLEANUP, _ADD_SYMBOLS, _GET_SYMBOLS = 5, 6, 7, 8, 9
_ADD_INPUT_FILE, _MESSAGE, _GET_INPUT_FILE, _RELEASE_INPUT_FILE, _ADD_INPUT_LIBRARY, _OUTPUT_NAME = range(10, 16)
_SET_EXTRA_LIBRARY_PATH, _GNU_LD_VERSION, _GET_VIEW, _GET_SYMBOLS_V2, _GET_SYMBOLS_V3 = 16, 17, 18, 25, 28
_GET_WRAP_SYMBOLS, _ADD_SYMBOLS_V2 = 32, 33
_VERSION = 240  # of GNU ld whose behaviour this is: major * 100 + minor
_PREVAILING_DEF, _PREVAILING_DEF_IRONLY_EXP = 2, 9  # ld_plugin_symbol_resolution
_FORMATTED = 4  # arguments of a message: those in registers


class _InputFile(ctypes.Structure):
    """ld_plugin_input_file"""

    _fields_ = [
        ("name", c_char_p),
        ("fd", c_int),
        ("offset", c_int64),
        ("filesize", c_int64),
        ("handle", c_void_p),
    ]


class _Symbol(ctypes.Structure):
    """ld_plugin_symbol, little-endian"""

    _fields_ = [
        ("name", c_char_p),
        ("version", c_char_p),
        ("definition", c_char),
        ("type", c_char),
        ("section", c_char),
        ("unused", c_char),
        ("visibility", c_int),
        ("size", c_uint64),
        ("comdat", c_char_p),
        ("resolution", c_int),
    ]


class _Value(ctypes.Union):
    _fields_ = [("number", c_int), ("pointer", c_void_p)]


class _Vector(ctypes.Structure):
    """ld_plugin_tv"""

    _fields_ = [("tag", c_int), ("value", _Value)]


_HOOK = CFUNCTYPE(c_int)
_CLAIM = CFUNCTYPE(c_int, POINTER(_InputFile), POINTER(c_int))


class Fatal(Exception):
    """The plugin cannot go on."""


class HostedPlugin:
    """A loaded plugin. `reply` sends an answer; it is called from within the plugin if that ends the process."""

    def __init__(self, reply: Callable[[dict[str, Any]], None]) -> None:
        self._reply = reply
        self.messages: list[tuple[int, str]] = []
        self._claim: Callable[..., int] | None = None
        self._compile: Callable[[], int] | None = None
        self._cleanup: Callable[[], int] | None = None
        self._kept: list[object] = []  # what the plugin has pointers to
        self._added: list[list[object]] = []
        self._files: dict[int, tuple[str, int, int]] = {}  # claimed: path, offset, size
        self._open: dict[int, int] = {}
        self._views: dict[int, ctypes.Array[c_char]] = {}
        self._resolutions: dict[int, list[int]] = {}
        self._wrapped: list[str] = []
        self._result: dict[str, list[str]] = {"files": [], "libraries": [], "directories": []}

    # -- requests ----------------------------------------------------------------------------------------------------------

    def load(self, path: str, options: list[str], output: int, name: str) -> None:
        """dlopen, and `onload` with the transfer vector. Raises Fatal."""
        try:
            library = ctypes.CDLL(path)
            onload = library.onload
        except (OSError, AttributeError) as failure:
            raise Fatal(str(failure)) from None
        rows: list[tuple[int, object]] = [(_API_VERSION, 1), (_GNU_LD_VERSION, _VERSION), (_LINKER_OUTPUT, output)]
        rows += [(_OUTPUT_NAME, os.fsencode(name)), *((_OPTION, os.fsencode(option)) for option in options)]
        rows += self._callbacks()
        vector = (_Vector * (len(rows) + 1))()
        for entry, (tag, value) in zip(vector, rows, strict=False):
            entry.tag = tag
            if isinstance(value, int):
                entry.value.number = value
            else:
                entry.value.pointer = ctypes.cast(value, c_void_p)  # type: ignore[arg-type]
        self._kept += [library, vector, *(value for _, value in rows)]
        if onload(byref(vector)) != _OK:
            raise Fatal(f"{path} refuses to be loaded")

    def claim(self, path: str, offset: int, size: int, number: int) -> dict[str, Any]:
        """Whether a file is the plugin's, and then its symbols."""
        self._files[number], self._added, claimed = (path, offset, size), [], c_int(0)
        file = self._input_file(number)
        self._kept.append(file)
        status = self._claim(byref(file), byref(claimed)) if self._claim is not None else _OK
        self._close(number)
        if status != _OK:
            raise Fatal(f"it cannot read {path}")
        if not claimed.value:
            del self._files[number]
            return {"symbols": None}
        return {"symbols": self._added}

    def compile(self, resolutions: dict[str, list[int]], wrapped: list[str]) -> dict[str, Any]:
        """All symbols are read: the plugin compiles what it has claimed."""
        self._resolutions = {int(number): values for number, values in resolutions.items()}
        self._wrapped = wrapped
        if self._compile is not None and self._compile() != _OK:
            raise Fatal("it could not compile")
        return dict(self._result)

    def cleanup(self) -> dict[str, Any]:
        """The link is done: the plugin removes its files."""
        if self._cleanup is not None:
            self._cleanup()
        return {}

    # -- what the plugin calls ---------------------------------------------------------------------------------------------

    def _callbacks(self) -> list[tuple[int, object]]:
        text, number = CFUNCTYPE(c_int, c_char_p), c_int
        symbols = CFUNCTYPE(c_int, c_void_p, number, POINTER(_Symbol))
        handle = CFUNCTYPE(c_int, c_void_p)
        message = CFUNCTYPE(c_int, number, c_char_p, *(c_void_p,) * _FORMATTED)  # variadic: x86-64 passes these alike
        return [
            (_MESSAGE, message(self._message)),
            (_REGISTER_CLAIM_FILE, handle(self._register_claim)),
            (_REGISTER_ALL_SYMBOLS_READ, handle(self._register_compile)),
            (_REGISTER_CLEANUP, handle(self._register_cleanup)),
            (_ADD_SYMBOLS, symbols(self._add_symbols)),
            (_ADD_SYMBOLS_V2, symbols(self._add_symbols)),
            (_GET_SYMBOLS, symbols(self._get_symbols_without_exports)),
            (_GET_SYMBOLS_V2, symbols(self._get_symbols)),
            (_GET_SYMBOLS_V3, symbols(self._get_symbols)),
            (_ADD_INPUT_FILE, text(lambda name: self._add("files", name))),
            (_ADD_INPUT_LIBRARY, text(lambda name: self._add("libraries", name))),
            (_SET_EXTRA_LIBRARY_PATH, text(lambda name: self._add("directories", name))),
            (_GET_INPUT_FILE, CFUNCTYPE(c_int, c_void_p, POINTER(_InputFile))(self._get_input_file)),
            (_RELEASE_INPUT_FILE, handle(self._release_input_file)),
            (_GET_VIEW, CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))(self._get_view)),
            (_GET_WRAP_SYMBOLS, CFUNCTYPE(c_int, POINTER(c_uint64), POINTER(POINTER(c_char_p)))(self._get_wrapped)),
        ]

    def _register_claim(self, hook: int) -> int:
        self._claim = _CLAIM(hook)
        return _OK

    def _register_compile(self, hook: int) -> int:
        self._compile = _HOOK(hook)
        return _OK

    def _register_cleanup(self, hook: int) -> int:
        self._cleanup = _HOOK(hook)
        return _OK

    def _add(self, key: str, name: bytes) -> int:
        self._result[key].append(os.fsdecode(name))
        return _OK

    def _add_symbols(self, _handle: int, count: int, symbols: Any) -> int:
        def text(value: bytes | None) -> str | None:
            return None if value is None else os.fsdecode(value)

        for symbol in symbols[:count]:
            kinds = [ord(symbol.definition), ord(symbol.type), ord(symbol.section)]
            row = [text(symbol.name), text(symbol.version), *kinds, symbol.visibility, symbol.size, text(symbol.comdat)]
            self._added.append(row)
        return _OK

    def _get_symbols(self, handle: int, count: int, symbols: Any) -> int:
        values = self._resolutions.get(_number(handle))
        if values is None:
            return _NO_SYMBOLS
        if len(values) != count:
            return _ERROR
        for number, value in enumerate(values):
            symbols[number].resolution = value
        return _OK

    def _get_symbols_without_exports(self, handle: int, count: int, symbols: Any) -> int:
        """As the first version of the interface had it."""
        status = self._get_symbols(handle, count, symbols)
        for number in range(count if status == _OK else 0):
            if symbols[number].resolution == _PREVAILING_DEF_IRONLY_EXP:
                symbols[number].resolution = _PREVAILING_DEF
        return status

    def _input_file(self, number: int) -> _InputFile:
        path, offset, size = self._files[number]
        if number not in self._open:
            self._open[number] = os.open(os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC)
        return _InputFile(os.fsencode(path), self._open[number], offset, size, number + 1)

    def _close(self, number: int) -> None:
        if (handle := self._open.pop(number, None)) is not None:
            os.close(handle)

    def _get_input_file(self, handle: int, file: Any) -> int:
        if _number(handle) not in self._files:
            return _BAD_HANDLE
        file[0] = found = self._input_file(_number(handle))
        self._kept.append(found)
        return _OK

    def _release_input_file(self, handle: int) -> int:
        self._close(_number(handle))
        return _OK

    def _get_view(self, handle: int, view: Any) -> int:
        number = _number(handle)
        if number not in self._files:
            return _BAD_HANDLE
        if number not in self._views:
            path, offset, size = self._files[number]
            with open(os.fsencode(path), "rb") as file:
                file.seek(offset)
                self._views[number] = ctypes.create_string_buffer(file.read(size), size or 1)
        view[0] = ctypes.addressof(self._views[number])
        return _OK

    def _get_wrapped(self, count: Any, names: Any) -> int:
        table = (c_char_p * max(len(self._wrapped), 1))(*map(os.fsencode, self._wrapped))
        self._kept.append(table)
        count[0], names[0] = len(self._wrapped), ctypes.cast(table, POINTER(c_char_p))
        return _OK

    def _message(self, level: int, pattern: bytes, *arguments: int | None) -> int:
        """A message in printf's way. A fatal one ends the process: the plugin does not expect to come back."""
        buffer = ctypes.create_string_buffer(4096)
        ctypes.CDLL(None).snprintf(buffer, c_long(len(buffer)), pattern, *map(c_void_p, arguments))
        self.messages.append((level, buffer.value.decode("utf-8", "replace").strip()))
        if level == _FATAL:
            self.cleanup()
            self._reply({})
            os._exit(1)
        return _OK


def _number(handle: int | None) -> int:
    """Handles are numbers from 1 on, since 0 would be a null pointer."""
    return (handle or 0) - 1


def serve(connection: socket.socket) -> None:
    """Answers requests until the linker closes its end."""
    stream = connection.makefile("rw", encoding="ascii")

    def reply(answer: dict[str, Any]) -> None:
        stream.write(json.dumps({**answer, "messages": host.messages}) + "\n")
        stream.flush()
        host.messages = []

    host = HostedPlugin(reply)
    for line in stream:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "load" in request:
                host.load(request["load"], request["options"], request["output"], request["name"])
            elif "claim" in request:
                answer = host.claim(*request["claim"])
            elif "compile" in request:
                answer = host.compile(request["compile"], request["wrapped"])
            else:
                answer = host.cleanup()
        except (Fatal, OSError) as failure:
            host.messages.append((_FATAL, str(failure)))
        reply(answer)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
