"""The version of the package; pyproject.toml reads it from here. importlib.metadata would take 20 ms to find it."""

VERSION = "0.1.0"
