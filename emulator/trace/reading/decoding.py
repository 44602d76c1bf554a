"""Arguments and results as text: by prototype where there is one, else words in hexadecimal with the strings that were copied."""

from __future__ import annotations

from typing import Protocol

from emulator.trace.reading.events import Event
from emulator.trace.reading.model import Function, TraceFile

_SHOWN = 4


class Decoder(Protocol):
    """What turns words into text."""

    def arguments(self, call: Event) -> list[str]: ...

    def result(self, call: Event | None, back: Event) -> str: ...

    def compared(self, function: Function) -> tuple[int, bool]:
        """How many argument words the function is known to have, and whether it is known to have a result."""
        ...


def quoted(data: bytes, cut: bool, limit: int = 64) -> str:
    """A string as C writes it; `...` after one that goes on."""
    shown = data.split(b"\0", 1)[0]
    cut = cut or len(shown) > limit
    text = "".join(_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in shown[:limit])
    return f'"{text}"' + ("..." if cut else "")


_ESCAPES = {10: "\\n", 9: "\\t", 13: "\\r", 34: '\\"', 92: "\\\\", 27: "\\e"}


def word_text(event: Event, word: int) -> str:
    """A word: the place it points to, if that is a function's start, else hexadecimal."""
    place = event.process.places.place(word) if word > 0xFFFF else None
    if place is not None and place.symbol and not place.offset:
        return f"&{place.symbol}"
    return hex(word) if word > 9 else str(word)


def decoder_for(trace: TraceFile, plain: bool = False) -> Decoder:
    """plain: words, whatever prototypes there are."""
    return Words()


class Words:
    """A Decoder without prototypes."""

    def arguments(self, call: Event) -> list[str]:
        shown = []
        for index, word in enumerate(call.words[: max(_SHOWN, len(call.payload))]):
            data = call.payload.get(index)
            shown.append(word_text(call, word) if data is None else quoted(*data))
        return shown

    def result(self, call: Event | None, back: Event) -> str:
        return word_text(back, back.words[0])

    def compared(self, function: Function) -> tuple[int, bool]:
        return 0, False
