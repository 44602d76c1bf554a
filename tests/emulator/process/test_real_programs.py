"""Lua, bzip2, zlib and SQLite on musl's libc_s: the same bytes natively, emulated and statically linked, and as their authors say."""

import tempfile
from pathlib import Path

import pytest

from support.programs import sysroot
from support.real_programs import (
    BUILDERS,
    CASES,
    PACKAGES,
    Case,
    Outcome,
    Site,
    Unavailable,
    expected_output,
    run_case,
    sources,
)
from support.tools import SCHEMES, native

pytestmark = [pytest.mark.slow, native]


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sources")
    try:
        for package in PACKAGES:
            sources(package, path)
    except Unavailable as reason:
        pytest.skip(str(reason))
    return path


@pytest.fixture(scope="module")
def site(arch: str, trees: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(sysroot(arch, "musl"), trees, tmp_path_factory.mktemp(arch))
    for scheme in SCHEMES:
        (made.directory / scheme).mkdir()
    for build in BUILDERS.values():
        build(made, SCHEMES)
    return made


def outcome(case: Case, site: Site, scheme: str, emulated: bool) -> Outcome:
    with tempfile.TemporaryDirectory() as directory:
        return run_case(case, site, scheme, emulated, Path(directory, "run"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_everywhere(case: Case, site: Site) -> None:
    reference = outcome(case, site, "static", False)
    expected = expected_output(case, site)
    if expected is not None:
        assert (reference.status, reference.stdout == expected) == (0, True)
    assert reference.status == (5 if case.name == "Lua script" else 0), reference.stderr
    for scheme in SCHEMES:
        for emulated in (False, True):
            assert outcome(case, site, scheme, emulated) == reference, (scheme, "emulated" if emulated else "native")
