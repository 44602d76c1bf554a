"""Documents made of what really happens: their files written, their scripts and commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from support.paths import ROOT

FILE = re.compile(r"^```\w+ (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SCRIPT = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps(text: str) -> list[tuple[str, str]]:
    """(command, output) of every command shown."""
    shown = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    parts = re.split(r"^\$ (.*)\n", shown, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def spoken(command: str, home: Path, hidden: Collection[str]) -> subprocess.CompletedProcess[str]:
    """A command run in `home`, which it calls /home/me/demo, without the variables `hidden`; stdout has stderr too."""
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    script = f'uselib() {{ {sys.executable} -m uselib.cli "$@"; }}\n'
    ran = subprocess.run(
        ["bash", "-c", script + command],
        cwd=home,
        env={**variables, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ran.stdout = ran.stdout.replace(str(home), "/home/me/demo")
    return ran


def prepared(
    folder: Path, text: str, tools: Mapping[str, str], dropped: Collection[str], more: Mapping[str, str]
) -> dict[str, str]:
    """Writes the files and runs the scripts; gives the environment for commands: this one without `dropped`, with `more`.
    tools: commands -> the interpreter's options and module that they stand for."""
    for name, content in FILE.findall(text):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    place = folder / "bin"
    place.mkdir()
    for name, rest in tools.items():
        (place / name).write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {rest}"$@"\n')
        (place / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"PATH": f"{place}:{environment['PATH']}", **more}
    for script in SCRIPT.findall(text):
        done = subprocess.run(["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return environment
