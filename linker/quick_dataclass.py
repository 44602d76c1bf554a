"""`dataclass` as in the standard library, at a tenth of its cost when a module is imported.

`dataclasses.dataclass` compiles up to six methods for each class, 0.3 ms for a frozen one; a command imports about a hundred
classes. Here the standard library finds the fields, the methods are closures, and `__init__` is compiled when the first object
is made. Type checkers see the standard decorator. Fields, `replace`, `asdict`, equality, hashes and texts are the same. There is no InitVar.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen=False, eq=True, order=False, slots=False) -> Any:
        """Decorates a class, with or without parameters, which mean what they mean for `dataclasses.dataclass`."""

        def decorate(decorated: type) -> type:
            return _with_methods(decorated, frozen, eq, order, slots)

        return decorate if cls is None else decorate(cls)


def _with_methods(cls: type, frozen: bool, eq: bool, order: bool, slots: bool) -> type:
    if not cls.__doc__:
        cls.__doc__ = cls.__name__  # the standard library would spend 0.1 ms on a signature
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    fields = dataclasses.fields(cls)
    own = dict(cls.__dict__)
    methods: dict[str, Any] = {"__init__": _Init(cls, frozen), "__repr__": _repr(fields)}
    compared = _values([field.name for field in fields if field.compare])
    if eq:
        methods["__eq__"] = _comparison(operator.eq, compared)
        hashed = _values([field.name for field in fields if (field.compare if field.hash is None else field.hash)])
        methods["__hash__"] = (lambda self: hash(hashed(self))) if frozen else None
        if own.get("__hash__") is None:
            own.pop("__hash__", None)  # None is what a class gets that says __eq__ only
    if order:
        methods |= {f"__{name}__": _comparison(getattr(operator, name), compared) for name in ("lt", "le", "gt", "ge")}
    if frozen:
        methods |= _refusals(cls, frozenset(field.name for field in fields))
        if slots:
            methods["__setstate__"] = _set_state
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    return cls


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the values of these attributes."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


def _repr(fields: tuple[dataclasses.Field[Any], ...]) -> Callable[[Any], str]:
    names = [field.name for field in fields if field.repr]

    @recursive_repr()
    def text(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return text


def _comparison(compare: Callable[[Any, Any], bool], values: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

    return method


def _refusals(cls: Any, names: frozenset[str]) -> dict[str, Any]:
    """`__setattr__` and `__delattr__` of a frozen class."""

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete_attribute(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": set_attribute, "__delattr__": delete_attribute}


def _set_state(self: object, state: tuple[None, Mapping[str, object]]) -> None:
    """Unpickling of a frozen class with slots: the standard way would assign to them."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


class _Init:
    """Stands for `__init__` until it is looked up, which the making of an object does; then it is compiled."""

    def __init__(self, cls: type, frozen: bool) -> None:
        self.cls, self.frozen = cls, frozen

    def __get__(self, instance: object | None, owner: type) -> Any:
        if self.cls.__dict__["__init__"] is self:
            type.__setattr__(self.cls, "__init__", _compiled_init(self.cls, self.frozen))
        return self.cls.__dict__["__init__"].__get__(instance, owner)


def _compiled_init(cls: type, frozen: bool) -> Any:
    positional: list[str] = []
    keywords: list[str] = []
    body: list[str] = []
    known: dict[str, Any] = {"_set": object.__setattr__, "_absent": object(), "__name__": cls.__module__}
    for field in dataclasses.fields(cls):
        name, parameter, value = field.name, field.name, field.name
        if field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter = f"{name}=_absent"
            value = f"_make_{name}() if {name} is _absent else {name}" if field.init else f"_make_{name}()"
        elif field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
            value = name if field.init else f"_default_{name}"
        elif not field.init:
            continue
        if field.init:
            (keywords if field.kw_only else positional).append(parameter)
        body.append(f" _set(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    head = ", ".join(["self", *positional, *(["*"] if keywords else []), *keywords])
    exec(f"def __init__({head}):\n" + "\n".join(body or [" pass"]), known)
    known["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return known["__init__"]
