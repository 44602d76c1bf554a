"""`uselib run`: runs a program in the emulator."""

from __future__ import annotations

from uselib.emulator.option_table import Option, without
from uselib.emulator.process.host import Host
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import OPTIONS, parse, positive_count
from uselib.emulator.sandbox.sandbox import Sandbox, owns_process

USAGE = "uselib run [OPTIONS] PROG [ARGUMENTS]"

_EXTRA = {
    "--gdb": Option("[HOST:]PORT", "wait for gdb (`target remote :PORT`) before the first instruction"),
    "--schedules": Option(
        "N", "run it in N orders of its threads; say which is the first to end in another way", positive_count
    ),
    "--explain-confinement": Option("", "say what confines the program, and do not run it", None),
}


_WITHOUT = "not for `uselib abi probe` and the Python API: their process goes on with other work, and the emulator alone confines the program"


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it."""
    parsed = parse(USAGE, arguments, _EXTRA)
    if isinstance(parsed, int):
        return parsed
    options, extra = parsed
    if "schedules" in extra:
        from uselib.emulator.process.schedules import explore

        words = without(arguments, {**OPTIONS, **_EXTRA}, "--schedules", "--schedule")
        return explore(words, extra["schedules"], alone=bool(options.writable))
    sandbox = Sandbox()
    host = Host(confine=sandbox.confine) if owns_process() else Host()
    if "gdb" in extra:
        from uselib.emulator.gdb.run import GdbRunner, listen

        return GdbRunner(options, listen(extra["gdb"]), host).run()
    runner = Runner(options, host=host)
    if "explain_confinement" in extra:
        runner.close()
        print("\n".join(sandbox.lines))
        if not options.no_sandbox:
            print(_WITHOUT)
        return 0
    return runner.run()
