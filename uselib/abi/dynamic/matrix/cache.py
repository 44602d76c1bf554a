"""Results of comparisons on disk, by the content of what they depend on.

    DIR/abi-1/KK/KEY.json    one entry: which uselib wrote it, a check sum, the AbiResult as `abi run --json` prints it

Keys are made in key.py. An entry is written to a temporary file and renamed, so readers see all of it or nothing and
several runs may share a directory. An entry that is damaged, or from another version of uselib, counts as absent and is replaced.
A cache that cannot be written is not an error: `remarks` says so once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import types
import typing
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, TypeVar

from uselib.abi.dynamic.run.result import RESULT_VERSION, AbiResult
from uselib.linker.installation import PACKAGE
from uselib.linker.writing import replacing

FORMAT = 1
_LARGEST = 64 << 20  # bytes of an entry

T = TypeVar("T")


def directory(given: str | None = None) -> str:
    """The folder of entries: the user's choice, else XDG_CACHE_HOME/uselib, else ~/.cache/uselib (XDG base directories)."""
    if given:
        return given
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # the specification: a relative path is ignored
        home = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "uselib")


@cache
def own_version() -> str:
    """The version of results and a digest of uselib's own files. Results of other code are not used."""
    digest = hashlib.sha256()
    for package in ("abi", "emulator", "linker", "loader"):
        for folder, folders, names in os.walk(os.path.join(PACKAGE, package)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                if name.endswith((".py", ".so", ".c", ".txt", ".toml")):
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        data = file.read()
                    digest.update(f"{os.path.relpath(path, PACKAGE)}\0{len(data)}\0".encode() + data)
    return f"{RESULT_VERSION}.{digest.hexdigest()[:24]}"


class Cache:
    """The entries under `folder`. No method raises for the state of the disk."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._damaged = self._other = 0
        self._unwritable = ""

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, f"abi-{FORMAT}", key[:2], f"{key}.json")

    def load(self, key: str) -> AbiResult | None:
        """The result stored under `key`, or None."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read(_LARGEST)
        except OSError:
            return None
        try:
            entry = json.loads(data)
            if entry["key"] != key:
                raise ValueError
            if entry["uselib"] != own_version():
                self._other += 1
                return None
            if entry["sum"] != _sum(entry["result"]):
                raise ValueError
            return from_json(AbiResult, entry["result"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._damaged += 1
            return None

    def store(self, key: str, result: AbiResult) -> None:
        """Stores a result. `remarks` reports a failure."""
        plain = json.loads(json.dumps(dataclasses.asdict(result)))
        entry = {"key": key, "uselib": own_version(), "sum": _sum(plain), "result": plain}
        path = self._path(key)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with replacing(path, 0o600) as file:
                file.write(json.dumps(entry).encode())
        except OSError as failure:
            self._unwritable = f"{failure.filename or path}: {failure.strerror or failure}"

    def remarks(self) -> list[str]:
        """One line for each kind of failure."""
        lines = []
        if self._damaged:
            lines.append(f"{self.folder}: {_entries(self._damaged)} damaged and ignored")
        if self._other:
            lines.append(f"{self.folder}: {_entries(self._other)} from another version of uselib and ignored")
        if self._unwritable:
            lines.append(f"{self._unwritable}: results are not kept")
        return lines


def _entries(count: int) -> str:
    return "1 entry is" if count == 1 else f"{count} entries are"


def _sum(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


# -- dataclasses from JSON ---------------------------------------------------------------------------------------------


def from_json(kind: type[T], plain: Any) -> T:
    """A dataclass of plain fields, tuples and other such dataclasses, from the output of `dataclasses.asdict` after JSON. Raises
    ValueError, KeyError or TypeError if `plain` is anything else."""
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable
    if not isinstance(plain, dict) or plain.keys() != hints.keys():
        raise ValueError(f"not a {kind.__name__}")
    return kind(**{name: _value(hint, plain[name]) for name, hint in hints.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _value(hint: Any, plain: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if plain is None and type(None) in arguments else _value(_but_none(arguments), plain)
    if origin is tuple:
        if not isinstance(plain, list):
            raise ValueError("not a list")
        if arguments[-1] is Ellipsis:
            return tuple(_value(arguments[0], item) for item in plain)
        return tuple(_value(part, item) for part, item in zip(arguments, plain, strict=True))
    if origin is Literal:
        if plain not in arguments:
            raise ValueError(f"{plain!r} is none of {arguments}")
        return plain
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, plain)
    if hint is float and isinstance(plain, int):
        return float(plain)
    if type(plain) is not hint:
        raise ValueError(f"{plain!r} is not a {hint}")
    return plain


def _but_none(arguments: Sequence[Any]) -> Any:
    return next(argument for argument in arguments if argument is not type(None))
