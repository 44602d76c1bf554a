"""Sizes and offsets of every structure, against the C compiler with the kernel's headers, on both machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.tools import require
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.structs import DECLARATIONS, StructLayout, structs_of
from uselib.linker.image import Machine

HEADERS = """
#include <stddef.h>
#include <asm/posix_types.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <asm/stat.h>
#include <linux/stat.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <linux/utsname.h>
#include <linux/sysinfo.h>
#include <linux/resource.h>
#include <linux/times.h>
#include <linux/utime.h>
#include <linux/uio.h>
#include <linux/fcntl.h>
#include <linux/eventpoll.h>
#include <linux/capability.h>
#include <asm/poll.h>
"""

RUSAGE = "maxrss ixrss idrss isrss minflt majflt nswap inblock oublock msgsnd msgrcv nsignals nvcsw nivcsw"
STATX = "mask blksize attributes nlink uid gid mode ino size blocks attributes_mask rdev_major rdev_minor dev_major dev_minor mnt_id"

# our name -> C type, and C's names of the fields where they differ from ours
C_TYPES: dict[str, tuple[str, dict[str, str]]] = {
    "timespec": ("struct __kernel_old_timespec", {"sec": "tv_sec", "nsec": "tv_nsec"}),
    "timespec64": ("struct __kernel_timespec", {"sec": "tv_sec", "nsec": "tv_nsec"}),
    "timeval": ("struct __kernel_old_timeval", {"sec": "tv_sec", "usec": "tv_usec"}),
    "itimerval": (
        "struct __kernel_old_itimerval",
        {
            "interval_sec": "it_interval.tv_sec",
            "interval_usec": "it_interval.tv_usec",
            "value_sec": "it_value.tv_sec",
            "value_usec": "it_value.tv_usec",
        },
    ),
    "itimerspec64": (
        "struct __kernel_itimerspec",
        {
            "interval_sec": "it_interval.tv_sec",
            "interval_nsec": "it_interval.tv_nsec",
            "value_sec": "it_value.tv_sec",
            "value_nsec": "it_value.tv_nsec",
        },
    ),
    "tms": ("struct tms", {name: f"tms_{name}" for name in ("utime", "stime", "cutime", "cstime")}),
    "utimbuf": ("struct utimbuf", {}),
    "iovec": ("struct iovec", {"base": "iov_base", "len": "iov_len"}),
    "pollfd": ("struct pollfd", {}),
    "rusage": (
        "struct rusage",
        {
            "utime_sec": "ru_utime.tv_sec",
            "utime_usec": "ru_utime.tv_usec",
            "stime_sec": "ru_stime.tv_sec",
            "stime_usec": "ru_stime.tv_usec",
            **{name: f"ru_{name}" for name in RUSAGE.split()},
        },
    ),
    "rlimit": ("struct rlimit", {"cur": "rlim_cur", "max": "rlim_max"}),
    "rlimit64": ("struct rlimit64", {"cur": "rlim_cur", "max": "rlim_max"}),
    "winsize": ("struct winsize", {name: f"ws_{name}" for name in ("row", "col", "xpixel", "ypixel")}),
    "termios": ("struct termios", {name: f"c_{name}" for name in ("iflag", "oflag", "cflag", "lflag", "line", "cc")}),
    "utsname": ("struct new_utsname", {}),
    "stat": ("struct stat", {}),
    "oldstat": ("struct __old_kernel_stat", {}),
    "stat64": ("struct stat64", {"st_ino_low": "__st_ino"}),
    "statx": (
        "struct statx",
        {name: f"stx_{name}" for name in STATX.split()}
        | {f"{name}_sec": f"stx_{name}.tv_sec" for name in ("atime", "btime", "ctime", "mtime")}
        | {f"{name}_nsec": f"stx_{name}.tv_nsec" for name in ("atime", "btime", "ctime", "mtime")},
    ),
    "statfs": (
        "struct statfs",
        {
            name: f"f_{name}"
            for name in ["type", "bsize", "blocks", "bfree", "bavail", "files", "ffree", "namelen", "frsize", "flags"]
        }
        | {"fsid0": "f_fsid.val[0]", "fsid1": "f_fsid.val[1]"},
    ),
    "sysinfo": ("struct sysinfo", {"load0": "loads[0]", "load1": "loads[1]", "load2": "loads[2]"}),
    "flock": ("struct flock", {name: f"l_{name}" for name in ("type", "whence", "start", "len", "pid")}),
    "epoll_event": ("struct epoll_event", {}),
    "cap_header": ("struct __user_cap_header_struct", {}),
    "cap_data": ("struct __user_cap_data_struct", {}),
}
C_TYPES["statfs64"] = ("struct statfs64", C_TYPES["statfs"][1])
ONLY = {"stat64": Machine.I386, "oldstat": Machine.I386, "rlimit64": None}  # no struct stat64 in x86-64's headers
# In the kernel's internal headers only
NOT_IN_HEADERS = {"timezone", "itimerspec", "flock64", "dirent", "dirent64", "sigset_argument", "select_argument"}
NOT_IN_HEADERS |= {"msghdr", "mmsghdr", "mq_attr", "shmid64_ds", "semid64_ds", "msqid64_ds"}


def from_compiler(machine: Machine, directory: Path) -> dict[str, int]:
    """`name` -> size and `name.field` -> offset."""
    require("gcc")
    rows = []
    for name, (type_, fields) in C_TYPES.items():
        if ONLY.get(name, machine) not in (machine, None):
            continue
        if name == "statfs64" and machine is Machine.X86_64:
            continue
        rows.append((name, f"sizeof({type_})"))
        for field in structs_of(machine)[name].fields:
            rows.append((f"{name}.{field}", f"offsetof({type_}, {fields.get(field, field)})"))
    # Offsets are read from the assembly output: nothing needs to be linked or run.
    source = HEADERS + "int marks(void) {\n"
    for name, value in rows:
        source += f'__asm__ volatile("@@{name} %c0" :: "i"({value}));\n'
    source += "return 0; }\n"
    path = directory / "layout.c"
    path.write_text(source)
    flag = "-m32" if machine is Machine.I386 else "-m64"
    command = ["gcc", flag, "-w", "-S", "-o", "-", str(path)]
    if machine is Machine.I386:
        command[1:1] = ["-isystem", "/usr/include/x86_64-linux-gnu"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        missing = done.stderr.strip().splitlines()[0]
        if "No such file" in missing:
            pytest.skip(f"needs the kernel's headers: {missing}")
        raise AssertionError(done.stderr)
    found = {}
    for line in done.stdout.splitlines():
        if line.strip().startswith("@@"):
            name, value = line.strip()[2:].split()
            found[name] = int(value)
    return found


@pytest.mark.parametrize("machine", list(Machine), ids=lambda machine: machine.label)
def test_against_the_compiler(machine: Machine, tmp_path: Path) -> None:
    expected = from_compiler(machine, tmp_path)
    assert len(expected) > 150
    ours = {}
    for name in expected:
        structure, _, field = name.partition(".")
        layout = structs_of(machine)[structure]
        ours[name] = layout.fields[field][0] if field else layout.size
    assert ours == expected


def test_every_structure_is_compared() -> None:
    assert set(DECLARATIONS) == set(C_TYPES) | NOT_IN_HEADERS


@pytest.mark.parametrize("machine", list(Machine), ids=lambda machine: machine.label)
def test_structures_that_no_header_shows(machine: Machine) -> None:
    """Sizes from fs/readdir.c, include/linux/time.h, fs/fcntl.c (compat_flock64 is packed to 4 on i386)."""
    structs = structs_of(machine)
    small = machine is Machine.I386
    assert structs["flock64"].size == (24 if small else 32)
    assert structs["flock64"].fields["start"][0] == (4 if small else 8)
    assert structs["dirent64"].fields["d_type"][0] == 18
    assert structs["dirent"].fields["d_reclen"][0] == (8 if small else 16)
    assert structs["timezone"].size == 8
    assert (structs["msghdr"].size, structs["mmsghdr"].size) == ((28, 32) if small else (56, 64))
    assert structs["mq_attr"].size == (32 if small else 64)
    sizes = {"shmid64_ds": (84, 112), "semid64_ds": (64, 104), "msqid64_ds": (88, 120)}
    assert {name: structs[name].size for name in sizes} == {
        name: pair[0 if small else 1] for name, pair in sizes.items()
    }


def test_encode_and_decode() -> None:
    layout = structs_of(Machine.X86_64)["timespec"]
    assert layout.decode(layout.encode({"sec": -1, "nsec": 5})) == {"sec": -1, "nsec": 5}
    assert list(layout.array(layout.pack(1, 2) + layout.pack(3, 4))) == [(1, 2), (3, 4)]
    small = StructLayout(Machine.I386, "char name[3]; short x; llong y")
    assert small.pack(b"ab", -1, 7) == b"ab\0\0\xff\xff\0\0\x07" + bytes(7)
    with pytest.raises(GuestError):
        structs_of(Machine.I386)["timespec"].pack(1 << 40, 0)
