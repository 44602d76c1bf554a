"""Where things are in the project, for tests at any depth."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "programs"
"""Folders of guest programs and other inputs."""
GUEST = PROGRAMS / "guest"
"""Programs that run natively and emulated."""
