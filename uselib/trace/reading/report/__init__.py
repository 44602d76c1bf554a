"""A trace as one HTML page that needs no other file.

data          what the page shows, aggregated: its size depends on limits, not on the number of events
bindings      symbol bindings
code          disassembly of slots and of what they lead to, and of other functions
page.html, page.css, page.js   the page; the data is put into it as JSON
"""

from __future__ import annotations

import json
from importlib.resources import files


def page(facts: dict[str, object]) -> str:
    """The page with the data in it."""
    parts = {
        name: files(__package__).joinpath(name).read_text("utf-8") for name in ("page.html", "page.css", "page.js")
    }
    # `<` cannot end the script element or start a comment in it
    data = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
    text = parts["page.html"]
    for mark, value in (("/*STYLE*/", parts["page.css"]), ("/*SCRIPT*/", parts["page.js"]), ("/*DATA*/", data)):
        before, _, after = text.partition(mark)
        text = before + value + after
    return text
