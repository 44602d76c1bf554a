"""GNU attributes of one C declaration: taken out of the text, because pycparser does not know them, and put back as markers.

An attribute's place in the text says what it applies to: behind `struct` or the closing brace of its body, the record; elsewhere the
declaration, at the top or of a member. Attributes that the ABI depends on are kept (layout, calling convention, the symbol's own name); the
others are removed. A marker is a member `char $r3;` at the start of a record's body (or an enumerator `$r3`), or a member `char $m3;` before
the member it is about; 3 is the index into `Marked.attributes`. No line is lost, so that line numbers stay.
"""

from __future__ import annotations

import re

from uselib.linker.quick_dataclass import dataclass, field, replace

RECORD_MARKER, MEMBER_MARKER = "$r", "$m"

_CONVENTIONS = (
    "stdcall",
    "fastcall",
    "thiscall",
    "regparm",
    "ms_abi",
    "sysv_abi",
    "vectorcall",
    "pascal",
    "sseregparm",
)
_ITEM = re.compile(r"\b_*([a-z]\w*?)_*\b\s*(\(|,|$)")
_TOKEN = re.compile(
    r"""(?P<call>\b(?:__attribute__|__attribute|__declspec|__asm__|__asm|asm|_Static_assert|static_assert)\s*(?=\())
    | (?P<standard>\[\[) | (?P<dropped>\b(?:__extension__|__restrict__|__restrict|__inline__|__inline|inline|__volatile__|
      __volatile|__thread|_Thread_local|__cdecl|volatile(?=\s*\())\b)
    | (?P<const>\b__const(?:__)?\b) | (?P<signed>\b__signed(?:__)?\b) | (?P<record>\b(?:struct|union|enum)\b)
    | (?P<word>[A-Za-z_]\w*) | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*') | (?P<mark>[{}();,:*=\[\]])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """aligned: the expression of `aligned(...)`, "" none. convention as in `FunctionType`. symbol: of an asm label. mode: the
    machine mode of `mode(DI)`. vector: `vector_size` is present; its types are not modelled."""

    packed: bool = False
    aligned: str = ""
    convention: str = ""
    symbol: str = ""
    mode: str = ""
    vector: bool = False
    transparent: bool = False  # transparent_union: passed as its first member
    underlying: str = ""  # `enum e : TYPE { ... }` (C23)


NONE = Attributes()
_UNDERLYING = re.compile(r"\s*([A-Za-z_][\w\s]*?)\s*(?=\{)")


@dataclass
class Marked:
    """The text for pycparser. own: attributes of the declaration as a whole."""

    text: str
    own: Attributes
    attributes: list[Attributes]

    def marker(self, name: str, kind: str) -> Attributes | None:
        """The attributes that a member or enumerator of this name stands for, if it is a marker of this kind (a header may have such names of
        its own).
        """
        digits = name.removeprefix(kind)
        known = name.startswith(kind) and digits.isascii() and digits.isdigit() and len(digits) < 9
        return self.attributes[int(digits)] if known and int(digits) < len(self.attributes) else None


def closing(text: str, start: int) -> int:
    """Index behind the bracket that closes the one at `start`, or the end of the text."""
    depth = 0
    for match in re.compile(r"""[()\[\]{}]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""").finditer(text, start):
        if match[0] in "([{":
            depth += 1
        elif match[0] in ")]}":
            depth -= 1
            if depth == 0:
                return match.end()
    return len(text)


def _argument(body: str, match: re.Match[str]) -> str:
    start = match.start(2)
    return body[start + 1 : closing(body, start) - 1].strip() if match[2] == "(" else ""


def parsed(body: str, known: Attributes = NONE) -> Attributes:
    """`known`, and the attributes in this text. Unknown attributes do not change the ABI of C, and are left out."""
    position = 0
    while match := _ITEM.search(body, position):
        name, argument = match[1], _argument(body, match)
        position = match.end() if match[2] != "(" else closing(body, match.start(2))
        if name == "packed":
            known = replace(known, packed=True)
        elif name == "aligned" or name == "align":
            known = replace(known, aligned=argument or "16")  # without a number: the machine's largest
        elif name in _CONVENTIONS:
            known = replace(known, convention=f"{name}({argument})" if argument else name.removesuffix("_abi"))
        elif name == "mode":
            known = replace(known, mode=argument.strip("_"))
        elif name in ("vector_size", "ext_vector_type"):
            known = replace(known, vector=True)
        elif name == "transparent_union":
            known = replace(known, transparent=True)
    return known


@dataclass
class _Braces:
    """A pair of braces. body, member: indexes into the output where markers go."""

    enum: bool
    body: int
    member: int
    depth: int = 0  # of parentheses within the member
    record: Attributes = NONE
    own: Attributes = NONE


@dataclass
class _Rewriter:
    source: str
    out: list[str] = field(default_factory=list)
    attributes: list[Attributes] = field(default_factory=list)
    frames: list[_Braces] = field(default_factory=lambda: [_Braces(False, 0, 0)])
    waiting: Attributes | None = None  # attributes behind `struct`, until its brace or its end
    tagged: bool = False  # the tag was seen: another word ends the record's head
    is_enum: bool = False
    closed: _Braces | None = None  # the record whose `}` is the last thing seen

    def _mark(self, index: int, kind: str, attributes: Attributes, enum: bool) -> None:
        if attributes == NONE:
            return
        name = f"{kind}{len(self.attributes)}"
        self.attributes.append(attributes)
        self.out[index] = f" {name}, " if enum else f" char {name}; "

    def _end_member(self) -> None:
        frame = self.frames[-1]
        if len(self.frames) > 1 and not frame.enum:
            self._mark(frame.member, MEMBER_MARKER, frame.own, False)
            frame.own = NONE
            self.out.append("")
            frame.member = len(self.out) - 1

    def _attribute(self, body: str) -> None:
        frame = self.frames[-1]
        if self.waiting is not None:
            self.waiting = parsed(body, self.waiting)
        elif self.closed is not None:
            closed = self.closed
            if closed.record != NONE:  # already marked: replace it
                number = int(self.out[closed.body].strip(" ,;").rpartition("$r")[2])
                closed.record = self.attributes[number] = parsed(body, closed.record)
            else:
                closed.record = parsed(body)
                self._mark(closed.body, RECORD_MARKER, closed.record, closed.enum)
        elif frame.depth == 1:  # `int (ATTRIBUTE *f)(int)`; deeper ones are of parameters
            frame.own = replace(frame.own, convention=parsed(body).convention or frame.own.convention)
        elif not frame.depth and not frame.enum:
            frame.own = parsed(body, frame.own)

    def _mark_of(self, mark: str) -> None:
        frame = self.frames[-1]
        if mark == "{":
            self.out += [mark, ""]
            opened = _Braces(self.is_enum, len(self.out) - 1, 0, record=self.waiting or NONE)
            if self.waiting is not None:
                self._mark(opened.body, RECORD_MARKER, opened.record, opened.enum)
            self.out.append("")
            opened.member = len(self.out) - 1
            self.frames.append(opened)
            self.waiting = self.closed = None
            return
        self.waiting = None
        self.closed = None
        if mark == "}" and len(self.frames) > 1:
            self._end_member()
            self.closed = self.frames.pop()
        elif mark in "([":
            frame.depth += 1
        elif mark in ")]":
            frame.depth = max(frame.depth - 1, 0)
        self.out.append(mark)
        if mark == ";":
            self._end_member()

    def run(self) -> Marked:
        source, position = self.source, 0
        while match := _TOKEN.search(source, position):
            self.out.append(source[position : match.start()])
            position = match.end()
            kind, text = match.lastgroup, match[0]
            if kind in ("call", "standard"):
                start = match.end() if kind == "call" else match.start()
                position = closing(source, start)
                self._call(text.strip(), source[start + 1 : position - 1])
                self.out.append(" " + "\n" * source.count("\n", match.start(), position))
                continue
            if kind == "mark":
                if (
                    text == ":"
                    and self.is_enum
                    and self.waiting is not None
                    and (base := _UNDERLYING.match(source, position))
                ):
                    self.waiting = replace(self.waiting, underlying=base[1])
                    position = base.end()
                    continue
                self._mark_of(text)
                continue
            if kind == "record":
                self.waiting, self.tagged, self.is_enum, self.closed = NONE, False, text == "enum", None
            elif kind in ("word", "text", "const"):
                self.waiting = None if self.tagged else self.waiting
                self.tagged, self.closed = True, None
            self.out.append({"dropped": " ", "const": "const", "signed": "signed"}.get(kind or "", text))
        self.out.append(source[position:])
        return Marked("".join(self.out), self.frames[0].own, self.attributes)

    def _call(self, name: str, body: str) -> None:
        if "attribute" in name or name == "__declspec":
            self._attribute(body.strip()[1:-1] if body.lstrip().startswith("(") else body)
        elif name in ("__asm__", "__asm", "asm") and len(self.frames) == 1:
            label = "".join(re.findall(r'"([^"]*)"', body))
            self.frames[0].own = replace(self.frames[0].own, symbol=label)


def marked(text: str) -> Marked:
    """One declaration, made ready for pycparser."""
    return _Rewriter(text).run()
