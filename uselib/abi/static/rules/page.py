"""docs/abi-rules.md from the rule table: `python -m uselib.abi.static.rules.page > docs/abi-rules.md`."""

from __future__ import annotations

from uselib.abi.static.model.findings import Severity
from uselib.abi.static.rules import Example, examples, identifiers, rule

_ORDER = (Severity.BREAKING, Severity.RISK, Severity.MINOR, Severity.COMPATIBLE)
_MEANS = {
    Severity.BREAKING: "programs that use it break: a major release",
    Severity.RISK: "breaks only programs that rely on more than the public interface: reported, not breaking",
    Severity.MINOR: "old programs run; programs linked with the new version do not run with the old one: a minor release",
    Severity.COMPATIBLE: "old programs cannot tell: a patch release",
}
_HEAD = """# Rules of the ABI check

What `uselib chkshlib OLD NEW` looks for. `python -m uselib.abi.static.rules.page` makes this page from `uselib/abi/static/rules/*.toml`.
Tests build each example in both versions, compare them, and run the program, which was linked with the old version, with both.

The severity given here is that of the usual case. It can differ in a single case: a structure that only the library allocates may grow, and the
removal of a name that no public header declares is a risk only for programs that use it.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for severity in _ORDER:
        names = [name for name in identifiers() if rule(name).severity is severity]
        parts.append(f"## {severity.name.capitalize()}: {_MEANS[severity]}\n")
        parts.append("\n".join(f"- [{name}](#{name}): {rule(name).title}" for name in names) + "\n")
        parts += [_section(name) for name in names]
    return "\n".join(parts)


def _section(name: str) -> str:
    row = rule(name)
    lines = [f"### {name}\n", f"{row.title}. {row.consequence}\n", f"*Instead:* {row.remedy}\n"]
    lines += [_example(example) for example in examples(name)]
    return "\n".join(lines)


def _example(example: Example) -> str:
    old, new = example.header, example.new_header or example.header
    same = old == new
    blocks = [f"{'lib.h' if same else 'lib.h, old'}:\n{old}"]
    if not same:
        blocks.append(f"lib.h, new:\n{new}")
    if example.old.strip() == example.new.strip():
        blocks.append(f"library, both:\n{example.old}")
    else:
        blocks += [f"library, old:\n{example.old}", f"library, new:\n{example.new}"]
    blocks.append(f"program:\n{example.program}")
    text = "\n".join("// " + block.strip() + "\n" for block in blocks).rstrip()
    renumbered = example.form == "target" and example.new_version != "1.1.0"
    rows = (
        (example.machine, f"{example.machine} only"),
        (example.new_slots, "the slots change order"),
        (renumbered, f"version {example.old_version} becomes {example.new_version}"),
        (example.new_base, f"base becomes {example.new_base:#x}"),
        (example.old_interposable, f"interposable, old: {', '.join(example.old_interposable)}"),
        (example.new_interposable, f"interposable, new: {', '.join(example.new_interposable)}"),
        (example.old_map, f"version script, old: {example.old_map}"),
        (example.new_map, f"version script, new: {example.new_map}"),
        (example.needs in ("headers", "declarations"), "needs headers"),
    )
    notes = [note for holds, note in rows if holds]
    head = f" ({'; '.join(notes)})" if notes else ""
    ends = {"same": "runs the same", "differs": "gives another output", "refused": "is refused at start-up"}[
        example.runs
    ]
    verdict = "compatible with a minor release" if example.verdict == "minor" else example.verdict
    return f"Example{head}. Verdict: {verdict}, about `{example.subject}`; the program {ends}.\n\n```c\n{text}\n```\n"


if __name__ == "__main__":
    print(render(), end="")
