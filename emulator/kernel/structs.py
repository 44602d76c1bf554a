"""Structures and constants that programs and kernel exchange, on both machines.

A structure is written once as C declares it; offsets follow from the rules of the machine's psABI (on i386 `long` and
pointers have 4 bytes and `long long` is aligned to 4; on x86-64 all are 8). tests/emulator/kernel/test_kernel_abi.py compares every
offset with what the C compiler says of the kernel's headers.

Sources: include/uapi/asm-generic/*.h, arch/x86/include/uapi/asm/{stat,statfs,...}.h, include/uapi/linux/*.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

from uselib.emulator.kernel.errors import GuestError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass

# C type -> struct code for i386, for x86-64
_CODES: dict[str, tuple[str, str]] = {
    "char": ("s", "s"),
    "u8": ("B", "B"),
    "short": ("h", "h"),
    "ushort": ("H", "H"),
    "int": ("i", "i"),
    "uint": ("I", "I"),
    "long": ("i", "q"),
    "ulong": ("I", "Q"),
    "llong": ("q", "q"),
    "ullong": ("Q", "Q"),
    "u32": ("I", "I"),
    "s64": ("q", "q"),
    "u64": ("Q", "Q"),
    "pointer": ("I", "Q"),
}


class StructLayout:
    """A structure on one machine: names, offsets, sizes. Fields whose names begin with `_` are padding (zero)."""

    def __init__(self, machine: Machine, declaration: str, packed: bool = False) -> None:
        column = 0 if machine is Machine.I386 else 1
        self.fields: dict[str, tuple[int, str]] = {}  # name -> (offset, C type)
        codes = ["<"]
        offset, widest = 0, 1
        for field in declaration.split(";"):
            type_, declarator = field.split()
            name, _, length = declarator.rstrip("]").partition("[")
            count = int(length or 1)
            code = _CODES[type_][column]
            size = struct.calcsize("<" + code)
            alignment = 1 if packed else min(size, 4) if machine is Machine.I386 else size
            padding = -offset % alignment
            offset += padding
            widest = max(widest, alignment)
            codes.append("x" * padding)
            if name.startswith("_"):
                codes.append(f"{size * count}x")
            else:
                self.fields[name] = (offset, type_)
                codes.append(f"{count}{code}" if code == "s" or count > 1 else code)
            offset += size * count
        codes.append("x" * (-offset % widest))
        self._struct = struct.Struct("".join(codes))
        self.size = self._struct.size
        self.names = tuple(self.fields)
        self.pack = self._pack

    def _pack(self, *values: int | bytes) -> bytes:
        """Bytes from the fields' values in order. Raises GuestError(EOVERFLOW) if one does not fit."""
        try:
            return self._struct.pack(*values)
        except struct.error:
            raise GuestError(errno.EOVERFLOW) from None

    def encode(self, values: Mapping[str, int | bytes]) -> bytes:
        """Bytes from values by name; a field without a value is 0."""
        return self._pack(*(values.get(name, b"" if self.fields[name][1] == "char" else 0) for name in self.names))

    def unpack(self, data: bytes) -> tuple[int, ...]:
        """The fields' values in order."""
        return self._struct.unpack(data)

    def decode(self, data: bytes) -> dict[str, int]:
        """The fields' values by name."""
        return dict(zip(self.names, self._struct.unpack(data), strict=False))

    def array(self, data: bytes) -> Iterator[tuple[int, ...]]:
        """The elements of an array of this structure."""
        return self._struct.iter_unpack(data)


@dataclass(frozen=True)
class Declaration:
    """A structure's fields, where the machines' declarations differ one for each."""

    i386: str
    x86_64: str
    header: str = ""  # for the test: where C declares it
    packed_64: bool = False


def _same(fields: str) -> Declaration:
    return Declaration(fields, fields)


_STAT64_I386 = (
    "ullong st_dev; u8 _pad0[4]; ulong st_ino_low; uint st_mode; uint st_nlink; ulong st_uid; ulong st_gid;"
    "ullong st_rdev; u8 _pad3[4]; llong st_size; ulong st_blksize; ullong st_blocks; ulong st_atime; ulong st_atime_nsec;"
    "ulong st_mtime; uint st_mtime_nsec; ulong st_ctime; ulong st_ctime_nsec; ullong st_ino"
)
_RUSAGE = (
    "long utime_sec; long utime_usec; long stime_sec; long stime_usec; long maxrss; long ixrss; long idrss; long isrss;"
    "long minflt; long majflt; long nswap; long inblock; long oublock; long msgsnd; long msgrcv; long nsignals;"
    "long nvcsw; long nivcsw"
)
_PERM_64 = (
    "int perm_key; uint perm_uid; uint perm_gid; uint perm_cuid; uint perm_cgid; uint perm_mode; ushort perm_seq; ushort _pad2;"
    "ulong _unused1; ulong _unused2;"
)
_PERM_32 = _PERM_64.replace("uint perm_mode", "ushort perm_mode; ushort _pad1")
_MSGHDR = "pointer name; uint namelen; pointer iov; ulong iovlen; pointer control; ulong controllen; uint flags"
_STATX_TIME = "s64 {0}_sec; u32 {0}_nsec; int _{0}"

DECLARATIONS: dict[str, Declaration] = {
    "timespec": _same("long sec; long nsec"),
    "timespec64": _same("llong sec; llong nsec"),
    "timeval": _same("long sec; long usec"),
    "timezone": _same("int minuteswest; int dsttime"),
    "itimerval": _same("long interval_sec; long interval_usec; long value_sec; long value_usec"),
    "itimerspec": _same("long interval_sec; long interval_nsec; long value_sec; long value_nsec"),
    "itimerspec64": _same("llong interval_sec; llong interval_nsec; llong value_sec; llong value_nsec"),
    "tms": _same("long utime; long stime; long cutime; long cstime"),
    "utimbuf": _same("long actime; long modtime"),
    "iovec": _same("pointer base; ulong len"),
    "pollfd": _same("int fd; short events; short revents"),
    "mq_attr": _same("long flags; long maxmsg; long msgsize; long curmsgs; long _reserved[4]"),
    "shmid64_ds": Declaration(
        _PERM_32
        + "ulong segsz; ulong atime; ulong _ah; ulong dtime; ulong _dh; ulong ctime; ulong _ch; int cpid; int lpid;"
        "ulong nattch; ulong _u4; ulong _u5",
        _PERM_64
        + "ulong segsz; long atime; long dtime; long ctime; int cpid; int lpid; ulong nattch; ulong _u4; ulong _u5",
    ),
    "semid64_ds": Declaration(
        _PERM_32 + "ulong otime; ulong _oh; ulong ctime; ulong _ch; ulong nsems; ulong _u3; ulong _u4",
        _PERM_64 + "long otime; ulong _u1; long ctime; ulong _u2; ulong nsems; ulong _u3; ulong _u4",
    ),
    "msqid64_ds": Declaration(
        _PERM_32
        + "ulong stime; ulong _sh; ulong rtime; ulong _rh; ulong ctime; ulong _ch; ulong cbytes; ulong qnum; ulong qbytes;"
        "int lspid; int lrpid; ulong _u4; ulong _u5",
        _PERM_64
        + "long stime; long rtime; long ctime; ulong cbytes; ulong qnum; ulong qbytes; int lspid; int lrpid; ulong _u4;"
        "ulong _u5",
    ),
    "msghdr": _same(_MSGHDR),
    "mmsghdr": Declaration(_MSGHDR + "; uint len", _MSGHDR + "; uint _pad; uint len"),
    "rusage": _same(_RUSAGE),
    "rlimit": _same("ulong cur; ulong max"),
    "rlimit64": _same("u64 cur; u64 max"),
    "winsize": _same("ushort row; ushort col; ushort xpixel; ushort ypixel"),
    "termios": _same("uint iflag; uint oflag; uint cflag; uint lflag; u8 line; char cc[19]"),
    "utsname": _same(
        "char sysname[65]; char nodename[65]; char release[65]; char version[65]; char machine[65]; char domainname[65]"
    ),
    "stat": Declaration(
        "ulong st_dev; ulong st_ino; ushort st_mode; ushort st_nlink; ushort st_uid; ushort st_gid; ulong st_rdev;"
        "ulong st_size; ulong st_blksize; ulong st_blocks; ulong st_atime; ulong st_atime_nsec; ulong st_mtime;"
        "ulong st_mtime_nsec; ulong st_ctime; ulong st_ctime_nsec; ulong _unused[2]",
        "ulong st_dev; ulong st_ino; ulong st_nlink; uint st_mode; uint st_uid; uint st_gid; uint _pad; ulong st_rdev;"
        "long st_size; long st_blksize; long st_blocks; ulong st_atime; ulong st_atime_nsec; ulong st_mtime;"
        "ulong st_mtime_nsec; ulong st_ctime; ulong st_ctime_nsec; long _unused[3]",
    ),
    "stat64": _same(_STAT64_I386),
    "oldstat": _same(  # i386's first: __old_kernel_stat
        "ushort st_dev; ushort st_ino; ushort st_mode; ushort st_nlink; ushort st_uid; ushort st_gid; ushort st_rdev;"
        "ulong st_size; ulong st_atime; ulong st_mtime; ulong st_ctime"
    ),
    "statx": _same(
        "u32 mask; u32 blksize; u64 attributes; u32 nlink; u32 uid; u32 gid; ushort mode; ushort _pad; u64 ino; u64 size;"
        "u64 blocks; u64 attributes_mask;"
        + ";".join(_STATX_TIME.format(name) for name in ("atime", "btime", "ctime", "mtime"))
        + ";u32 rdev_major; u32 rdev_minor; u32 dev_major; u32 dev_minor; u64 mnt_id; u64 _spare[13]"
    ),
    "statfs": Declaration(
        "ulong type; ulong bsize; ulong blocks; ulong bfree; ulong bavail; ulong files; ulong ffree; int fsid0; int fsid1;"
        "ulong namelen; ulong frsize; ulong flags; ulong _spare[4]",
        "long type; long bsize; long blocks; long bfree; long bavail; long files; long ffree; int fsid0; int fsid1;"
        "long namelen; long frsize; long flags; long _spare[4]",
    ),
    "statfs64": _same(
        "ulong type; ulong bsize; u64 blocks; u64 bfree; u64 bavail; u64 files; u64 ffree; int fsid0; int fsid1;"
        "ulong namelen; ulong frsize; ulong flags; ulong _spare[4]"
    ),
    "sysinfo": Declaration(
        "long uptime; ulong load0; ulong load1; ulong load2; ulong totalram; ulong freeram; ulong sharedram;"
        "ulong bufferram; ulong totalswap; ulong freeswap; ushort procs; ushort _pad; ulong totalhigh; ulong freehigh;"
        "uint mem_unit; char _f[8]",
        "long uptime; ulong load0; ulong load1; ulong load2; ulong totalram; ulong freeram; ulong sharedram;"
        "ulong bufferram; ulong totalswap; ulong freeswap; ushort procs; ushort _pad; ulong totalhigh; ulong freehigh;"
        "uint mem_unit",
    ),
    "flock": _same("short type; short whence; long start; long len; int pid"),
    "flock64": _same("short type; short whence; llong start; llong len; int pid"),
    "epoll_event": Declaration("u32 events; u64 data", "u32 events; u64 data", packed_64=True),
    "dirent": _same("ulong d_ino; ulong d_off; ushort d_reclen"),  # name, padding and type follow (linux_dirent)
    "dirent64": _same("u64 d_ino; s64 d_off; ushort d_reclen; u8 d_type"),  # the name follows at offset 19
    "sigset_argument": _same("pointer set; ulong size"),  # sixth argument of pselect6
    "select_argument": _same("ulong n; pointer inp; pointer outp; pointer exp; pointer tvp"),  # i386 old select
    "cap_header": _same("u32 version; int pid"),
    "cap_data": _same("u32 effective; u32 permitted; u32 inheritable"),
}


class KernelStructs:
    """The structures of one machine, by name."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.word = machine.word
        self.word_mask = (1 << 8 * machine.word) - 1
        self._layouts: dict[str, StructLayout] = {}

    def __getitem__(self, name: str) -> StructLayout:
        layout = self._layouts.get(name)
        if layout is None:
            declared = DECLARATIONS[name]
            if self.machine is Machine.I386:
                layout = StructLayout(self.machine, declared.i386)
            else:
                layout = StructLayout(self.machine, declared.x86_64, declared.packed_64)
            self._layouts[name] = layout
        return layout


@lru_cache
def structs_of(machine: Machine) -> KernelStructs:
    """The machine's structures (shared by all processes: they never change)."""
    return KernelStructs(machine)
