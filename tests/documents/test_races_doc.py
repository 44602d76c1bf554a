"""docs/races.md and samples/race: an order that fails is found, and repeated."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.command import uselib
from support.paths import ROOT

SOURCE = ROOT / "samples" / "race" / "race.c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    return tmp_path_factory.mktemp("race")


def made(folder: Path, name: str, text: str, *options: str) -> Path:
    (folder / f"{name}.c").write_text(text)
    command = ["gcc", "-O1", "-pthread", *options, folder / f"{name}.c", "-o", folder / name]
    subprocess.run(command, check=True)
    return folder / name


def test_the_sample(folder: Path) -> None:
    race = made(folder, "race", SOURCE.read_text(), "-static")
    usual = uselib("run", race)
    assert (usual.returncode, usual.stdout) == (0, "paid 70\nbalance 30\n")
    found = uselib("run", "--schedules", "40", race)
    assert found.returncode == 4
    seed = re.match(r"--schedule (\d+) ends with status 1, the order without --schedule with status 0\n", found.stdout)
    assert seed and f"repeat it: uselib run --schedule {seed[1]} {race}" in found.stdout
    for _ in range(2):
        again = uselib("run", "--schedule", seed[1], race)
        assert again.returncode == 1 and again.stdout.endswith("balance -30\n")


def test_mended(folder: Path) -> None:
    text = SOURCE.read_text().replace("balance = 100;", "balance = 100;\nstatic pthread_mutex_t lock;")
    text = text.replace("    if (balance", "    pthread_mutex_lock(&lock);\n    if (balance")
    text = text.replace("    return NULL;", "    pthread_mutex_unlock(&lock);\n    return NULL;")
    found = uselib("run", "--schedules", "8", made(folder, "mended", text, "-static"))
    assert (found.returncode, found.stdout) == (0, "8 schedules: all end with status 0\n")
