"""prctl(2) and personality(2). Values that are set are kept and returned; few have an effect here.

Source: kernel/sys.c, security/commoncap.c of Linux.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from uselib.emulator.kernel.arguments import HEX, ArgumentKind, choice
from uselib.emulator.kernel.calls.credentials import CAP_SETPCAP
from uselib.emulator.kernel.calls.seccomp import set_filter, set_strict
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.host_calls import call
from uselib.emulator.kernel.identity import LAST_CAPABILITY
from uselib.emulator.kernel.proc.facts import publish
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.seccomp import FILTER, STRICT
from uselib.emulator.kernel.settings import PR_SET_KEEPCAPS
from uselib.emulator.kernel.signals.numbers import COUNT
from uselib.emulator.kernel.table import Syscall

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 2, 3, 4
PR_GET_KEEPCAPS, PR_GET_TIMING, PR_SET_TIMING, PR_SET_NAME, PR_GET_NAME = 7, 13, 14, 15, 16
PR_GET_SECCOMP, PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_TSC, PR_SET_TSC = 21, 22, 23, 24, 25, 26
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 27, 28, 29, 30
PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE, PR_MCE_KILL, PR_MCE_KILL_GET, PR_SET_MM = 31, 32, 33, 34, 35
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 36, 37, 38, 39
PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, PR_CAP_AMBIENT = 40, 41, 42, 47
PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SET_VMA = 52, 53, 0x53564D41
_NAME = 16  # bytes with the NUL
_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_LOWER, _AMBIENT_CLEAR = 1, 2, 3, 4
_Rest = tuple[int, int, int]
_Option = Callable[[Process, int, _Rest], int]


def _invalid(wrong: bool) -> None:
    if wrong:
        raise GuestError(errno.EINVAL)


def _set_name(process: Process, address: int, rest: _Rest) -> int:
    name = process.memory.read_string(address, 4096)[: _NAME - 1].decode("utf-8", "surrogateescape")
    if process.thread.tid != process.identity.pid:
        process.thread.name = name
        return 0
    process.identity.name = name
    publish(process)
    return 0


def _get_name(process: Process, address: int, rest: _Rest) -> int:
    name = process.identity.name if process.thread.name is None else process.thread.name
    process.memory.write(address, name.encode("utf-8", "surrogateescape")[: _NAME - 1].ljust(_NAME, b"\0"))
    return 0


def _kept(option: int, allowed: Callable[[int], bool], strict: bool = False) -> _Option:
    """Makes the handler of an option whose value is only kept, under the number of the option that sets it. strict: the other arguments must
    be 0.
    """

    def keep(process: Process, value: int, rest: _Rest) -> int:
        _invalid(not allowed(value) or (strict and any(rest)))
        process.settings.controls[option] = value
        return 0

    return keep


def _told(option: int, default: int, strict: bool = False) -> _Option:
    def tell(process: Process, value: int, rest: _Rest) -> int:
        _invalid(strict and (bool(value) or any(rest)))
        return process.settings.controls.get(option, default)

    return tell


def _stored(option: int, default: int) -> _Option:
    """As `_kept`; the value is written as an int to the address in the second argument."""

    def store(process: Process, address: int, rest: _Rest) -> int:
        process.memory.write(address, process.settings.controls.get(option, default).to_bytes(4, "little"))
        return 0

    return store


def _fixed(value: int) -> _Option:
    return lambda process, second, rest: value


def _fails(number: int) -> _Option:
    def fail(process: Process, second: int, rest: _Rest) -> int:
        raise GuestError(number)

    return fail


def _bounding_has(process: Process, capability: int, rest: _Rest) -> int:
    _invalid(capability > LAST_CAPABILITY)
    return process.identity.capabilities[3] >> capability & 1


def _bounding_drop(process: Process, capability: int, rest: _Rest) -> int:
    if not process.identity.can(CAP_SETPCAP):
        raise GuestError(errno.EPERM)
    _invalid(capability > LAST_CAPABILITY)
    inheritable, permitted, effective, bounding = process.identity.capabilities
    process.identity.capabilities = inheritable, permitted, effective, bounding & ~(1 << capability)
    return 0


def _set_securebits(process: Process, value: int, rest: _Rest) -> int:
    if not process.identity.can(CAP_SETPCAP) or value & ~0xFF:
        raise GuestError(errno.EPERM)
    process.settings.controls[PR_SET_SECUREBITS] = value
    return 0


def _set_slack(process: Process, value: int, rest: _Rest) -> int:
    process.settings.timer_slack = value or process.settings.default_slack
    return 0


def _get_slack(process: Process, value: int, rest: _Rest) -> int:
    return min(process.settings.timer_slack, process.structs.word_mask >> 1)


def _no_new_privileges(process: Process, value: int, rest: _Rest) -> int:
    _invalid(value != 1 or any(rest))
    process.settings.no_new_privileges = True
    return 0


def _tell_no_new_privileges(process: Process, value: int, rest: _Rest) -> int:
    _invalid(bool(value) or any(rest))
    return int(process.settings.no_new_privileges)


def _ambient(process: Process, operation: int, rest: _Rest) -> int:
    """The ambient set is empty. Only root has inheritable and permitted capabilities here, and does not need the set."""
    capability, *others = rest
    _invalid(any(others))
    if operation == _AMBIENT_CLEAR:
        _invalid(bool(capability))
        return 0
    _invalid(capability > LAST_CAPABILITY or operation not in (_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_LOWER))
    inheritable, permitted, _, _ = process.identity.capabilities
    if operation == _AMBIENT_RAISE and not inheritable & permitted >> capability & 1:
        raise GuestError(errno.EPERM)
    return 0


def _tid_address(process: Process, address: int, rest: _Rest) -> int:
    process.memory.write(address, process.thread.clear_tid.to_bytes(process.structs.word, "little"))
    return 0


def _name_mapping(process: Process, operation: int, rest: _Rest) -> int:
    """PR_SET_VMA_ANON_NAME. Names of mappings only show in /proc."""
    _invalid(bool(operation))
    return 0


def _get_seccomp(process: Process, value: int, rest: _Rest) -> int:
    return 0 if process.settings.seccomp is None else process.settings.seccomp.mode


def _set_seccomp(process: Process, mode: int, rest: _Rest) -> int:
    _invalid(mode not in (STRICT, FILTER))
    return set_strict(process) if mode == STRICT else set_filter(process, rest[0])


def _set_tsc(process: Process, value: int, rest: _Rest) -> int:
    """With PR_TSC_SIGSEGV RDTSC faults."""
    _invalid(value not in (1, 2))
    process.settings.controls[PR_SET_TSC] = value
    process.cpu.allow_time_stamps(value == 1)
    return 0


def _set_subreaper(process: Process, value: int, rest: _Rest) -> int:
    """Sets the option on the host process too, which gets the orphans there."""
    process.settings.controls[PR_SET_CHILD_SUBREAPER] = int(bool(value))
    call("prctl", PR_SET_CHILD_SUBREAPER, int(bool(value)), 0, 0, 0)
    process.pids.set_subreaper(bool(value))
    return 0


def _set_death_signal(process: Process, signal: int, rest: _Rest) -> int:
    """The host sends the signal, since a parent in the guest is a parent on the host."""
    _invalid(signal > COUNT)
    process.settings.controls[PR_SET_PDEATHSIG] = signal
    if not process.pids.alone:
        call("prctl", PR_SET_PDEATHSIG, signal, 0, 0, 0)
    return 0


def _flag(value: int) -> bool:
    return value in (0, 1)


OPTIONS: dict[int, _Option] = {
    PR_SET_PDEATHSIG: _set_death_signal,
    PR_GET_PDEATHSIG: _stored(PR_SET_PDEATHSIG, 0),
    PR_GET_DUMPABLE: _told(PR_SET_DUMPABLE, 1),
    PR_SET_DUMPABLE: _kept(PR_SET_DUMPABLE, _flag),
    PR_GET_KEEPCAPS: _told(PR_SET_KEEPCAPS, 0),
    PR_SET_KEEPCAPS: _kept(PR_SET_KEEPCAPS, _flag),
    PR_GET_TIMING: _fixed(0),
    PR_SET_TIMING: _kept(PR_SET_TIMING, lambda value: value == 0),
    PR_SET_NAME: _set_name,
    PR_GET_NAME: _get_name,
    PR_GET_SECCOMP: _get_seccomp,
    PR_SET_SECCOMP: _set_seccomp,
    PR_CAPBSET_READ: _bounding_has,
    PR_CAPBSET_DROP: _bounding_drop,
    PR_GET_TSC: _stored(PR_SET_TSC, 1),
    PR_SET_TSC: _set_tsc,
    PR_GET_SECUREBITS: _told(PR_SET_SECUREBITS, 0),
    PR_SET_SECUREBITS: _set_securebits,
    PR_SET_TIMERSLACK: _set_slack,
    PR_GET_TIMERSLACK: _get_slack,
    PR_TASK_PERF_EVENTS_DISABLE: _fixed(0),
    PR_TASK_PERF_EVENTS_ENABLE: _fixed(0),
    PR_MCE_KILL: _kept(PR_MCE_KILL, _flag),
    PR_MCE_KILL_GET: _fixed(2),
    PR_SET_MM: _fails(errno.EPERM),
    PR_SET_CHILD_SUBREAPER: _set_subreaper,
    PR_GET_CHILD_SUBREAPER: _stored(PR_SET_CHILD_SUBREAPER, 0),
    PR_SET_NO_NEW_PRIVS: _no_new_privileges,
    PR_GET_NO_NEW_PRIVS: _tell_no_new_privileges,
    PR_GET_TID_ADDRESS: _tid_address,
    PR_SET_THP_DISABLE: _kept(PR_SET_THP_DISABLE, lambda value: True, strict=True),
    PR_GET_THP_DISABLE: _told(PR_SET_THP_DISABLE, 0, strict=True),
    PR_CAP_AMBIENT: _ambient,
    PR_GET_SPECULATION_CTRL: _fixed(0),
    PR_SET_SPECULATION_CTRL: _fails(errno.ENXIO),
    PR_SET_VMA: _name_mapping,
}


def sys_prctl(process: Process, option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    known = OPTIONS.get(option)
    _invalid(known is None)
    assert known is not None
    return known(process, second, (third, fourth, fifth))


def sys_personality(process: Process, wanted: int) -> int:
    """The value is kept. All programs run as PER_LINUX."""
    before = process.settings.personality
    if wanted != 0xFFFFFFFF:
        process.settings.personality = wanted & 0xFFFFFFFF
    return before


_PRCTL_ARGUMENT = ArgumentKind("hex", updated=True)

ROWS: tuple[Syscall, ...] = (
    Syscall("personality", sys_personality, (HEX,)),
    Syscall("prctl", sys_prctl, (choice("prctl"), _PRCTL_ARGUMENT, HEX, HEX, HEX)),
)
