"""`python -m benchmarks [linking] [emulation] [calls] [startup] [memory] [tracing] [abi] [checking]`: all of them by default."""

from __future__ import annotations

import importlib
import sys

NAMES = ("linking", "emulation", "calls", "startup", "memory", "tracing", "abi", "checking")


def main() -> int:
    chosen = sys.argv[1:] or list(NAMES)
    for name in chosen:
        if name not in NAMES:
            print(f"benchmarks: {name}: choose from {', '.join(NAMES)}", file=sys.stderr)
            return 2
        importlib.import_module(f"benchmarks.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
