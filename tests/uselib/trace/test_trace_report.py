"""`uselib trace report`: the page's facts, and the page in a headless Chromium."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import chromium
from support.command import uselib
from support.trace_writer import TraceBuilder, random_tree, repeated, small

READY = "document.documentElement?.dataset.ready === 'yes'"
DOWN, UP, RIGHT, LEFT, END, ENTER = (
    ("ArrowDown", 40),
    ("ArrowUp", 38),
    ("ArrowRight", 39),
    ("ArrowLeft", 37),
    ("End", 35),
    ("Enter", 13),
)


def report(path: str | Path, out: Path, *options: str) -> dict[str, Any]:
    ran = uselib("trace", "report", "-o", out, *options, path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran.stderr
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', out.read_text(), re.S)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_facts(tmp_path: Path) -> None:
    facts = report(small().save(tmp_path / "t"), tmp_path / "r.html")
    assert [p["pid"] for p in facts["processes"]] == [1000, 1001]
    labels = [f[0] for f in facts["functions"]]
    rows = facts["tree"]["rows"]
    paths = {}
    for n, (parent, function, site, calls, total, self_time) in enumerate(rows):
        assert parent < n
        paths[n] = (*paths.get(parent, ()), labels[function]) if function >= 0 else ()
        if paths[n] == ("main", "libc_s!qsort", "compare", "libc_s!strcmp"):
            assert (site, calls, total, self_time) == (0, 3, 3, 3)
    assert ("main", "libc_s!qsort", "compare", "libc_s!strcmp") in paths.values()
    assert sum(sum(row["counts"]) for row in facts["timeline"]["rows"]) == 12
    assert max(facts["timeline"]["depth"]["0"]) == 3
    slots = {s["name"]: s["calls"] for s in facts["slots"]}
    assert len(slots) == 11 and slots["free"] == 0 and slots["strcmp"] == 3
    assert facts["notes"] == {  # the libraries of this trace do not exist
        "libc_s.1.0.0": "the file is not there any more",
        "libdraw_s.1.0.0": "the file is not there any more",
    }
    tables = [t for f in facts["maps"][0] for t in f["tables"]]
    assert tables == [
        {"start": "0x60000800", "end": "0x60000838", "slots": 7},
        {"start": "0x61000800", "end": "0x61000820", "slots": 4},
    ]


def test_the_page_grows_with_paths_not_with_events(tmp_path: Path) -> None:
    tree = random_tree(1, 3000)
    while tree.stack[0]:
        tree.back()
    tree.flush(0)
    for times, name in ((1, "one"), (100, "many")):
        report(repeated(tmp_path / f"{name}.trace", tree, times), tmp_path / f"{name}.html", "--bins", "500")
    one, many = ((tmp_path / f"{name}.html").stat().st_size for name in ("one", "many"))
    assert many < 1.2 * one < 500_000


def test_names_cannot_end_the_script(tmp_path: Path) -> None:
    b = TraceBuilder(program="/w/</script><!--<script>alert(1)")
    b.process()
    b.leaf("puts")
    b.end()
    facts = report(b.save(tmp_path / "t"), tmp_path / "r.html")
    assert facts["processes"][0]["program"] == "/w/</script><!--<script>alert(1)"


def test_it_needs_a_place(tmp_path: Path) -> None:
    ran = uselib("trace", "report", small().save(tmp_path / "t"))
    assert ran.returncode == 2 and "say where the page goes" in ran.stderr


# -- in a browser -----------------------------------------------------------------------------------------------------

in_browser = pytest.mark.skipif(chromium.BINARY is None, reason="no Chromium here (Debian package chromium)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[chromium.Page, Path]]:
    folder = tmp_path_factory.mktemp("report")
    report(small().save(folder / "t"), folder / "r.html")
    with chromium.Page(folder / "profile") as found:
        yield found, folder / "r.html"


@pytest.fixture
def page(browser: tuple[chromium.Page, Path]) -> chromium.Page:
    """The report, freshly loaded."""
    found, path = browser
    found.errors.clear()
    found.requests.clear()
    found.open(path, READY)
    return found


@in_browser
def test_page_says_no_errors_and_asks_for_nothing(page: chromium.Page) -> None:
    assert page.errors == []
    assert [url.split(":")[0] for url in page.requests if not url.startswith("data:")] == ["file"]
    assert page.run("document.title") == "t - uselib trace"
    assert page.run("document.querySelectorAll('#map svg rect').length") == 1 + 3 + 3 + 2
    assert "1.5 GiB" in page.run("document.querySelector('#map-table').textContent")


@in_browser
def test_call_tree_by_keyboard(page: chromium.Page) -> None:
    page.run("document.querySelector('#calls [role=treeitem]').focus()")
    name = "document.activeElement.querySelector('.name').textContent.replace(/^[^a-z]*/, '')"
    assert page.run(name) == "hello (1000)"
    page.press(*DOWN)
    page.press(*DOWN)
    assert page.run(name) == "libc_s!qsort"
    assert page.run("document.activeElement.getAttribute('aria-expanded')") == "false"
    page.press(*RIGHT)
    page.press(*RIGHT)
    assert page.run(name) == "compare"
    page.press(*LEFT)
    page.press(*LEFT)
    assert page.run(name) == "libc_s!qsort"
    assert page.run("document.activeElement.getAttribute('aria-expanded')") == "false"
    page.press(*UP)
    assert page.run(name) == "main"
    page.press(*END)
    assert page.run(name) == "libc_s!exit"
    assert page.errors == []


@in_browser
def test_search_opens_the_way_to_what_it_finds(page: chromium.Page) -> None:
    page.run("document.body.focus()")
    page.run("document.activeElement.blur()")
    page.press("/", 191, "/")
    assert page.run("document.activeElement.id") == "search"
    page.call("Input.insertText", text="strcmp")
    assert page.run("document.querySelector('#found').textContent") == "1 of 1"
    assert "strcmp" in page.run("document.querySelector('#calls .hit').textContent")
    page.run("const s = document.querySelector('#search'); s.value = 'malloc'; s.dispatchEvent(new Event('input'))")
    page.press(*ENTER, "\r")
    assert page.run("document.querySelector('#found').textContent") == "2 of 2"
    assert page.errors == []


@in_browser
def test_timeline_by_keyboard(page: chromium.Page) -> None:
    page.run("document.querySelector('canvas').focus()")
    page.press("Home", 36)
    assert page.run("document.querySelector('#readout').textContent").startswith(
        "1 to 1 blocks, process 1000: libc_s 1"
    )
    page.press(*RIGHT)
    assert "2 to 2 blocks" in page.run("document.querySelector('#readout').textContent")


@in_browser
def test_slots_sorted_and_filtered(page: chromium.Page) -> None:
    first = "document.querySelector('#slot-table tbody tr').cells[2].textContent"
    assert page.run(first) == "strcmp"
    page.run("document.querySelector('th[data-key=name] button').click()")
    assert page.run(first) == "exit"
    page.run("document.querySelector('#used').click()")
    assert page.run("document.querySelectorAll('#slot-table tbody tr').length") == 11
    page.run("const f = document.querySelector('#filter'); f.value = 'libdraw'; f.dispatchEvent(new Event('input'))")
    assert page.run("document.querySelectorAll('#slot-table tbody tr').length") == 4


@in_browser
def test_light_and_dark(page: chromium.Page, tmp_path: Path) -> None:
    """Text stands out from its background in both, by the contrast that WCAG asks for; KEEP_SCREENSHOTS=DIR keeps the pictures."""
    contrast = """(() => {
      const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
      const panel = light(getComputedStyle(document.querySelector('section')).backgroundColor);
      return [...document.querySelectorAll('h2, .hint, td, .row .name, a')].map(node => {
        const a = light(getComputedStyle(node).color); return (Math.max(a, panel) + .05) / (Math.min(a, panel) + .05); });
    })()"""
    backgrounds = []
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        assert min(page.run(contrast)) >= 4.5
        backgrounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
        picture = Path(os.environ.get("KEEP_SCREENSHOTS", tmp_path)) / f"report-{scheme}.png"
        page.screenshot(picture)
        assert picture.stat().st_size > 20_000
    assert backgrounds[0] != backgrounds[1] and page.errors == []
