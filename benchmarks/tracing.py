"""What tracing costs: one recorded call, a whole program, ten million events; against Qiling's hooks, ltrace and uftrace.

A call's cost is the difference between two runs of one program that differ only in how often it calls, so that start-up does not
count; the peers' likewise. The program calls labs in a loop: the least work between two calls that there can be.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import USELIB, best, interleaved, qiling_python, sysroot, tool, uselib, workspace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

CALLS_C = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    long sum = 0, n = argc > 1 ? atol(argv[1]) : 1;
    for (long i = 0; i < n; i++) sum += labs(i);
    printf("%ld\n", sum);
    return 0;
}
"""
LUA = """
local t, s = {}, 0
for i = 1, 60000 do
  t[#t + 1] = string.format("%d:%s", i, string.rep("x", i % 17))
  s = s + #t[#t] + math.floor(math.sin(i) * 10)
end
table.sort(t)
print(s, #table.concat(t))
"""
QILING = """
import sys
from qiling import Qiling
from qiling.const import QL_VERBOSE
ql = Qiling([sys.argv[1], sys.argv[4]], sys.argv[2], verbose=QL_VERBOSE.OFF)
events = []
def hook(ql):
    sp = ql.arch.regs.rsp
    events.append((ql.arch.regs.rdi, ql.arch.regs.rsi, ql.arch.regs.rdx, ql.arch.regs.rcx, ql.mem.read(sp, 8)))
if sys.argv[3] != "0":
    ql.hook_address(hook, int(sys.argv[3], 0))
ql.run()
"""
MANY = 20_000_000
MODES: dict[str, tuple[str, ...]] = {
    "recorded: entry, caller, 4 argument words": (),
    "... filtered out by --symbol": ("--symbol", "none"),
    "... with --clock blocks": ("--clock", "blocks"),
    "... with --returns": ("--returns",),
    "... with --all-functions": ("--all-functions",),
}


def per_call(command: Sequence[str | Path], calls: int, runs: int = 3) -> float:
    """Nanoseconds that one more call takes."""
    many, few = best([*command, str(calls)], runs), best([*command, "1"], runs)
    return (many - few) / calls * 1e9


def one_call(directory: Path, arch: str) -> None:
    root, trace = sysroot(directory, arch, "musl"), directory / "trace"
    program = directory / f"calls-{arch}"
    program.with_suffix(".c").write_text(CALLS_C)
    uselib("cc", "--sysroot", root, "-O1", "-fno-builtin", program.with_suffix(".c"), "-o", program)
    plain = per_call([*USELIB, "run", "--sysroot", root, program], MANY)
    print(
        f"\n### One call through a slot, {arch}\n\n| what | ns | added ns |\n|---|---:|---:|\n| untraced | {plain:.0f} | |"
    )
    added = 0.0
    for label, options in MODES.items():
        cost = per_call([*USELIB, "trace", "record", "-o", trace, *options, "--sysroot", root, program], MANY)
        added = added or cost - plain
        print(f"| {label} | {cost:.0f} | {cost - plain:.0f} |", flush=True)
    command = [*USELIB, "trace", "record", "--recorder", "python", "-o", trace, "--sysroot", root, program]
    cost = per_call(command, 200_000, 1)
    print(f"| recorded in Python | {cost:.0f} | {cost - plain:.0f} |")
    if arch == "x86_64":
        peers(directory, program.with_suffix(".c"), root, added)


def one_dynamic_call(directory: Path) -> None:
    """Of a dynamic program, to a function of the system's C library, through the PLT."""
    source, program, trace = directory / "calls-dynamic.c", directory / "calls-dynamic", directory / "trace"
    source.write_text(CALLS_C)
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-Wl,-z,lazy", source, "-o", program], check=True)
    plain = per_call([*USELIB, "run", "--root", "/", program], MANY)
    print("\n### One call between shared objects, x86-64\n\n| what | ns | added ns |\n|---|---:|---:|")
    print(f"| untraced | {plain:.0f} | |")
    for label, options in (
        ("recorded", ()),
        ("... with --bindings", ("--bindings",)),
        ("... with --returns", ("--returns",)),
    ):
        cost = per_call([*USELIB, "trace", "record", "-o", trace, *options, "--root", "/", program], MANY)
        print(f"| {label} | {cost:.0f} | {cost - plain:.0f} |", flush=True)


def peers(directory: Path, source: Path, root: Path, ours: float) -> None:
    """Added cost of one call in other tools. ours: nanoseconds."""
    print("\n### One traced call in other tools, x86-64\n\n| what | added ns | times ours |\n|---|---:|---:|")
    print(f"| uselib trace record | {ours:.0f} | 1 |")

    def row(label: str, cost: float | None) -> None:
        print(
            f"| {label} | " + (f"{cost:.0f} | {cost / ours:.1f} |" if cost is not None else "not installed | |"),
            flush=True,
        )

    qiling, cost = qiling_python(), None
    if qiling is not None:
        static, script = directory / "calls-static", directory / "with_qiling.py"
        uselib("cc", "--sysroot", root, "--scheme", "static", "-O1", "-fno-builtin", source, "-o", static)
        script.write_text(QILING)
        symbols = subprocess.run(["nm", static], check=True, capture_output=True, text=True).stdout.splitlines()
        address = next(f"0x{line.split()[0]}" for line in symbols if line.split()[-1] == "labs")
        command = [qiling, script, static, directory]
        cost = per_call([*command, address], 200_000, 1) - per_call([*command, "0"], 200_000, 1)
    row("Qiling 1.4.6, hook_address, 4 registers, 1 stack word", cost)
    native = directory / "calls-native"
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-Wl,-z,lazy", "-no-pie", source, "-o", native], check=True)
    plain = per_call([native], 1_000_000)
    row(
        "ltrace",
        per_call([tool("ltrace") or "", "-o", directory / "l", native], 20_000, 1) - plain if tool("ltrace") else None,
    )
    if tool("uftrace"):
        recompiled = directory / "calls-uftrace"
        subprocess.run(
            ["gcc", "-O1", "-pg", "-fno-builtin", "-no-pie", "-Wl,-z,lazy", source, "-o", recompiled], check=True
        )
        row(
            "uftrace record (-pg, calls of libraries)",
            per_call([tool("uftrace") or "", "record", "-d", directory / "u", recompiled], 1_000_000) - plain,
        )
    else:
        row("uftrace", None)


def whole_program(directory: Path) -> None:
    from support.real_programs import BUILDERS, Site, Unavailable, cache

    print(
        "\n### Lua over libc_s: a script of string formatting and sorting\n\n"
        "| machine | untraced s | recorded s | ratio | untraced CPU s | recorded CPU s | ratio | events |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    script = directory / "script.lua"
    script.write_text(LUA)
    for arch in ("x86_64", "i386"):
        site = Site(sysroot(directory, arch, "musl"), cache(), directory / f"lua-{arch}")
        (site.directory / "uselib").mkdir(parents=True)
        try:
            BUILDERS["lua"](site, ["uselib"])
        except Unavailable as reason:
            print(f"| {arch} | {reason} | | | | | | |")
            continue
        words = ["--sysroot", site.sysroot, "--readable", script, site.program("lua", "uselib"), script]
        trace = directory / "lua.trace"
        record = [*USELIB, "trace", "record", "--no-strings", "-o", trace, *words]
        plain, recorded = interleaved(("run", "record"), [[*USELIB, "run", *words], record], 5)
        assert plain.seconds and recorded.seconds and plain.cpu and recorded.cpu
        print(
            f"| {arch} | {plain.seconds:.2f} | {recorded.seconds:.2f} | {recorded.seconds / plain.seconds:.2f} | {plain.cpu:.2f} | "
            f"{recorded.cpu:.2f} | {recorded.cpu / plain.cpu:.2f} | {trace.stat().st_size // 64} |",
            flush=True,
        )


def ten_million(directory: Path) -> None:
    root, trace = sysroot(directory, "x86_64", "musl"), directory / "ten"
    command = ["trace", "record", "-o", trace, "--sysroot", root, directory / "calls-x86_64"]
    print("\n### Ten million events\n\n| what | |\n|---|---:|")
    for calls in (100, 10_000_000):
        words = [*map(str, (*USELIB, *command)), str(calls)]
        child = os.posix_spawn(
            words[0], words, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
        )
        usage = os.wait4(child, 0)[2]
        print(f"| memory of the recording process, {calls} calls | {usage.ru_maxrss / 1024:.0f} MiB |")
    print(f"| bytes an event | {trace.stat().st_size / 10_000_000:.1f} |")
    for what in (["summary", trace], ["diff", trace, trace]):
        begin = time.perf_counter()
        ran = subprocess.run([*USELIB, "trace", *map(str, what)], capture_output=True, text=True)
        note = "" if ran.returncode == 0 else f" (failed: {ran.stderr.strip()[:80]})"
        print(f"| {what[0]} | {time.perf_counter() - begin:.1f} s{note} |", flush=True)


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        for arch in ("x86_64", "i386"):
            one_call(directory, arch)
        one_dynamic_call(directory)
        whole_program(directory)
        ten_million(directory)


if __name__ == "__main__":
    run()
