"""`TYPE_CHECKING`, `Any`, `NoReturn`, `Protocol`, `TypeVar`, `cast` and `overload` for modules that every run imports.

`typing` takes 3 ms to import with the modules that it needs, and each protocol another 0.05 ms, for nothing but annotations, which are not
evaluated here. Type checkers see the standard names. At run time a Protocol is a class without methods of its own.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take a name like this for true

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import cast as cast
    from typing import overload as overload
else:
    Any = NoReturn = object

    class Protocol:
        """As `typing.Protocol`; nothing is checked."""

    def TypeVar(_name, **_bounds):
        """A name in the aliases of a module."""
        return object

    def overload(function):
        """As `typing.overload`: one of the types of the function that follows."""
        return function

    def cast(_type, value):
        """As `typing.cast`: the value."""
        return value
