"""Each sample, built by its own build.sh and run by its own run.sh, natively and in the emulator, on both machines and schemes."""

import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT
from support.programs import PLACES, sysroot
from support.tools import NATIVE

SAMPLES = ROOT / "samples"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if (path / "build.sh").exists())


def test_there_are_samples() -> None:
    assert len(NAMES) >= 7
    for name in NAMES:
        assert (SAMPLES / name / "README.md").exists() and (SAMPLES / name / "expected.txt").exists()


@pytest.mark.parametrize(("arch", "scheme"), PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_sample(name: str, arch: str, scheme: str, environment: dict[str, str], tmp_path: Path) -> None:
    sample, root = SAMPLES / name, sysroot(arch)
    subprocess.run(["sh", sample / "build.sh", root, tmp_path, scheme], check=True, env=environment, timeout=120)
    expected = (sample / "expected.txt").read_text()
    searched = ":".join(str(tmp_path / d) for d in ("shlib", "old/shlib", "new/shlib") if (tmp_path / d).exists())
    emulated = ["uselib", "run", "--sysroot", str(root)]
    if not (tmp_path / "old").exists():  # samples with two versions choose by LD_LIBRARY_PATH themselves
        emulated += ["--library-path", searched or str(tmp_path)]
        environment = {**environment, "LD_LIBRARY_PATH": searched}
    ran = subprocess.run(
        ["sh", sample / "run.sh", tmp_path, *emulated], capture_output=True, text=True, env=environment, timeout=120
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == (expected, "", 0)
    if NATIVE:
        ran = subprocess.run(
            ["sh", sample / "run.sh", tmp_path], capture_output=True, text=True, env=environment, timeout=120
        )
        assert (ran.stdout, ran.stderr, ran.returncode) == (expected, "", 0)
