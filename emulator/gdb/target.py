"""What GDB's requests work on: one program in its machine. Memory, breakpoints, watchpoints, libraries, files; no packets.

Watchpoints: writes to the page are refused (`MachineControl.withhold`), so that the rest of memory stays fast; each refused write
is carried out as one step, and what is watched is compared before and after.
"""

from __future__ import annotations

import os
import stat
import struct

from uselib.emulator.api.control import MachineControl
from uselib.emulator.gdb.libraries import LibraryList
from uselib.emulator.gdb.registers import RegisterFile
from uselib.emulator.gdb.threads import ThreadView
from uselib.emulator.process.interfaces import Fault
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.process.run import Runner
from uselib.linker.errors import FormatError
from uselib.loader.memory.address_space import PAGE, MemoryFault, page_down
from uselib.loader.memory.vma import MappedFile, Vma
from uselib.loader.programs.headers import read_headers

_STAT = struct.Struct(">7I3Q3I")  # struct stat of GDB's File-I/O protocol: times are the last three words
_AT_BASE = 7


class StoppedForGdb(BaseException):
    """The run loop was left for GDB. reply: the stop reply; fault: an exception that has not been delivered yet."""

    def __init__(self, reply: bytes, fault: Fault | None = None) -> None:
        super().__init__()
        self.reply = reply
        self.fault = fault


class Target:
    """The program that a runner has loaded. attached: somebody listens; without, nothing stops. executable: its guest path; host_path: where
    it is on the host."""

    def __init__(self, runner: Runner, executable: str, host_path: str, attached: bool) -> None:
        self.machine = machine = runner.machine
        self.space = machine.space
        self.threads = ThreadView(runner.process)
        self.kernel = runner.kernel
        tap = KernelTap(runner.kernel, exception=self.exception)
        self.control = MachineControl(machine, tap, runner.at_rest, self._pause)
        self.registers = RegisterFile(machine)
        self.executable = executable
        self.libraries = LibraryList(self.space, executable)
        self._host_path = host_path
        self.attached = attached
        self.break_requested = False
        self._breakpoints: dict[int, set[str]] = {}  # address -> kinds
        self._watches: dict[tuple[int, int], bytes] = {}  # address, size -> value seen last
        self._new_library = False
        self.auxiliary = self._read_auxiliary()
        self._files: dict[int, int] = {}  # GDB's descriptor -> the host's

    def detach(self) -> None:
        """The program runs on alone."""
        self.attached = False
        for address in list(self._breakpoints):
            self.control.remove(address, self._at_breakpoint)
        self._breakpoints.clear()
        self._watches.clear()
        self.control.grant()
        for number in list(self._files):
            self.close_file(number)

    # -- what stops the run --------------------------------------------------------------------------------------------

    def _at_breakpoint(self, _address: int) -> None:
        if self.attached:
            raise StoppedForGdb(b"T05swbreak:;")

    def _pause(self) -> None:
        if self.break_requested:
            self.break_requested = False
            raise StoppedForGdb(b"T02")
        if self._new_library and self.attached:
            self._new_library = False
            raise StoppedForGdb(b"T05library:;")

    def exception(self, fault: Fault) -> None:
        """A CPU exception of the program."""
        if (
            fault.access == "write"
            and page_down(fault.address) in self.machine.pages.withheld
            and self._writable(fault)
        ):
            self._watched_write()
            return
        if not self.attached:
            self.kernel.exception(fault)
            return
        raise StoppedForGdb(b"T%02x" % fault.signal, fault)

    def _writable(self, fault: Fault) -> bool:
        vma = self.space.find(fault.address)
        return vma is not None and bool(vma.prot & 2)

    def _watched_write(self) -> None:
        pages = set(self.machine.pages.withheld)
        before = self.machine.cpu.pc
        self.control.grant()
        try:
            self.control.step()
            if self.machine.cpu.pc == before:
                self.control.step()
        finally:
            self.control.stop_stepping()
            for page in pages:
                self.control.withhold(page, page + 1)
        self._check_watches()

    def _check_watches(self) -> None:
        for (address, size), old in self._watches.items():
            new = self.read(address, size)
            if new != old:
                self._watches[address, size] = new
                raise StoppedForGdb(b"T05watch:%x;" % address)

    def mapped(self, vma: Vma) -> None:
        """The program has a new mapping."""
        if self.attached and self.libraries.is_new(vma):
            self._new_library = True
            self.machine.interrupt()

    # -- breakpoints and watchpoints -----------------------------------------------------------------------------------

    def set_breakpoint(self, address: int, kind: str) -> None:
        if not self._breakpoints.get(address):
            self.control.add(address, self._at_breakpoint)
        self._breakpoints.setdefault(address, set()).add(kind)

    def clear_breakpoint(self, address: int, kind: str) -> None:
        kinds = self._breakpoints.get(address, set())
        kinds.discard(kind)
        if not kinds and address in self._breakpoints:
            del self._breakpoints[address]
            self.control.remove(address, self._at_breakpoint)

    def at_breakpoint(self) -> bool:
        return self.machine.cpu.pc in self._breakpoints

    def set_watch(self, address: int, size: int) -> None:
        """Stops after writes that change the range. Raises MemoryFault."""
        self._watches[address, size] = self.space.read(address, size)
        self.control.withhold(address, address + size)

    def clear_watch(self, address: int, size: int) -> None:
        self._watches.pop((address, size), None)
        self.control.grant()
        for begin, length in self._watches:
            self.control.withhold(begin, begin + length)

    # -- memory --------------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """As much of the range as can be read from its start on."""
        out = bytearray()
        while size:
            step = min(size, PAGE - address % PAGE)
            try:
                out += self.space.read(address, step)
            except MemoryFault:
                break
            address, size = address + step, size - step
        return bytes(out)

    def write(self, address: int, data: bytes) -> bool:
        """Whatever the guest's permissions are, unless it would change a file of the host that is open for reading."""
        try:
            self.space.check(address, len(data), "read")
        except MemoryFault:
            return False
        if any(vma.shared and not vma.may_write for vma in self.space.vmas.overlapping(address, address + len(data))):
            return False
        self.space.poke(address, data)
        for begin, size in self._watches:
            self._watches[begin, size] = self.read(begin, size)
        return True

    # -- what GDB asks about the program -------------------------------------------------------------------------------

    def _read_auxiliary(self) -> bytes:
        """The auxiliary vector, behind argv and envp on the stack that the program starts with."""
        word = self.machine.bits // 8
        sp = self.machine.cpu.sp
        argc = int.from_bytes(self.space.read(sp, word), "little")
        at = sp + (argc + 2) * word
        while any(self.space.read(at, word)):
            at += word
        start = at + word
        end = start
        while any(self.space.read(end, word)):
            end += 2 * word
        return self.space.read(start, end + 2 * word - start)

    def library_list(self) -> bytes:
        """<library-list-svr4>."""
        self._new_library = False
        return self.libraries.xml()

    # -- files, for symbols: the program and its libraries, for reading, and nothing else ------------------------------

    def open_file(self, path: str) -> int | None:
        fd = None
        if path == self.executable:
            try:
                fd = os.open(self._host_path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
        else:
            file = self._mapped_file(path)
            fd = None if file is None else os.dup(file.fd)
        if fd is None:
            return None
        number = next(n for n in range(3, 1 << 20) if n not in self._files)
        self._files[number] = fd
        return number

    def _mapped_file(self, path: str) -> MappedFile | None:
        """The dynamic linker is also known by the name that the program has for it."""
        for vma in self.space:
            if vma.file is not None and vma.name == path:
                return vma.file
        if path and path == self._interpreter():
            linker = self.space.find(self._auxiliary_value(_AT_BASE))
            return None if linker is None else linker.file
        return None

    def _interpreter(self) -> str:
        """PT_INTERP of the program."""
        try:
            fd = os.open(self._host_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            return read_headers(os.pread(fd, PAGE, 0), "", lambda size, offset: os.pread(fd, size, offset)).interpreter
        except (FormatError, OSError):
            return ""
        finally:
            os.close(fd)

    def _auxiliary_value(self, kind: int) -> int:
        pairs = struct.iter_unpack("<QQ" if self.machine.bits == 64 else "<II", self.auxiliary)
        return next((value for key, value in pairs if key == kind), 0)

    def read_file(self, number: int, count: int, offset: int) -> bytes | None:
        try:
            return os.pread(self._files[number], count, offset)
        except (KeyError, OSError):
            return None

    def file_status(self, number: int) -> bytes | None:
        """struct stat of GDB's File-I/O protocol: big-endian, 64 bytes."""
        if number not in self._files:
            return None
        status = os.fstat(self._files[number])
        inode, mode, size = status.st_ino & 0xFFFFFFFF, stat.S_IFREG | 0o444, status.st_size
        links, user, group = 1, 1000, 1000
        return _STAT.pack(0, inode, mode, links, user, group, 0, size, 4096, (size + 511) // 512, 0, 0, 0)

    def close_file(self, number: int) -> bool:
        fd = self._files.pop(number, None)
        if fd is not None:
            os.close(fd)
        return fd is not None
