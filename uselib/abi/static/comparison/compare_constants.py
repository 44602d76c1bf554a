"""Object-like macros of public headers: their values are compiled into programs."""

from __future__ import annotations

from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.comparison.name_heuristics import about_people, about_release, is_default
from uselib.abi.static.model.facts import Constant
from uselib.abi.static.model.findings import Severity


def compare_constants(check: Comparison) -> None:
    old, new = check.old.constants, check.new.constants
    if old is None or new is None:
        return
    for name, constant in old.items():
        present = new.get(name)
        if present is None:
            _removed(check, constant, new)
        elif present.value != constant.value or isinstance(present.value, str) != isinstance(constant.value, str):
            _changed(check, constant, present)
    for name, constant in new.items():
        if name not in old:
            check.tell("constant-added", name, f"{name} = {_value(constant)} was added", place=constant.place)


def _changed(check: Comparison, old: Constant, new: Constant) -> None:
    severity: Severity | None = None
    if about_release(old.name) or (isinstance(old.value, str) and about_people(old.name)):
        severity = Severity.COMPATIBLE
    elif is_default(old.name) or old.name.startswith("_"):
        severity = Severity.RISK  # the old value is still one that may be passed
    words = f"{old.name}: {_value(old)} became {_value(new)}"
    check.tell(
        "constant-changed", old.name, words, old=_value(old), new=_value(new), place=new.place, severity=severity
    )


def _removed(check: Comparison, constant: Constant, new: dict[str, Constant]) -> None:
    check.tell(
        "constant-removed", constant.name, f"{constant.name} = {_value(constant)} was removed", place=constant.place
    )


def _value(constant: Constant) -> str:
    return f'"{constant.value}"' if isinstance(constant.value, str) else str(constant.value)
