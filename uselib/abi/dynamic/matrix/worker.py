"""One cell in a worker: a process of this machine, or of a cluster. Its only output is an AbiResult.

A run in the emulator needs the main thread of its process, since it handles signals. Workers of some executors are threads (dask.distributed,
ThreadPoolExecutor); there the cell gets a process of its own, `python -m uselib.abi.dynamic.matrix.worker`, which reads a pickled request
from its parent and answers with a pickled result.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading

from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, not_comparable
from uselib.linker.errors import ToolError
from uselib.linker.installation import PACKAGE

_PR_SET_PDEATHSIG = 1  # prctl(2)


def begin() -> None:
    """Prepares a new worker process. It gets a process group of its own, so that Ctrl-C reaches only the process that made it, which
    ends the worker with all that it runs; and it ends with that process."""
    import ctypes
    import signal

    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held while workers are started


def run_cell(request: AbiRequest) -> AbiResult:
    """compare_runs, with every failure turned into the verdict `not comparable`."""
    if threading.current_thread() is not threading.main_thread():
        return _in_process(request)
    return _here(request)


def _here(request: AbiRequest) -> AbiResult:
    from uselib.abi.dynamic.run.run import compare_runs

    try:
        return compare_runs(request)
    except ToolError as failure:
        reason = str(failure)
    except OSError as failure:
        reason = f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror or str(failure)
    except Exception as failure:  # a defect here must not end the other cells
        reason = f"internal error: {type(failure).__name__}: {failure}"
    return not_comparable(request.program, request.old, request.new, reason)


def _in_process(request: AbiRequest) -> AbiResult:
    root = os.path.dirname(PACKAGE)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    command = [sys.executable, "-m", "uselib.abi.dynamic.matrix.worker"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, input=pickle.dumps(request), capture_output=True, env=environment)
    if done.returncode == 0:
        try:
            result = pickle.loads(done.stdout)
        except Exception:  # unpickling an incomplete answer may raise anything
            result = None
        if isinstance(result, AbiResult):
            return result
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    reason = f"the process that ran this cell ended with status {done.returncode}" + (
        f": {said[0][:300]}" if said else ""
    )
    return not_comparable(request.program, request.old, request.new, reason)


def main() -> int:
    """Answers its parent. The guest's output must not mix with the answer: descriptor 1 becomes stderr for it."""
    answer = os.fdopen(os.dup(1), "wb")
    request = pickle.load(sys.stdin.buffer)
    os.dup2(2, 1)
    result = _here(request)
    with answer:
        pickle.dump(result, answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
