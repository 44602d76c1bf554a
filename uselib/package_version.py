"""The version of the installed package: pyproject.toml's, as pip recorded it."""

from __future__ import annotations


def package_version() -> str:
    """`0+unknown` where uselib is imported from a folder that no pip installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and few commands show it

    try:
        return version("uselib")
    except PackageNotFoundError:
        return "0+unknown"
