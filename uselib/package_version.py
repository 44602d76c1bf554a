"""The version of the installed package: pyproject.toml's, as pip recorded it."""

from __future__ import annotations


def package_version() -> str:
    """`0+unknown` if uselib was not installed by pip."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and few commands show it

    try:
        return version("uselib")
    except PackageNotFoundError:
        return "0+unknown"
