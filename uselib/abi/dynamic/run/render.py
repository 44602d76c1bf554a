"""One result as text for people."""

from __future__ import annotations

import os

from uselib.abi.dynamic.run.exit_text import end_text
from uselib.abi.dynamic.run.result import AbiResult, Coverage, Divergence, SideResult, WrongBinding
from uselib.linker.errors import some

_SHOWN = 8  # names in a list


def render(result: AbiResult) -> str:
    """The verdict first, then the first divergence with both sides, wrong bindings, coverage, notes."""
    name = os.path.basename(result.program)
    lines = [f"{name}: {result.verdict}"]
    if result.reason:
        lines.append(f"  {result.reason}")
        return "\n".join(lines)
    lines += [f"  old  {_side(result.old)}", f"  new  {_side(result.new)}"]
    if result.divergence is not None:
        lines += ["", *_divergence(result.divergence, "first difference")]
    if result.beyond is not None:
        lines += ["", *_divergence(result.beyond, "first difference after start-up's check")]
    if result.wrong:
        lines += ["", "wrong bindings:", *(f"  {_wrong(row)}" for row in result.wrong[:_SHOWN])]
        if len(result.wrong) > _SHOWN:
            lines.append(f"  and {len(result.wrong) - _SHOWN} more (--json lists them)")
    if result.coverage is not None:
        lines += ["", *_coverage(result.coverage)]
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join(lines)


def _side(side: SideResult) -> str:
    if side.refusal:
        return f"{side.library}: refused at start-up"
    how = f"ended by {side.limit}" if side.limit else end_text(side.status, side.signal)
    files = f", {len(side.files)} files written" if side.files else ""
    return f"{side.library}: {side.calls} calls, {how}{files}"


def _divergence(found: Divergence, title: str) -> list[str]:
    where = f", call {found.old_call or found.new_call}" if found.old_call or found.new_call else ""
    if found.old_call and found.new_call and found.old_call != found.new_call:
        where += f" (new: {found.new_call})"
    caller = f", from {found.caller}" if found.caller else ""
    lines = [f"{title}: {found.kind}{where}{caller}", f"  {found.message}"]
    lines += [f"    both  {call}" for call in found.context]
    lines += [f"    old   {found.old}", f"    new   {found.new}"]
    if found.explanation:
        lines.append(f"  why: {found.explanation}" + (f" [{found.finding}]" if found.finding else ""))
    return lines


def _wrong(row: WrongBinding) -> str:
    what = f"slot {row.slot}" if row.slot else f"{row.address:#x}"
    there = f"is {row.found}" if row.found else "is no exported object"
    times = f"{row.count} times" if row.count != 1 else "once"
    verb = "called" if row.kind == "function" else "used"
    where = f", first in call {row.first_call}" if row.first_call else ""
    caller = f" from {row.caller}" if row.caller else ""
    return f"{row.side}: {what}, bound as {row.bound}, {there}; {verb} {times}{where}{caller}"


def _coverage(found: Coverage) -> list[str]:
    lines = [f"coverage: {len(found.bindings_used)} of {found.bindings} names that the program is bound to were used"]
    if found.bindings_unused:
        lines.append(f"  not used: {some(found.bindings_unused, _SHOWN)}")
    if found.changed:
        lines.append(f"  of {found.changed} functions that changed, {len(found.changed_used)} were called")
        if found.changed_unused:
            lines.append(f"  not called: {some(found.changed_unused, _SHOWN)}")
    return lines
