"""The quick dataclass and the standard one, given the same classes, make the same objects."""

import copy
import dataclasses
import pickle
import sys
import typing
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import pytest

from uselib.linker import quick_dataclass

Decorator = Callable[..., Any]
KINDS: list[dict[str, bool]] = [
    {},
    {"frozen": True},
    {"slots": True},
    {"frozen": True, "slots": True},
    {"eq": False},
    {"frozen": True, "order": True},
]


def _class(decorator: Decorator, **parameters: bool) -> Any:
    class Row:
        shared: ClassVar[int] = 3
        name: str
        size: int = 4
        parts: tuple[int, ...] = field(default_factory=lambda: (1, 2))
        hidden: int = field(default=0, repr=False, compare=False)
        count: int = field(init=False, default=7)

        def area(self) -> int:
            return self.size * self.shared

    Row.__qualname__ = "Row"
    return decorator(**parameters)(Row)


def _pair(**parameters: bool) -> tuple[Any, Any]:
    return _class(dataclasses.dataclass, **parameters), _class(quick_dataclass.dataclass, **parameters)


@pytest.mark.parametrize("parameters", KINDS, ids=str)
def test_objects_are_as_the_standard_library_makes_them(parameters: dict[str, bool]) -> None:
    facts = []
    for cls in _pair(**parameters):
        one, other = cls("a", parts=(5,)), cls(name="b", size=2)
        same, differs = cls("a", 4, (5,), 9), dataclasses.replace(one, size=8)
        hashes = [hash(one) == hash(same), hash(one) == hash(differs)] if cls.__hash__ is not None else None
        standard_hash = hash(one) if parameters.get("frozen") else None
        compared = (one == same, one == differs, one == "a", hashes, standard_hash)
        listed = (dataclasses.asdict(other), [row.name for row in dataclasses.fields(cls)], cls.__match_args__)
        facts.append((repr(one), repr(other), compared, listed, dataclasses.astuple(copy.copy(one)), one.area()))
        assert hasattr(one, "__dict__") is not parameters.get("slots", False)
    assert facts[0] == facts[1]


@pytest.mark.parametrize("parameters", KINDS, ids=str)
def test_wrong_arguments_and_assignments_are_refused_alike(parameters: dict[str, bool]) -> None:
    def attempt(action: Callable[[], object]) -> tuple[str, str]:
        try:
            action()
        except Exception as error:
            return type(error).__name__, str(error).replace("_class.<locals>.", "")
        return "", ""

    def attempts(cls: Any) -> list[tuple[str, str]]:
        row = cls("a")
        actions = [lambda: cls(), lambda: cls("a", 1, (), 0, 2), lambda: cls(wrong=1), lambda: row < cls("b")]
        actions += [lambda: setattr(row, "size", 1), lambda: delattr(row, "name")]
        return [attempt(action) for action in actions]

    standard, quick = _pair(**parameters)
    assert attempts(standard) == attempts(quick)


def test_comparisons_have_an_order() -> None:
    _, cls = _pair(frozen=True, order=True)
    assert sorted([cls("b"), cls("a", 9), cls("a", 3)]) == [cls("a", 3), cls("a", 9), cls("b")]
    assert cls("a") <= cls("a") and cls("b") > cls("a") and cls("b") >= cls("b")


def test_a_method_of_the_class_stays() -> None:
    @quick_dataclass.dataclass(frozen=True)
    class Number:
        value: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Number) and self.value % 10 == other.value % 10

        def __hash__(self) -> int:
            return self.value % 10

        def __repr__(self) -> str:
            return "number"

    assert Number(3) == Number(13) and hash(Number(13)) == 3 and repr(Number(1)) == "number"


def test_subclasses_without_objects_of_the_base() -> None:
    @quick_dataclass.dataclass
    class Base:
        first: int

        def __post_init__(self) -> None:
            self.sum = self.first

    @quick_dataclass.dataclass
    class Derived(Base):
        second: int = 2

    class Plain(Base):
        def __init__(self) -> None:
            super().__init__(5)

    derived = Derived(1)
    assert (derived.first, derived.second, derived.sum, Plain().first) == (1, 2, 1, 5)


def test_fields_of_ours_and_of_the_standard_library_are_the_same() -> None:
    @quick_dataclass.dataclass(frozen=True)
    class Row:
        parts: tuple[int, ...] = quick_dataclass.field(default_factory=lambda: (1, 2), repr=False)
        count: int = quick_dataclass.field(init=False, default=7)
        name: str = quick_dataclass.field(default="n", kw_only=True, hash=False, metadata={"key": 1})

    @dataclasses.dataclass(frozen=True)
    class Standard:
        parts: tuple[int, ...] = field(default_factory=lambda: (1, 2), repr=False)
        count: int = field(init=False, default=7)
        name: str = field(default="n", kw_only=True, hash=False, metadata={"key": 1})

    def facts(cls: Any) -> list[tuple[object, ...]]:
        rows = dataclasses.fields(cls)
        return [
            (r.name, r.type, r.default, r.init, r.repr, r.hash, r.compare, r.kw_only, dict(r.metadata)) for r in rows
        ]

    assert facts(Row) == facts(Standard)
    assert dataclasses.is_dataclass(Row) and dataclasses.asdict(Row()) == dataclasses.asdict(Standard())
    assert hash(Row()) == hash(Standard()) and Row.count == 7 and not hasattr(Row, "parts")


@pytest.mark.parametrize("decorator", [dataclasses.dataclass, quick_dataclass.dataclass])
def test_replace(decorator: Decorator) -> None:
    """Of objects of both kinds."""
    cls = _class(decorator, frozen=True)
    row = cls("a", parts=(5,))
    for function in (dataclasses.replace, quick_dataclass.replace):
        assert function(row, size=8) == cls("a", 8, (5,))
        with pytest.raises(ValueError, match="count is declared with init=False"):
            function(row, count=1)
        with pytest.raises(TypeError):
            function(row, wrong=1)


def test_bases_of_the_other_kind() -> None:
    @dataclasses.dataclass
    class Standard:
        first: int = 1

    @quick_dataclass.dataclass
    class Quick(Standard):
        second: list[int] = field(default_factory=list)

    @dataclasses.dataclass
    class Last(Quick):
        first: int
        third: int = 3

    assert dataclasses.astuple(Quick()) == (1, []) and dataclasses.astuple(Last(5)) == (5, [], 3)


def test_a_list_is_no_default() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @quick_dataclass.dataclass
        class Wrong:
            rows: list[int] = []  # noqa: RUF012


@quick_dataclass.dataclass(frozen=True, slots=True)
class _Kept:
    name: str
    size: int = 1


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol: int) -> None:
    assert _Kept.__module__ in sys.modules
    assert pickle.loads(pickle.dumps(_Kept("a", 2), protocol)) == _Kept("a", 2)


def test_recursion_is_shown_by_dots() -> None:
    @quick_dataclass.dataclass
    class Node:
        inner: Any = None

    node = Node()
    node.inner = node
    assert repr(node).endswith("Node(inner=...)")


class _Standard(typing.NamedTuple):
    name: str
    size: int = 4

    @property
    def area(self) -> int:
        return self.size * 2


class _Quick(quick_dataclass.NamedTuple):
    """Documented."""

    name: str
    size: int = 4

    @property
    def area(self) -> int:
        return self.size * 2


def test_named_tuples() -> None:
    facts = []
    for cls in (_Standard, _Quick):
        row = cls("a")
        with pytest.raises(TypeError):
            cls()  # type: ignore[call-arg]
        compared = (
            row == ("a", 4),
            row._replace(size=2).area,
            row._asdict(),
            hash(row),
            cls._fields,
            cls._field_defaults,
        )
        facts.append((repr(row).replace(cls.__name__, ""), compared, cls.__annotations__, hasattr(row, "__dict__")))
        assert pickle.loads(pickle.dumps(row)) == row and type(copy.copy(row)) is cls
    assert facts[0] == facts[1] and _Quick.__doc__ == "Documented." and _Quick.__qualname__ == "_Quick"


WRONG: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((), {"size": 1}),
    (("a", 1, (), 0, 0), {}),
    (("a",), {"name": "b"}),
    (("a",), {"wrong": 1}),
    (("a",), {"count": 1}),
]


@pytest.mark.parametrize("made", [0, 5], ids=["first", "later"])
@pytest.mark.parametrize(("arguments", "keywords"), WRONG, ids=str)
def test_arguments_that_do_not_fit(arguments: tuple[Any, ...], keywords: dict[str, Any], made: int) -> None:
    """The first objects of a class are made in another way than later ones."""
    said = []
    for cls in _pair(frozen=True):
        for _ in range(made):
            cls("a")
        with pytest.raises(TypeError) as failure:
            cls(*arguments, **keywords)
        said.append(str(failure.value))
    assert said[0].replace("_class.<locals>.", "") == said[1].replace("_class.<locals>.", "")
