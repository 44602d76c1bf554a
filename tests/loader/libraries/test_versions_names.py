"""Names with versions and the rules as a table: linker/versions.py, and its twin in runtime/crt/versions.h."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.paths import ROOT
from uselib.cli import main
from uselib.linker.errors import UsageError
from uselib.linker.image import Version
from uselib.linker.versions import (
    DEFAULT,
    RULES,
    best,
    link_names,
    names_library,
    rule_named,
    split_link,
    split_name,
    version_of,
)

NUMBER = st.integers(0, 0xFFFF)
VERSION = st.builds(Version, NUMBER, NUMBER, NUMBER)
NAME = st.text("abcX_0123.-", min_size=1, max_size=12)


@given(NAME, VERSION)
def test_names_and_back(name: str, version: Version) -> None:
    assert split_name(f"{name}.{version}") == (name, version)
    assert version_of(f"{name}.{version}", name) == version
    assert names_library(f"/shlib/{name}.{version}", name)


@given(st.text(".0123456789x\u0663+-", max_size=16), NAME)
def test_a_version_has_one_name(text: str, name: str) -> None:
    found = version_of(f"{name}.{text}", name)
    assert found is None or str(found) == text


OTHER_NAMES = [
    *"libx_s libx_s.1 libx_s.1.2 libx_s.1.2. libx_s.01.2.3 libx_s.1.2.65536 libx_s.1.2.3~ libx_s.1.2.\u0663 .1.2.3".split(),
    *("libx_s.1.2.3\n", ""),
]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_names(name: str) -> None:
    assert split_name(name) is None


def test_links() -> None:
    assert link_names("libx_s", Version(1, 2, 3)) == ("libx_s.1.2", "libx_s.1")
    assert split_link("libx_s.1.2") == ("libx_s", (1, 2)) and split_link("libx_s.7") == ("libx_s", (7,))
    assert split_link("libx_s.1.2.3") is None and split_link("libx_s") is None and split_link("libx_s.70000") is None


@given(st.lists(VERSION), VERSION, st.sampled_from(list(RULES.values())))
def test_best(installed: list[Version], linked: Version, rule: object) -> None:
    chosen = best(installed, linked, rule)  # type: ignore[arg-type]
    fitting = [v for v in installed if rule.admits(v, linked)]  # type: ignore[attr-defined]
    assert chosen == (max(fitting) if fitting else None)
    if chosen is not None:
        assert best(installed, linked, rule, chosen) != chosen  # type: ignore[arg-type]


LINKED = Version(4, 2, 5)
REFUSED = {  # installed -> why each rule refuses it
    "4.2.5": ("", "", "", "", ""),
    "4.2.9": ("", "", "", "", ""),
    "4.2.4": ("", "", "", "", "lower-patch"),
    "4.3.0": ("", "", "", "other-minor", ""),
    "4.1.9": ("lower-minor",) * 5,
    "5.2.5": ("major",) * 5,
    "3.9.9": ("major",) * 5,
}


@pytest.mark.parametrize("installed", REFUSED)
def test_rules(installed: str) -> None:
    reasons = tuple(rule.refusal(Version.parse(installed), LINKED) for rule in RULES.values())
    assert reasons == REFUSED[installed]


def test_start_up_has_the_same_table() -> None:
    text = (ROOT / "runtime" / "crt" / "versions.h").read_text()
    rows = re.findall(r'\{"([a-z-]+)",((?:\s+[01],?)+)\}', text)
    assert [(name, [int(flag) for flag in re.findall("[01]", flags)]) for name, flags in rows] == [
        (r.name, [r.recorded, r.link, r.best, r.same_minor, r.patch_counts]) for r in RULES.values()
    ]


def test_unknown_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert rule_named("", "x") is DEFAULT and rule_named("sun", "x").name == "sun"
    with pytest.raises(
        UsageError, match="x: `newest` is not a version rule; write default, exact, sun, exact-minor, linux"
    ):
        rule_named("newest", "x")
    assert main(["ld", "--version-rule", "newest", "a.o"]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == "uselib: --version-rule: `newest` is not a version rule; write default, exact, sun, exact-minor, linux\n"
    )
