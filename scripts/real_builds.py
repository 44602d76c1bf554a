#!/usr/bin/env python3
"""Builds Debian's sources as they are, with GNU ld and with uselib's ld, runs their own tests, and prints the table of docs/real-builds.md.

    scripts/real_builds.py                    all, in a folder below /tmp; a few hours
    scripts/real_builds.py -d DIR zlib sed    these
    scripts/real_builds.py --list             what there is, and what has to be installed

It needs `apt-get source` (a deb-src line), gcc and make. Nothing of it is committed, and nothing is installed. A test that passes with GNU ld
and not with ours is printed by name, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LINKERS = ("GNU ld", "ours")
COMPILERS = {"x86-64": ("gcc", "g++"), "i386": ("i686-linux-gnu-gcc", "i686-linux-gnu-g++")}

# How test suites say which tests passed and which failed: one name a line.
SUITES = {
    "automake": (r"(?m)^X?PASS: (.+?) *$", r"(?m)^(?:FAIL|ERROR|XPASS): (.+?) *$"),
    "ctest": (r"(?m)^ *\d+/\d+ Test +#\d+: (\S+) \.+ +Passed", r"(?m)^ *\d+/\d+ Test +#\d+: (\S+) \.+\*\*\*"),
    "tcl": (r"(?m)^(\S+)\.\.\. (?:\S+ )?Ok$", r"(?m)^! (\S+) expected:"),
    "status": (r"(?m)^status (0)$", r"(?m)^status ([1-9]\d*)$"),
}


# A command `ld` that runs the linker that LINKER names, and writes the CPU time of each link to the file that LINK_TIMES names. Both linkers
# have the same place, so that the compiler's command line, and the results of a compiler cache, are the same.
TIMED_LINKER = """#!/bin/bash
[[ -n $LINK_TIMES && " $* " == *" -o "* ]] || exec "$LINKER" "$@"
TIMEFORMAT="%U %S"
exec 3>&2
{ time "$LINKER" "$@" 2>&3 3>&-; } 2>>"$LINK_TIMES"
"""


@dataclass(frozen=True)
class Build:
    """How one source package is built and tested. The commands are a shell's, in the source's folder; CC and CXX name the linker."""

    source: str
    configure: str
    build: str
    test: str
    suite: str = "automake"
    architectures: tuple[str, ...] = ("x86-64",)
    note: str = ""  # what of the test suite is left out
    folder: str = "."
    needs: str = ""  # Debian packages besides build-essential


BOTH = ("x86-64", "i386")
GNULIB = "gnulib's tests of the C library"
AUTOMAKE = ("./configure --disable-dependency-tracking $HOST", "make -j2", "make -k check")
SHELL_STATUS = '; echo "status $?"'
CMAKE = "cmake -S . -B build -G 'Unix Makefiles' -DBUILD_SHARED_LIBS=ON"
ZSTD = "(cd tests && ./fuzzer -s1 -i2000) && make check" + SHELL_STATUS
SQLITE = "./configure --enable-load-extension"
SQLITE_TESTS = "for t in select where join func trigger insert fts3 loadext; do for f in test/$t[1-9a].test; do ./testfixture $f; done; done"
NOT_SQLITE = "all but select, where, join, func, trigger, insert, fts3, loadext"
COREUTILS = (
    "make check SUBDIRS=. TESTS=\"$(ls tests/cp/*.sh tests/ls/*.sh tests/mv/*.sh tests/misc/*.pl | tr '\\n' ' ')\""
)
NOT_COREUTILS = "all but cp, ls, mv, misc/*.pl"
BUILDS = (
    Build("zlib", "./configure", "make -j2", "make test" + SHELL_STATUS, "status", BOTH),
    Build("bzip2", ":", 'make CC="$CC" all', 'make CC="$CC" test' + SHELL_STATUS, "status", BOTH),
    Build("tinyxml2", CMAKE, "make -C build -j2", "ctest --test-dir build", "ctest", needs="cmake"),
    Build(
        "expat",
        f"./buildconf.sh && {AUTOMAKE[0]}",
        *AUTOMAKE[1:],
        "automake",
        ("x86-64",),
        "",
        "expat",
        "libtool automake",
    ),
    Build("sed", *AUTOMAKE[:2], "make -k check SUBDIRS=.", note=GNULIB),
    Build("xz-utils", *AUTOMAKE),
    Build("libpng1.6", *AUTOMAKE, needs="zlib1g-dev"),
    Build("libjsoncpp", CMAKE, "make -C build -j2", "ctest --test-dir build", "ctest", needs="cmake"),
    Build(
        "libzstd",
        ":",
        "make -j2 -C lib lib && make -j2 -C programs zstd && make -j2 -C tests datagen fuzzer",
        ZSTD,
        "status",
    ),
    Build(
        "busybox", 'make defconfig HOSTCC="$CC"', 'make -j2 CC="$CC" HOSTCC="$CC"', 'make CC="$CC" HOSTCC="$CC" check'
    ),
    Build(
        "sqlite3",
        SQLITE,
        "make -j2 sqlite3 libsqlite3.la testfixture",
        SQLITE_TESTS,
        "tcl",
        note=NOT_SQLITE,
        needs="tcl-dev",
    ),
    Build("coreutils", f"FORCE_UNSAFE_CONFIGURE=1 {AUTOMAKE[0]}", "make -j2", COREUTILS, note=NOT_COREUTILS),
)


@dataclass(frozen=True)
class Outcome:
    """One build with one linker."""

    problem: str  # the step that failed, or ""
    links: int
    seconds: float  # CPU time of all links of the build
    passed: Counter[str]
    failed: Counter[str]


class Workshop:
    """A folder with sources, a folder for each linker, and logs."""

    def __init__(self, folder: Path, uselib: str, prefix: list[str]) -> None:
        self._folder, self._prefix = folder, prefix
        ours = subprocess.run([uselib, "ld-dir"], capture_output=True, text=True, check=True).stdout.strip()
        self._ld = {"GNU ld": _program("ld"), "ours": f"{ours}/ld"}
        self._tools = folder / "tools"
        self._tools.mkdir(parents=True, exist_ok=True)
        (self._tools / "ld").write_text(TIMED_LINKER)
        (self._tools / "ld").chmod(0o755)

    def source(self, name: str) -> Path:
        """The unpacked source. Raises subprocess.CalledProcessError."""
        folder = self._folder / "sources" / name
        if not any(folder.glob("*/debian")):
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "source", "-qq", name], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return next(folder.glob("*/debian")).parent

    def build(self, build: Build, linker: str, architecture: str, limit: int) -> Outcome:
        """Configures, builds and tests in a fresh copy of the source, which stays with its log."""
        label = f"{build.source}-{architecture}"
        place, kept = self._folder / "builds" / label, self._folder / "builds" / f"{label}-{linker.replace(' ', '-')}"
        times, log = kept.with_suffix(".times"), kept.with_suffix(".log")
        subprocess.run(["rm", "-rf", place, kept, times, log], check=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", self.source(build.source), place], check=True)
        compiler, cxx = (" ".join((*self._prefix, name, f"-B{self._tools}")) for name in COMPILERS[architecture])
        host = "" if architecture == "x86-64" else "--host=i686-linux-gnu"
        environment = {**os.environ, "CC": compiler, "CXX": cxx, "HOST": host, "LC_ALL": "C"}
        environment["LINKER"] = self._ld[linker]
        environment.pop("LINK_TIMES", None)
        problem, text = "", ""
        for step in ("configure", "build", "test"):
            if step == "build":
                environment["LINK_TIMES"] = str(times)
            elif step == "test":
                environment.pop("LINK_TIMES")
            status, text = _shell(getattr(build, step), place / build.folder, environment, log, limit)
            if status and step != "test":
                problem = step
                break
        place.rename(kept)
        passed, failed = (Counter(re.findall(pattern, text)) for pattern in SUITES[build.suite])
        rows = [line.split() for line in times.read_text().splitlines()] if times.exists() else []
        seconds = sum(float(row[0]) + float(row[1]) for row in rows)
        return Outcome(problem, len(rows), seconds, passed, failed)


def _program(name: str) -> str:
    """Where a command is. Raises FileNotFoundError."""
    if (found := shutil.which(name)) is None:
        raise FileNotFoundError(name)
    return found


def _shell(command: str, folder: Path, environment: dict[str, str], log: Path, limit: int) -> tuple[int, str]:
    """Runs a command of at most `limit` seconds. Returns its status and what it said."""
    with log.open("a+b") as file:
        file.write(f"\n$ {command}\n".encode())
        file.flush()
        start = file.tell()
        process = subprocess.Popen(
            ["nice", "-n", "5", "sh", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            file.write(f"\nstopped after {limit} s\n".encode())
        file.seek(start)
        return status, file.read().decode(errors="replace")


def lost(gnu: Outcome, ours: Outcome) -> list[str]:
    """Tests that pass with GNU ld and not with ours."""
    return sorted((gnu.passed - ours.passed).elements())


def row(build: Build, architecture: str, gnu: Outcome, ours: Outcome) -> str:
    """One row of the table."""

    def tests(outcome: Outcome) -> str:
        if outcome.problem:
            return f"{outcome.problem} fails"
        return f"{outcome.passed.total()} of {outcome.passed.total() + outcome.failed.total()}"

    ratio = f"{ours.seconds / gnu.seconds:.1f}" if gnu.seconds and not ours.problem else ""
    cells = (
        f"{build.source} ({architecture})",
        f"{ours.links}",
        f"{gnu.seconds:.2f}",
        f"{ours.seconds:.2f}",
        ratio,
        tests(gnu),
        tests(ours),
        build.note,
    )
    return f"| {' | '.join(cells)} |"


def chosen(names: list[str]) -> Iterator[tuple[Build, str]]:
    """The builds asked for, NAME or NAME:ARCHITECTURE."""
    for build in BUILDS:
        for architecture in build.architectures:
            if not names or build.source in names or f"{build.source}:{architecture}" in names:
                yield build, architecture


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-d", "--directory", type=Path, help="where to work; kept, and sources in it are used again")
    parser.add_argument("--uselib", default="uselib", help="the command (default: uselib)")
    parser.add_argument("--limit", type=int, default=1800, metavar="SECONDS", help="for each step (default: 1800)")
    parser.add_argument(
        "--ccache", action="store_true", help="compile through ccache: the second build takes the first one's objects"
    )
    parser.add_argument("--list", action="store_true", help="print what there is")
    parser.add_argument("names", nargs="*", metavar="SOURCE[:ARCHITECTURE]")
    options = parser.parse_args()
    unknown = set(options.names) - {
        n for b in BUILDS for n in (b.source, *(f"{b.source}:{a}" for a in b.architectures))
    }
    if unknown:
        parser.error(f"no such source: {' '.join(sorted(unknown))}; see --list")
    if options.list:
        for build, architecture in chosen(options.names):
            print(f"{build.source}:{architecture}", build.needs and f"(needs {build.needs})")
        return 0
    folder = options.directory or Path(tempfile.mkdtemp(prefix="real-builds-"))
    workshop = Workshop(folder.absolute(), options.uselib, ["ccache"] if options.ccache else [])
    print("| source | links | CPU s, GNU ld | CPU s, ours | ratio | tests, GNU ld | tests, ours | left out |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    worse = 0
    for build, architecture in chosen(options.names):
        gnu, ours = (workshop.build(build, linker, architecture, options.limit) for linker in LINKERS)
        print(row(build, architecture, gnu, ours), flush=True)
        for name in lost(gnu, ours):
            print(f"{build.source} ({architecture}): passes with GNU ld only: {name}", file=sys.stderr, flush=True)
        worse += bool(ours.problem and not gnu.problem) or bool(lost(gnu, ours))
    print(f"logs: {folder}/builds", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
