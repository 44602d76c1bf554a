"""The facts of a file as text: one function for each kind of file."""

from __future__ import annotations

from collections.abc import Callable

from uselib.commands.inspect import historical_formats
from uselib.commands.inspect.records import Facts
from uselib.linker.formats.library_names import IMPLEMENTATION_SUFFIX


def _show_identity(who: Facts) -> list[str]:
    return [
        f"  name     {who['name']} {who['version']}",
        f"  place    {who['base']:#x}-{who['base'] + who['size'] - 1:#x}  ({who['size'] >> 10} KiB)",
        f"  digest   {who['digest']}",
    ]


def _show_segments(title: str, segments: list[Facts]) -> list[str]:
    lines = [f"{title}:"]
    for s in segments:
        end = s["address"] + s["memory_size"]
        lines.append(f"  {s['flags']}  {s['address']:#010x}-{end:#010x}  file {s['offset']:#x}+{s['file_size']:#x}")
    return lines


def _show_needs(facts: Facts) -> list[str]:
    rows = [
        f"  {who['name']} {who['version']}  {who['base']:#x}  {who['slots']} slots  {who['digest'][:16]}"
        for who in facts["needs"]
    ]
    return ["linked with:", *rows] if rows else []


def _show_library(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: target library, {facts['machine']}", *_show_identity(facts["library"])]
    if not facts["digest_valid"]:
        lines.append("           which is not the digest of this file: it was changed after it was made")
    lines += _show_entries(facts)
    lines += _show_follows(facts)
    lines += _show_segments("segments", facts["segments"])
    lines += _show_slots(facts["slots"])
    lines += _show_places(facts)
    for key, title in (("init_array", "initialisers"), ("fini_array", "finalisers")):
        if facts[key]:
            lines.append(f"{title}: " + " ".join(f"{address:#x}" for address in facts[key]))
    return [*lines, *_show_dependencies(facts), *_show_needs(facts)]


def _show_entries(facts: Facts) -> list[str]:
    lines = [f"  boot     {facts['bootstrap']:#x}"] if facts["bootstrap"] else []
    if facts["continuation"]:
        lines.append(f"  boot all {facts['continuation']:#x}  (and the libraries of the program's table)")
    if facts["interpreter_entry"]:
        lines.append(f"  entry    {facts['interpreter_entry']:#x}  (as PT_INTERP of a program)")
    return lines


def _show_follows(facts: Facts) -> list[str]:
    return [f"  follows  {' '.join(facts['releases'][:-1])}"] if len(facts["releases"]) > 1 else []


def _show_dependencies(facts: Facts) -> list[str]:
    return ["depends on: " + " ".join(facts["dependencies"])] if facts["dependencies"] else []


def _show_slots(rows: list[Facts]) -> list[str]:
    width = max((len(row["instruction"]) for row in rows), default=0)
    lines = [f"jump table: {len(rows)} slots"]
    for row in rows:
        name = _slot_name(row)
        plain = row["target_symbol"] in ("", name, name + IMPLEMENTATION_SUFFIX)
        target = "" if plain else f" -> {row['target_symbol']}"
        place = f"{row['slot']:>5}  {row['address']:#010x}  {row['bytes']}"
        lines.append(f"  {place}  {row['instruction']:<{width}}  {name}{target}")
    return lines


def _slot_name(row: Facts) -> str:
    name = row["symbol"] or "?"
    if row["empty"]:
        return f"(empty: {name})"
    if row["retired"]:
        return f"(retired{' in ' + row['since'] if row['since'] else ''}: {name})"
    return str(name)


def _show_places(facts: Facts) -> list[str]:
    """Exported data, what is kept for programs linked with earlier releases, and names that changed."""
    lines = []
    if facts["data"]:
        lines.append(f"exported data: {len(facts['data'])}")
        lines += [f"  {row['address']:#010x}  {row['size']:>7}  {row['name']}" for row in facts["data"]]
    if facts["reserved"]:
        lines.append(f"reserved for programs linked with earlier releases: {len(facts['reserved'])}")
    for row in facts["reserved"]:
        what = f"{row['state']} in {row['since']}: {row['name']}"
        lines.append(f"  {row['address']:#010x}  {row['size']:>7}  ({what})")
    if facts["renamed"]:
        renamed = (f"{row['old']} -> {row['new']} in {row['release']}" for row in facts["renamed"])
        lines.append("renamed: " + ", ".join(renamed))
    return lines


def _show_program(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: program, {facts['machine']}, entry {facts['entry']:#x}"]
    lines += _show_segments("segments", facts["segments"])
    if facts["libraries"]:
        lines.append(".lib: " + " ".join(facts["libraries"]))
    if facts["interpreter"]:
        lines.append(f"interpreter: {facts['interpreter']}")
    if facts["library_path"]:
        lines.append(f"library path: {facts['library_path']}")
    if facts["version_rule"]:
        lines.append(f"version rule: {facts['version_rule']}")
    lines += _show_needs(facts)
    if facts["bindings"]:
        lines.append(f"bindings: {len(facts['bindings'])}")
        lines += [
            f"  {row['address']:#010x}  {row['kind']:<8}  {row['library']}  {row['symbol']}"
            for row in facts["bindings"]
        ]
    return lines


def _show_symbol(row: Facts) -> str:
    letter = {"undefined": "w" if row["binding"] == "weak" else "U", "absolute": "A", "common": "C"}.get(
        row["place"], "T"
    )
    value = f"{row['value']:#010x}" if row["place"] in ("absolute", "defined") else " " * 10
    return f"  {value}  {letter}  {row['name']}" + ("  (hidden)" if row["hidden"] else "")


def _show_object(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: object, {facts['machine']}"]
    lines += [f"  {row['name']:<24} {row['size']:>8}" for row in facts["sections"]]
    return lines + [_show_symbol(row) for row in facts["symbols"]]


def _show_archive(facts: Facts) -> list[str]:
    lines = [f"{facts['file']}: {facts['kind']}" + (f", {facts['machine']}" if "machine" in facts else "")]
    if "library" in facts:
        lines += [*_show_identity(facts["library"]), f"  file     {facts['file_name']}"]
        lines += [*_show_follows(facts), *_show_dependencies(facts)]
    lines.append(f"members: {len(facts['members'])}")
    for member in facts["members"]:
        lines.append(f"{member['name']}  {member['size']}")
        lines += [_show_symbol(row) for row in member["symbols"]]
    return lines


SHOW: dict[str, Callable[[Facts], list[str]]] = {
    "target library": _show_library,
    "program": _show_program,
    "object": _show_object,
    "archive": _show_archive,
    "stub library": _show_archive,
    **historical_formats.SHOW,
}
