"""`python -m benchmarks.conformance`: real programs x machine x scheme x (native, emulated), as a table in Markdown.

The reference of each row is the program linked statically and run natively; a cell says whether status, output, error
output and files are the same, byte for byte, in all of the row's runs, and a reference that the package itself knows
(bzip2's samples) is checked too. Programs, inputs and how they are built: tests/support/real_programs.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.real_programs import BUILDERS, CASES, PACKAGES, Site, Unavailable, expected_output, run_case, sources
from uselib.runtime.sysroot import MACHINES, make_sysroot, read_sysroot

SCHEMES = ("uselib", "mmap", "static")


def build(machine: str, trees: Path, directory: Path) -> Site:
    """A sysroot with musl for a machine, and all programs in all schemes."""
    for scheme in SCHEMES:
        (directory / scheme).mkdir(parents=True)
    sysroot = directory / "sysroot"
    make_sysroot(sysroot, MACHINES[machine], "musl")
    site = Site(sysroot, trees, directory)
    for builder in BUILDERS.values():
        builder(site, SCHEMES)
    return site


def row(site: Site, machine: str, scheme: str, work: Path) -> tuple[str, list[str]]:
    """A row of the table, and what differed."""
    cells, differences = [], []
    for package in BUILDERS:
        cases = [case for case in CASES if case.package == package]
        for emulated in (False, True):
            same = 0
            for case in cases:
                reference = run_case(case, site, "static", False, work / f"{case.name}-reference-{scheme}-{emulated}")
                outcome = run_case(case, site, scheme, emulated, work / f"{case.name}-{scheme}-{emulated}")
                expected = expected_output(case, site)
                if outcome == reference and expected in (None, outcome.stdout):
                    same += 1
                else:
                    where = "emulated" if emulated else "native"
                    differences.append(f"{machine} {scheme} {where}: {case.name}: {outcome.stderr.decode()[:200]}")
            cells.append(f"{same}/{len(cases)}")
    return f"| {machine} | {scheme} | " + " | ".join(cells) + " |", differences


def run() -> int:
    """Prints the table. Returns 1 if anything differed, 2 if the sources cannot be had."""
    differences: list[str] = []
    with tempfile.TemporaryDirectory(prefix="uselib-conformance-") as temporary:
        trees = Path(temporary, "sources")
        try:
            for package in PACKAGES:
                sources(package, trees)
        except Unavailable as reason:
            print(f"conformance: {reason}", file=sys.stderr)
            return 2
        names = [f"{name} {way}" for name in BUILDERS for way in ("native", "emulated")]
        print(f"| machine | scheme | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
        for machine in MACHINES:
            site = build(machine, trees, Path(temporary, machine))
            version = read_sysroot(site.sysroot).version
            for scheme in SCHEMES:
                line, differ = row(site, machine, scheme, Path(temporary, "runs", machine))
                print(line, flush=True)
                differences += differ
    print(f"\nRuns identical to the static native program, of all; C library: musl {version}.")
    for difference in differences:
        print(f"conformance: {difference}", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(run())
