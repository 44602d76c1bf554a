"""Which words of a C declaration are names of types, before it is parsed: C cannot be parsed without knowing them."""

from __future__ import annotations

import re

WORD = re.compile(r"\b[A-Za-z_]\w*\b")
_KEYWORD_TEXT = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    return short signed sizeof static struct switch typedef union unsigned void volatile while _Bool _Complex _Noreturn
    _Alignof _Atomic _Static_assert __int128"""
KEYWORDS = frozenset(_KEYWORD_TEXT.split())
_TYPE_POSITION = re.compile(r"\b([A-Za-z_]\w*)\b(?=\s*(?:\*|const\b|volatile\b|\(\s*\*|[A-Za-z_]))")
_UNNAMED = re.compile(r"(?<=[(,])\s*(?:const\s+)?([A-Za-z_]\w*)\s*(?=[,)])")
_ENUM_BODY = re.compile(r"(?<=\{)[^{}()]*,[^{}();]*(?=\})")
_TAG = re.compile(r"\b(?:struct|union|enum)\s+([A-Za-z_]\w*)")


def guessed_types(text: str) -> set[str]:
    """Words that stand where only a type's name can: for declarations whose headers are not there."""
    outside = _ENUM_BODY.sub(" ", text)
    guessed = {match[1] for pattern in (_TYPE_POSITION, _UNNAMED) for match in pattern.finditer(outside)}
    return guessed - KEYWORDS - set(_TAG.findall(text))


def typedef_names(text: str) -> list[str]:
    """The names that a declaration adds as types, without parsing it."""
    if not text.startswith("typedef"):
        return []
    flat = re.sub(r"\{.*\}", " ", text, flags=re.DOTALL)
    if match := re.search(r"\(\s*\*\s*(?:const\s+)?(\w+)\s*(?:\[[^]]*\]\s*)?\)\s*\(", flat):
        return [match[1]]
    flat = re.sub(r"\[[^]]*\]", "", flat)
    if match := re.search(r"(\w+)\s*\([^()]*\)\s*;", flat):
        return [match[1]]  # typedef int function(int);
    return re.findall(r"(\w+)\s*(?=[,;])", flat)
