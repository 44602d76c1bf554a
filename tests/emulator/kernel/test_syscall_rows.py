"""The rows of system calls, compared with lists by kind from the manual pages (section 2) and signal(7)."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

from support.command import environment
from uselib.emulator.kernel import calls, table
from uselib.emulator.kernel.arguments import TARGET
from uselib.emulator.kernel.families import FAMILIES
from uselib.emulator.kernel.strace.effects import changes
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.linker.image import Machine


def words(text: str) -> set[str]:
    return set(text.split())


CHANGES_FILES = {
    "names": words("""creat link linkat mkdir mkdirat mknod mknodat rename renameat renameat2 rmdir symlink symlinkat unlink
        unlinkat"""),
    "mode": words("chmod fchmod fchmodat fchmodat2"),
    "owner": words("chown chown32 lchown lchown32 fchown fchown32 fchownat"),
    "times": words("utime utimes futimesat utimensat utimensat_time64"),
    "size": words("truncate truncate64 ftruncate ftruncate64 fallocate"),
    "extended attributes": words(
        "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setxattrat removexattrat"
    ),
}
WRITES = words("""write writev pwrite64 pwritev pwritev2 sendfile sendfile64 copy_file_range splice tee vmsplice sendto sendmsg
    sendmmsg""")
OPENS = words("open openat openat2 open_by_handle_at")
PROCESSES = words("""fork vfork clone clone3 execve execveat kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal chdir
    fchdir chroot umask""")
# signal(7): "never restarted after being interrupted by a signal handler, regardless of the use of SA_RESTART"
NOT_RESTARTED = words("""pause sigsuspend rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigwaitinfo epoll_wait epoll_pwait
    epoll_pwait2 poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 nanosleep clock_nanosleep
    clock_nanosleep_time64 semop semtimedop semtimedop_time64 msgsnd msgrcv ipc""")
# Handlers that only say that there is no such thing
_REFUSED = {"sys_absent", "not_permitted"}


def rows() -> list[Syscall]:
    return [row for row in table.rows() if row.handler.__name__ not in _REFUSED]


def named(effect: Effect) -> set[str]:
    return {row.name for row in rows() if row.effect is effect}


def test_every_call_that_changes_a_file_says_so() -> None:
    there = {row.name for row in rows()}
    for kind, names in CHANGES_FILES.items():
        assert names & there, kind
        assert named(Effect.FILES) & names == names & there, kind
    assert named(Effect.FILES) <= set().union(*CHANGES_FILES.values())
    assert named(Effect.OUTPUT) == WRITES & there
    assert named(Effect.OPENED) == OPENS & there
    assert named(Effect.PROCESSES) == PROCESSES & there


def test_output_names_its_descriptor() -> None:
    for row in rows():
        assert row.arguments.count(TARGET) == (row.effect is Effect.OUTPUT), row.name


def test_open_changes_by_its_flags() -> None:
    row = next(row for row in rows() if row.name == "openat")
    read, create, truncate = 0, 0o100, 0o1000
    assert not changes(row, [-100, 0, read, 0])
    assert all(changes(row, [-100, 0, flags, 0]) for flags in (1, 2, create, truncate))


def test_calls_that_signals_interrupt_without_a_restart() -> None:
    assert {row.name for row in rows() if not row.restarts} == {row.name for row in rows()} & NOT_RESTARTED


def test_calls_that_change_files_are_not_undone_by_restoring_memory() -> None:
    for row in rows():
        if row.effect in (Effect.FILES, Effect.OPENED):
            assert row.undo is Undo.FRESH, row.name
    never = {row.name for row in rows() if row.undo is Undo.NEVER}
    assert never >= {
        "fork",
        "vfork",
        "clone",
        "execve",
        "wait4",
        "waitid",
        "pause",
        "poll",
        "epoll_pwait2",
        "pselect6_time64",
    }


def test_families_name_the_calls_of_their_modules() -> None:
    for module, words in FAMILIES.items():
        family = importlib.import_module(f"{calls.__name__}.{module}")
        assert words.split() == sorted({row.name for row in family.ROWS}), module
    assert {path.stem for path in Path(calls.__path__[0]).glob("*.py")} - {"__init__"} == set(FAMILIES)


def test_a_row_imports_its_own_family_only(machine: Machine) -> None:
    code = f"""
import sys
from uselib.emulator.kernel import table
from uselib.linker.image import Machine
calls, numbers = table.for_machine(Machine.{machine.name}), table.numbers(Machine.{machine.name})
assert calls[numbers["fsync"]].name == "fsync" and max(numbers.values()) + 1 not in calls
print(*(name for name in sys.modules if name.startswith("{calls.__name__}.")))
"""
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [f"{calls.__name__}.advice"]


def test_rows_of_a_machine(machine: Machine) -> None:
    numbers = table.numbers(machine)
    mine = {row.name for row in table.rows() if row.machine in (None, machine) and row.name in numbers}
    assert {row.name for row in table.for_machine(machine).values()} == mine
    assert all(numbers[row.name] == number for number, row in table.for_machine(machine).items())
    assert len(table.for_machine(machine)) == len(mine)
