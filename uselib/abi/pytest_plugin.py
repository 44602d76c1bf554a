"""The pytest plugin: a fixture `abi` and a marker `abi` for test suites of libraries (docs/pytest-plugin.md).

pytest loads this module in every run of an environment in which uselib is installed, so it imports nothing but pytest; what does
the work (pytest_checks.py) is imported by the first test that uses it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from uselib.abi.pytest_checks import Abi

_MARKER = (
    "abi(old, new, program=None, arguments=(), **options): before the test, abi.assert_compatible of these (paths, or names of "
    "fixtures that the test asks for)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini settings."""
    text = "options of `uselib run` for all programs that `abi` runs, one word a line"
    parser.addini("abi_run_options", text, type="args", default=[])
    parser.addini("abi_max_seconds", "the longest that a program may run (default 60)", default="60")
    group = parser.getgroup("uselib", "ABI of libraries")
    group.addoption("--abi-static-only", action="store_true", help="`abi` compares files and runs no program")


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def abi_run_options(pytestconfig: pytest.Config) -> Sequence[str]:
    """Options of `uselib run` for all programs that `abi` runs. Override it in conftest.py where they come from other fixtures, as
    `["--sysroot", sysroot]`."""
    return list(pytestconfig.getini("abi_run_options"))


@pytest.fixture
def abi(pytestconfig: pytest.Config, abi_run_options: Sequence[str]) -> Abi:
    """Compares versions of a library: `abi.assert_compatible(old, new, program)`; see uselib.abi.pytest_checks.Abi."""
    from uselib.abi.pytest_checks import Abi

    return Abi.of(pytestconfig, abi_run_options)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test with the marker needs the fixture."""
    names = getattr(item, "fixturenames", None)
    if names is not None and "abi" not in names and item.get_closest_marker("abi") is not None:
        names.append("abi")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """The marker: what it says is checked before the test's own body."""
    for marker in pyfuncitem.iter_markers("abi"):
        from uselib.abi.pytest_checks import check_marker

        check_marker(pyfuncitem, marker)
    return (yield)
