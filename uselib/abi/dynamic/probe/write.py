"""A witness as a file that shows the difference again: a C program, or a pytest module.

The C program declares the function and its types itself, makes the call, and prints the result and all memory that arguments point to.
Linked with the library's stub, `uselib abi run` shows the difference on it, and a debugger may look into it. The pytest module calls
both versions in the emulator.
"""

from __future__ import annotations

import os
import pprint
from collections.abc import Iterator

from uselib.abi.dynamic.probe.c_text import call_text, declared, one_line, prototype_text
from uselib.abi.dynamic.probe.spec import FunctionResult, ProbeRequest
from uselib.abi.dynamic.probe.values import Bytes, Items, Text, plain
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    EnumerationView,
    FloatingView,
    IntegerView,
    OpaqueView,
    PointerView,
    Prototype,
    StructureView,
    TypeView,
    VoidView,
    spelled,
)
from uselib.linker.writing import write_atomically

_BASE_TEXT = "char short int long float double void _Bool signed unsigned __int128 bool"
_BASE = frozenset(_BASE_TEXT.split())  # words of types that need no declaration


def write_test(path: str, function: FunctionResult, request: ProbeRequest) -> None:
    """Writes FILE.c or FILE.py, as the name says. Raises LinkError."""
    text = c_program(function, request) if path.endswith(".c") else pytest_module(function, request)
    write_atomically(path, text.encode("utf-8", "backslashreplace"), 0o666)


# -- pytest ------------------------------------------------------------------------------------------------------------


def pytest_module(function: FunctionResult, request: ProbeRequest) -> str:
    """A test that fails as long as the versions differ."""
    assert function.witness is not None and function.prototype is not None
    seen = function.witness.difference
    earlier = [one_line(before, values) for before, values in function.witness.before]
    comment = "\n".join(
        f"    {_one_line(line)}" for line in [*earlier, *call_text(function.prototype, function.witness.arguments)]
    )
    more = ""
    for name in ("library_path", "prototypes"):
        value = [os.path.abspath(item) for item in getattr(request, name)]
        more += f", {name}={value!r}" if value else ""
    if function.witness.before:
        more += f", before={[[p.name, *map(plain, values)] for p, values in function.witness.before]!r}"
    arguments = pprint.pformat([plain(value) for value in function.witness.arguments], width=100)
    return f'''"""{function.prototype.name} of two versions: made by `uselib abi probe`.

{comment}

{seen.what}: {_one_line(seen.old)} (old), {_one_line(seen.new)} (new)
"""

from uselib.abi.dynamic.probe.probe import replay

OLD = {os.path.abspath(request.old)!r}
NEW = {os.path.abspath(request.new)!r}
ARGUMENTS = {arguments}


def test_{function.prototype.name}_is_unchanged():
    assert replay(OLD, NEW, {function.prototype.name!r}, ARGUMENTS{more}) is None
'''


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "...").replace("\n", " ")


# -- C -----------------------------------------------------------------------------------------------------------------


class _Declarations:
    """The types that a prototype mentions, declared in an order that C accepts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._done: set[str] = set()

    def need(self, type_: TypeView) -> None:
        """Declares a type, and before it the types of its parts."""
        if isinstance(type_, PointerView):
            if type_.name and type_.name != "va_list":
                self._once(type_.name, lambda: f"typedef void *{type_.name};")
            else:
                self.need(type_.target)
        elif isinstance(type_, ArrayView):
            self.need(type_.element)
        elif isinstance(type_, StructureView):
            self._structure(type_)
        elif isinstance(type_, EnumerationView):
            self._enumeration(type_)
        elif isinstance(type_, OpaqueView) and type_.name:
            text = f"{type_.name};" if " " in type_.name else f"typedef struct {type_.name} {type_.name};"
            self._once(type_.name, lambda: text)
        elif isinstance(type_, IntegerView | FloatingView) and not set(type_.name.split()) <= _BASE:
            self._once(type_.name, lambda: f"typedef {_machine_type(type_)} {type_.name};")

    def _once(self, name: str, text: object) -> bool:
        if name in self._done:
            return False
        self._done.add(name)
        if callable(text):
            self.lines.append(text())
        return True

    def _structure(self, type_: StructureView) -> None:
        if not self._once(type_.name, None):
            return
        for field in type_.fields:
            self.need(field.type)
        members = " ".join(
            f"{declared(f.type, f.name)}{f' : {f.bits[1]}' if f.bits is not None else ''};" for f in type_.fields
        )
        tagged = type_.name.startswith(("struct ", "union "))
        kind = "union" if type_.union else "struct"
        self.lines.append(
            f"{type_.name} {{ {members} }};" if tagged else f"typedef {kind} {{ {members} }} {type_.name};"
        )
        self.lines.append(f'_Static_assert(sizeof({type_.name}) == {type_.size}, "laid out as the library has it");')

    def _enumeration(self, type_: EnumerationView) -> None:
        if not self._once(type_.name, None):
            return
        values = ", ".join(f"{value.name} = {value.value}" for value in type_.values)
        if type_.name.startswith("enum "):
            self.lines.append(f"{type_.name} {{ {values} }};")
        elif values and type_.size == 4:
            self.lines.append(f"typedef enum {{ {values} }} {type_.name};")
        else:
            integer = IntegerView("", type_.size, type_.signed)
            self.lines += [f"typedef {_machine_type(integer)} {type_.name};"] + (
                [f"enum {{ {values} }};"] if values else []
            )


def _machine_type(type_: IntegerView | FloatingView) -> str:
    if isinstance(type_, FloatingView):
        return {4: "float", 8: "double"}.get(type_.size, "long double")
    word = {1: "char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}[type_.size]
    return f"{'signed' if type_.signed else 'unsigned'} {word}"


def c_program(function: FunctionResult, request: ProbeRequest) -> str:
    """A program that makes the call and prints its results."""
    assert function.witness is not None and function.prototype is not None
    prototype, witness = function.prototype, function.witness
    types = _Declarations()
    types.need(prototype.result)
    for parameter in prototype.parameters:
        types.need(parameter.type)
    *lines, call = call_text(prototype, witness.arguments)
    earlier = [one_line(before, values) for before, values in witness.before]
    others = dict.fromkeys(before for before, _ in witness.before if before.name != prototype.name)
    for other in others:
        types.need(other.result)
        for parameter in other.parameters:
            types.need(parameter.type)
    body = "\n".join(f"\t{line}" for line in [*earlier, *lines, *_shown(prototype, call), *_dumped(function, lines)])
    declarations = "\n".join(types.lines)
    seen = witness.difference
    return f"""/* {prototype.name} of two versions: made by `uselib abi probe`.
   {_comment(seen.what)}
     old: {_comment(seen.old)}
     new: {_comment(seen.new)} */
#include <stdio.h>

{declarations}{chr(10) if declarations else ""}{"".join(f"{prototype_text(one)};{chr(10)}" for one in (*others, prototype))}
static void dump(const char *name, const void *memory, unsigned long size)
{{
	const unsigned char *bytes = memory;
	printf("%s:", name);
	for (unsigned long n = 0; n < size; n++) printf(" %02x", bytes[n]);
	printf("\\n");
}}

int main(void)
{{
	(void)dump;
{body}
	return 0;
}}
"""


def _comment(text: str) -> str:
    return text.replace("*/", "* /")


_FORMATS = {1: "%d", 2: "%d", 4: "%d", 8: "%lld"}


def _shown(prototype: Prototype, call: str) -> Iterator[str]:
    """The call, with its result printed."""
    type_ = prototype.result
    if isinstance(type_, VoidView):
        yield f"{call};"
    elif isinstance(type_, IntegerView | EnumerationView) and type_.size <= 8:
        text = _FORMATS[type_.size] if type_.signed else _FORMATS[type_.size].replace("d", "u")
        cast = "long long" if type_.size == 8 else "int"
        yield f'printf("result: {text}\\n", ({"" if type_.signed else "unsigned "}{cast}){call});'
    elif isinstance(type_, FloatingView) and type_.size <= 8:
        yield f'printf("result: %.17g\\n", (double){call});'
    elif isinstance(type_, PointerView) and type_.string:
        yield f"{declared(type_, 'result')} = {call};"
        yield 'printf("result: %s\\n", result ? result : "NULL");'
    elif isinstance(type_, PointerView):
        yield f'printf("result: %s\\n", {call} ? "not NULL" : "NULL");'
    elif isinstance(type_, FloatingView):
        yield f"{spelled(type_)} result = {call};"
        yield 'dump("result", &result, 10);'  # the x87's 80 bits; the rest is padding
    elif isinstance(type_, ComplexView | StructureView | ArrayView | OpaqueView | IntegerView):
        yield f"{spelled(type_)} result = {call};"
        yield 'dump("result", &result, sizeof result);'


def _dumped(function: FunctionResult, lines: list[str]) -> Iterator[str]:
    """Prints the objects that arguments point to, after the call. The names are those of the declarations before it."""
    assert function.witness is not None and function.prototype is not None
    pointed = any(isinstance(value, Text | Bytes | Items) for value in function.witness.arguments)
    for line in lines if pointed else ():
        name = line.partition(" = ")[0].split()[-1].partition("[")[0].lstrip("*")
        yield f'dump("{name}", {"" if "[" in line.partition(" = ")[0] else "&"}{name}, sizeof {name});'
