"""The replaced parts of Unicorn's CPU: machine code tables, other users of the library in one process, and running without them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.programs import musl_program
from uselib.emulator.machine import core, unicorn_library

needs_core = pytest.mark.skipif(
    core.attach(unicorn_library.library()) is None, reason="needs the replaced parts (x86-64 host, C compiler)"
)

OTHER_USER = """
from uselib.emulator.machine import core, unicorn_library
assert core.attach(unicorn_library.library()) is not None
import unicorn
from unicorn import x86_const as x
uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
uc.mem_map(0x10000, 0x4000)
code = bytes.fromhex("dbe3d9e8d9e8dec1" "f20f58c1" "0fae5c2410" "f00fb10f" "f3a4" "f4")
# fninit fld1 fld1 faddp; addsd; stmxcsr; lock cmpxchg; rep movsb; hlt
uc.mem_write(0x10000, code)
for register, value in ((x.UC_X86_REG_RSP, 0x12000), (x.UC_X86_REG_RDI, 0x13000), (x.UC_X86_REG_RSI, 0x12800), (x.UC_X86_REG_RCX, 64)):
    uc.reg_write(register, value)
uc.reg_write(x.UC_X86_REG_XMM0, 0x3FF0000000000000)
uc.reg_write(x.UC_X86_REG_XMM1, 0x4000000000000000)
uc.emu_start(0x10000, 0x10000 + len(code) - 1)
print(hex(uc.reg_read(x.UC_X86_REG_XMM0)), uc.reg_read(x.UC_X86_REG_RCX))
"""
SOURCE = """
#include <fenv.h>
#include <stdio.h>
int main(void)
{
    volatile double zero = 0;
    volatile double d = 1 / zero;
    printf("%g %d %s\\n", d, fetestexcept(FE_DIVBYZERO) != 0, "ran");
    return 0;
}
"""


@needs_core
def test_another_user_of_unicorn_in_the_process() -> None:
    """An engine that is not ours runs as before: what is called from translated code looks who runs."""
    pytest.importorskip("unicorn")
    done = subprocess.run([sys.executable, "-c", OTHER_USER], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "0x4008000000000000 0\n"), done.stderr


@needs_core
@pytest.mark.parametrize(("variable", "flag"), [({}, 1), ({"USELIB_CORE": "0"}, 0), ({"USELIB_NATIVE_PAGES": "0"}, 1)])
def test_without_each_native_part(variable: dict[str, str], flag: int, arch: str, tmp_path: Path) -> None:
    """Programs run all the same; what the processor's flags say needs the replaced parts (on i386 the x87 has this one anyway)."""
    program = musl_program(SOURCE, arch, tmp_path)
    command = [sys.executable, "-m", "uselib.cli", "run", str(program)]
    done = subprocess.run(command, env=environment() | variable, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout in (f"inf {flag} ran\n", "inf 1 ran\n" if arch == "i386" else ""), (
        done.stderr
    )
