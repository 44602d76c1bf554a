"""A link done in every way that the linker has for its loops over symbols and relocations: the results must be the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from uselib.cli import main
from uselib.linker.passes import native, resolution

WAYS = [(1 << 30, False), (-1, False), *([(1 << 30, True), (-1, True)] if native.AVAILABLE else [])]
"""How large a link must be to be done in columns, and whether with the native part."""


def every_way(
    words: list[str], output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Status and messages of a command that makes `output`; they and the output are the same in every way."""
    results = []
    for many, in_c in WAYS:
        monkeypatch.setattr(resolution, "MANY", many)
        monkeypatch.setattr(native, "AVAILABLE", in_c)
        output.unlink(missing_ok=True)
        status = main([*words, "-o", str(output)])
        said = capsys.readouterr()
        results.append((status, said.out, said.err, output.read_bytes() if output.exists() else b""))
    assert all(result == results[0] for result in results)
    return status, said.err
