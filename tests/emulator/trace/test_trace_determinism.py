"""The same program, input and seed make the same trace file, byte for byte: every sample, twice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT
from support.programs import PLACES, sysroot
from support.traces import program, record
from uselib.cli import main

SAMPLES = ROOT / "samples"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if (path / "build.sh").exists())


@pytest.mark.parametrize(("arch", "scheme"), PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_sample(name: str, arch: str, scheme: str, environment: dict[str, str], tmp_path: Path) -> None:
    """run.sh may run the program more than once; a small script records each of its runs in a file of its own."""
    built, root = tmp_path / "built", sysroot(arch)
    built.mkdir()
    subprocess.run(["sh", SAMPLES / name / "build.sh", root, built, scheme], check=True, env=environment, timeout=120)
    searched = ":".join(str(built / d) for d in ("shlib", "old/shlib", "new/shlib") if (built / d).exists())
    if not (built / "old").exists():
        environment = {**environment, "LD_LIBRARY_PATH": searched}
    traces: list[dict[str, bytes]] = []
    for turn in ("one", "two"):
        folder = tmp_path / turn
        folder.mkdir()
        recorder = tmp_path / f"{turn}.sh"
        recorder.write_text(
            f'#!/bin/sh\nn=$(ls "{folder}" | wc -l)\n'
            f'exec uselib trace record --returns --syscalls -o "{folder}/$n" --sysroot "{root}" "$@"\n'
        )
        recorder.chmod(0o755)
        ran = subprocess.run(
            ["sh", SAMPLES / name / "run.sh", built, recorder],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )
        assert (ran.stdout, ran.stderr) == ((SAMPLES / name / "expected.txt").read_text(), "")
        traces.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert traces[0] and traces[0] == traces[1]
    for path in (tmp_path / "one").iterdir():  # and the comparison of the two says so
        assert main(["trace", "diff", str(path), str(tmp_path / "two" / path.name)]) == 0


def test_clocks_and_random_bytes(arch: str, tmp_path: Path) -> None:
    path = program(tmp_path, "calls", arch)
    for options in (("--clock", "blocks", "--all-functions"), ("--seed", "7")):
        for turn in ("one", "two"):
            assert record(tmp_path / turn, path, arch, *options).returncode == 0
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
