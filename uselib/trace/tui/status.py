"""The texts above and below the panes: which trace and tab are shown, and how far the reading is."""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.text import Text

from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.text import plural
from uselib.trace.tui.index import Index
from uselib.trace.tui.view import View

_PROCESSES = 3  # that the title names


def title(trace: TraceFile, index: Index, tabs: Mapping[str, str], pane: str) -> Text:
    """The tabs (pane -> its name), the one that is shown in brackets; processes and file of the trace."""
    names = " ".join(f"[{name}]" if tab == pane else f" {name} " for tab, name in tabs.items())
    program = ", ".join(process.title for process in index.processes[:_PROCESSES]) or "no process"
    left = len(index.processes) - _PROCESSES
    more = f" and {left} more" if left > 0 else ""
    return Text(f"{names}   {program}{more}   {os.path.basename(trace.path)}")


def status(trace: TraceFile, index: Index, view: View, cursor: int | None, note: str) -> Text:
    """One line. cursor: the row it is on in the list of events, from 0; None: another pane is shown."""
    parts = []
    count = len(view.rows)
    if cursor is not None:
        parts.append(f"line {cursor + 1 if count else 0:,}/{count:,}")
    if not index.complete:
        parts.append(f"reading {index.count / max(index.total, 1):.0%}")
    elif index.count != count:
        parts.append(plural(index.count, "event"))
    if str(view.filter):
        parts.append(f"only {view.filter}")
    if trace.warnings:
        parts.append(trace.warnings[0])
    if note:
        parts.append(note)
    return Text("  ".join(parts), no_wrap=True, overflow="ellipsis")
