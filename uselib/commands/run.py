"""`uselib run`: runs a program in the emulator."""

from __future__ import annotations

from uselib.emulator.option_table import Option
from uselib.emulator.process.host import Host
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import parse
from uselib.emulator.sandbox.sandbox import Sandbox, owns_process

USAGE = "uselib run [OPTIONS] PROG [ARGUMENTS]"

_EXTRA = {
    "--gdb": Option("[HOST:]PORT", "wait for gdb (`target remote :PORT`) before the first instruction"),
    "--explain-confinement": Option("", "say what confines the program, and do not run it", None),
}


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it."""
    parsed = parse(USAGE, arguments, _EXTRA)
    if isinstance(parsed, int):
        return parsed
    options, extra = parsed
    sandbox = Sandbox()
    host = Host(confine=sandbox.confine) if owns_process() else Host()
    if "gdb" in extra:
        from uselib.emulator.gdb.run import GdbRunner, listen

        return GdbRunner(options, listen(extra["gdb"]), host).run()
    runner = Runner(options, host=host)
    if "explain_confinement" in extra:
        runner.close()
        print("\n".join(sandbox.lines))
        return 0
    return runner.run()
