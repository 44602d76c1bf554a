"""`dataclass`, `field`, `replace` and `NamedTuple` as in the standard library, without what they cost when a module is imported.

`dataclasses` imports `inspect`, 7 ms, and compiles up to six methods for each class, 0.3 ms for a frozen one; a command
imports about a hundred classes. Here methods are closures, and `__init__` is compiled when the fourth object is made. The
standard library is imported when something asks a class for its `__dataclass_fields__`: `asdict`, `fields`,
`is_dataclass`. Type checkers see the standard decorator. Fields, equality, hashes and texts are the same. There is no
InitVar and no KW_ONLY.
"""

from __future__ import annotations

import operator
import sys
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import partial
from reprlib import recursive_repr

from uselib.linker.quick_typing import TYPE_CHECKING, Any

_ABSENT: Any = object()  # no default
_FIELDS = "__quick_fields__"
_INTERPRETED = 3  # objects of a class that are made without compiling its `__init__`


class _Field:
    """What a class says of a field. hash None: as `compare`."""

    __slots__ = ("compare", "default", "default_factory", "hash", "init", "kw_only", "metadata", "name", "repr")
    compare: bool
    default: Any
    default_factory: Any
    hash: bool | None
    init: bool
    kw_only: bool
    metadata: Any
    name: str
    repr: bool

    def __init__(self, **values: Any) -> None:
        self.name = ""
        for name, value in values.items():
            setattr(self, name, value)

    def standard(self) -> Any:
        """The same for the standard library."""
        import dataclasses

        values = {name: getattr(self, name) for name in self.__slots__ if name != "name"}
        return dataclasses.field(**{name: value for name, value in values.items() if value is not _ABSENT})


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
    from typing import NamedTuple as NamedTuple
else:

    class _TupleMaker(type):
        """Makes a named tuple of a class that is derived from NamedTuple."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            names = list(body.get("__annotations__", ()))
            defaults = [body[field] for field in names if field in body]
            made = namedtuple(name, names, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in names and key != "__module__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_TupleMaker):
        """As `typing.NamedTuple`, which compiles the annotation of each field."""

    def field(
        *,
        default=_ABSENT,
        default_factory=_ABSENT,
        init=True,
        repr=True,
        hash=None,
        compare=True,
        metadata=None,
        kw_only=False,
    ) -> Any:
        """A field of a class; the parameters mean what they mean for `dataclasses.field`."""
        if default is not _ABSENT and default_factory is not _ABSENT:
            raise ValueError("cannot specify both default and default_factory")
        return _Field(
            default=default,
            default_factory=default_factory,
            init=init,
            repr=repr,
            hash=hash,
            compare=compare,
            metadata=metadata,
            kw_only=kw_only,
        )

    def replace(instance: Any, /, **changes: Any) -> Any:
        """A copy of an object with other values in some fields. Raises ValueError for a field that `__init__` does not set."""
        cls = next((c for c in type(instance).__mro__ if "__dataclass_fields__" in c.__dict__), None)
        if cls is None or _FIELDS not in cls.__dict__:
            import dataclasses

            return dataclasses.replace(instance, **changes)
        for row in cls.__dict__[_FIELDS]:
            if not row.init:
                if row.name in changes:
                    raise ValueError(
                        f"field {row.name} is declared with init=False, it cannot be specified with replace()"
                    )
            elif row.name not in changes:
                changes[row.name] = getattr(instance, row.name)
        return type(instance)(**changes)

    def dataclass(cls: type | None = None, /, *, frozen=False, eq=True, order=False, slots=False) -> Any:
        """Decorates a class, with or without parameters, which mean what they mean for `dataclasses.dataclass`."""

        def decorate(decorated: type) -> type:
            return _with_methods(decorated, frozen, eq, order, slots)

        return decorate if cls is None else decorate(cls)


class _StandardFields:
    """`__dataclass_fields__` of a class: the standard library makes it when something asks for it."""

    def __init__(self, cls: type, annotations: Mapping[str, Any]) -> None:
        self.cls, self.annotations = cls, annotations

    def __get__(self, instance: object | None, owner: type) -> Any:
        import dataclasses

        rows: tuple[_Field, ...] = self.cls.__dict__[_FIELDS]
        body: dict[str, Any] = {row.name: row.standard() for row in rows}
        body |= {"__module__": self.cls.__module__, "__doc__": "", "__annotations__": dict(self.annotations)}
        made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(type(self.cls.__name__, (), body))
        type.__setattr__(self.cls, "__dataclass_fields__", made.__dataclass_fields__)
        return made.__dataclass_fields__


class _Parameters:
    """`__dataclass_params__`, for the standard decorator on a class that is derived from one of ours."""

    init = repr = True
    unsafe_hash = match_args = kw_only = slots = weakref_slot = False

    def __init__(self, frozen: bool, eq: bool, order: bool) -> None:
        self.frozen, self.eq, self.order = frozen, eq, order


def _from_standard(standard: Any) -> _Field:
    """A field that dataclasses.field made."""
    missing = sys.modules["dataclasses"].MISSING
    values = {name: getattr(standard, name) for name in _Field.__slots__ if name != "name"}
    values = {name: _ABSENT if value is missing else value for name, value in values.items()}
    return _Field(**values | {"kw_only": values["kw_only"] is True})


def _is_standard(value: object) -> bool:
    return type(value).__name__ == "Field" and type(value).__module__ == "dataclasses"


def _fields_of(cls: type) -> tuple[dict[str, _Field], dict[str, Any]]:
    """The fields of a class, those of its bases first, and their annotations. Class attributes become the defaults."""
    fields: dict[str, _Field] = {}
    kinds: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        if _FIELDS in base.__dict__:
            fields |= {row.name: row for row in base.__dict__[_FIELDS]}
            kinds |= base.__dict__["__quick_annotations__"]
        elif "__dataclass_fields__" in base.__dict__:
            standard = base.__dict__["__dataclass_fields__"]
            fields |= {name: _from_standard(row) for name, row in standard.items()}
            kinds |= {name: row.type for name, row in standard.items()}
    for name, kind in cls.__dict__.get("__annotations__", {}).items():  # noqa: RUF063 (inspect is slow to import)
        if str(kind).startswith(("ClassVar", "typing.ClassVar")):
            continue
        value = cls.__dict__.get(name, _ABSENT)
        if isinstance(value, _Field):
            row = value
        elif _is_standard(value):
            row = _from_standard(value)
        else:
            row = field(default=value)
        if row is value or _is_standard(value):
            if row.default is _ABSENT:
                delattr(cls, name)
            else:
                setattr(cls, name, row.default)
        if row.default is not _ABSENT and type(row.default).__hash__ is None:
            raise ValueError(
                f"mutable default {type(row.default)} for field {name} is not allowed: use default_factory"
            )
        row.name = name
        fields[name], kinds[name] = row, kind
    for name, row in fields.items():
        row.name = name
    return fields, kinds


def _with_slots(cls: type, names: tuple[str, ...]) -> type:
    """The class again, with `__slots__` for those fields that its bases have none for."""
    inherited = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
    body = {name: value for name, value in cls.__dict__.items() if name not in {*names, "__dict__", "__weakref__"}}
    body["__slots__"] = tuple(name for name in names if name not in inherited)
    made = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    return made


def _with_methods(cls: type, frozen: bool, eq: bool, order: bool, slots: bool) -> type:
    found, annotations = _fields_of(cls)
    fields = tuple(found.values())
    if slots:
        cls = _with_slots(cls, tuple(found))
    own = dict(cls.__dict__)
    methods: dict[str, Any] = {"__init__": _Init(cls, frozen), "__repr__": _repr(fields)}
    methods["__match_args__"] = tuple(row.name for row in fields if row.init and not row.kw_only)
    compared = _values([row.name for row in fields if row.compare])
    if eq:
        methods["__eq__"] = _comparison(operator.eq, compared)
        hashed = _values([row.name for row in fields if (row.compare if row.hash is None else row.hash)])
        methods["__hash__"] = (lambda self: hash(hashed(self))) if frozen else None
        if own.get("__hash__") is None:
            own.pop("__hash__", None)  # None is what a class gets that says __eq__ only
    if order:
        methods |= {f"__{name}__": _comparison(getattr(operator, name), compared) for name in ("lt", "le", "gt", "ge")}
    if frozen:
        methods |= _refusals(cls, frozenset(found))
        if slots:
            methods["__setstate__"] = _set_state
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    setattr(cls, _FIELDS, fields)
    cls.__quick_annotations__ = annotations  # type: ignore[attr-defined]
    cls.__dataclass_fields__ = _StandardFields(cls, annotations)  # type: ignore[attr-defined]
    cls.__dataclass_params__ = _Parameters(frozen, eq, order)  # type: ignore[attr-defined]
    return cls


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the values of these attributes."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


def _repr(fields: tuple[_Field, ...]) -> Callable[[Any], str]:
    names = [row.name for row in fields if row.repr]

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
            raise _frozen(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete_attribute(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise _frozen(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": set_attribute, "__delattr__": delete_attribute}


def _frozen(message: str) -> AttributeError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)


def _set_state(self: object, state: tuple[None, Mapping[str, object]]) -> None:
    """Unpickling of a frozen class with slots: the standard way would assign to them."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


class _Init:
    """Stands for `__init__` until a class has made a few objects, or until somebody looks at it; then it is compiled, which takes as long as
    making twenty objects without."""

    def __init__(self, cls: type, frozen: bool) -> None:
        self.cls, self.frozen, self.made = cls, frozen, 0

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is not None and self.made < _INTERPRETED:
            self.made += 1
            return partial(self._interpret, instance)
        return self._compiled().__get__(instance, owner)

    def _compiled(self) -> Any:
        if self.cls.__dict__["__init__"] is self:
            type.__setattr__(self.cls, "__init__", _compiled_init(self.cls, self.frozen))
        return self.cls.__dict__["__init__"]

    def _interpret(self, instance: Any, /, *arguments: Any, **keywords: Any) -> None:
        """What the compiled function does. Arguments that do not fit the fields are left to that one, for its message."""
        fields: tuple[_Field, ...] = self.cls.__dict__[_FIELDS]
        names = [row.name for row in fields if row.init and not row.kw_only]
        values: dict[str, Any] = dict(zip(names, arguments, strict=False)) | keywords
        left = len(arguments) + len(keywords)
        found: list[tuple[str, Any]] = []
        for row in fields:
            if row.init and row.name in values:
                found.append((row.name, values[row.name]))
                left -= 1
            elif row.default_factory is not _ABSENT:
                found.append((row.name, row.default_factory()))
            elif row.default is not _ABSENT:
                found.append((row.name, row.default))
            elif row.init:
                left = -1
                break
        if left:
            self._compiled()(instance, *arguments, **keywords)
            return
        store = object.__setattr__ if self.frozen else setattr
        for name, value in found:
            store(instance, name, value)
        if hasattr(self.cls, "__post_init__"):
            instance.__post_init__()


def _compiled_init(cls: type, frozen: bool) -> Any:
    positional: list[str] = []
    keywords: list[str] = []
    body: list[str] = []
    known: dict[str, Any] = {"_set": object.__setattr__, "_absent": object(), "__name__": cls.__module__}
    for row in cls.__dict__[_FIELDS]:
        name, parameter, value = row.name, row.name, row.name
        if row.default_factory is not _ABSENT:
            known[f"_make_{name}"] = row.default_factory
            parameter = f"{name}=_absent"
            value = f"_make_{name}() if {name} is _absent else {name}" if row.init else f"_make_{name}()"
        elif row.default is not _ABSENT:
            known[f"_default_{name}"] = row.default
            parameter = f"{name}=_default_{name}"
            value = name if row.init else f"_default_{name}"
        elif not row.init:
            continue
        if row.init:
            (keywords if row.kw_only else positional).append(parameter)
        body.append(f" _set(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    head = ", ".join(["self", *positional, *(["*"] if keywords else []), *keywords])
    exec(f"def __init__({head}):\n" + "\n".join(body or [" pass"]), known)
    known["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return known["__init__"]
