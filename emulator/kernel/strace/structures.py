"""How `--strace` shows a structure: by its name in structs.DECLARATIONS, from its fields' values."""

from __future__ import annotations

from collections.abc import Callable

from uselib.emulator.kernel.strace.tables import FILE_TYPES
from uselib.emulator.kernel.strace.text import hexadecimal, quoted

_TIME_STRUCTS = {
    "timespec": ("tv_sec", "tv_nsec"),
    "timespec64": ("tv_sec", "tv_nsec"),
    "timeval": ("tv_sec", "tv_usec"),
}


def any_struct(values: dict[str, int]) -> str:
    return "{" + ", ".join(f"{name}={_value(value)}" for name, value in values.items()) + "}"


def _value(value: int | bytes) -> str:
    return quoted(value.split(b"\0")[0]) if isinstance(value, bytes) else str(value)


def _stat(values: dict[str, int]) -> str:
    mode = values["st_mode"]
    kind = FILE_TYPES.get(mode & 0o170000, "0")
    if kind in ("S_IFCHR", "S_IFBLK"):
        node = values["st_rdev"]
        major, minor = node >> 8 & 0xFFF, node & 0xFF | node >> 12 & 0xFFF00
        tail = f"st_rdev=makedev({major:#x}, {hexadecimal(minor)})"
    else:
        tail = f"st_size={values['st_size']}"
    return f"{{st_mode={kind}|0{mode & 0o7777:o}, {tail}, ...}}"


def _statx(values: dict[str, int]) -> str:
    mode = values["mode"]
    kind = FILE_TYPES.get(mode & 0o170000, "0")
    return f"{{stx_mask=STATX_BASIC_STATS, stx_attributes=0, stx_mode={kind}|0{mode & 0o7777:o}, stx_size={values['size']}, ...}}"


def _time(fields: tuple[str, str]) -> Callable[[dict[str, int]], str]:
    return lambda values: (
        "{" + ", ".join(f"{name}={value}" for name, value in zip(fields, values.values(), strict=True)) + "}"
    )


def _rlimit(values: dict[str, int]) -> str:
    def one(value: int) -> str:
        if value in (2**64 - 1, 2**32 - 1):
            return "RLIM64_INFINITY" if value == 2**64 - 1 else "RLIM_INFINITY"
        return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)

    return f"{{rlim_cur={one(values['cur'])}, rlim_max={one(values['max'])}}}"


def _itimerval(values: dict[str, int]) -> str:
    interval_seconds, interval, seconds, rest = values.values()
    unit = "tv_usec" if "value_usec" in values else "tv_nsec"
    first = f"it_interval={{tv_sec={interval_seconds}, {unit}={interval}}}"
    return f"{{{first}, it_value={{tv_sec={seconds}, {unit}={rest}}}}}"


def _winsize(values: dict[str, int]) -> str:
    return "{" + ", ".join(f"ws_{name}={value}" for name, value in values.items()) + "}"


def _utsname(values: dict[str, int]) -> str:
    return f"{{sysname={_value(values['sysname'])}, nodename={_value(values['nodename'])}, ...}}"


STRUCTS: dict[str, Callable[[dict[str, int]], str]] = {
    "stat": _stat,
    "stat64": _stat,
    "statx": _statx,
    "rlimit": _rlimit,
    "rlimit64": _rlimit,
    "utsname": _utsname,
    "winsize": _winsize,
    "itimerval": _itimerval,
    "itimerspec": _itimerval,
    "itimerspec64": _itimerval,
    **{name: _time(fields) for name, fields in _TIME_STRUCTS.items()},
}
