"""The growing rows of a type graph, each with the key by which it is found again."""

from __future__ import annotations

from uselib.linker.c_types.types import VOID, Qualified, Type, Typedef, TypeId, Void


class RowTable:
    """rows: as `Types.rows`; numbers: key of a type -> its row."""

    def __init__(self) -> None:
        self.rows: list[Type] = [Void()]
        self.numbers: dict[object, TypeId] = {}

    def number(self, key: object, row: Type) -> TypeId:
        """The number of a key. If it has none, `row` is added under it."""
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.rows)
            self.rows.append(row)
        return number

    def row(self, row: Type) -> TypeId:
        """The number of a type, identified by its contents."""
        return VOID if isinstance(row, Void) else self.number(row, row)

    def plain(self, number: TypeId) -> Type:
        """The row without typedefs and qualifiers around it."""
        row = self.rows[number]
        while isinstance(row, Typedef | Qualified):
            row = self.rows[row.target]
        return row
