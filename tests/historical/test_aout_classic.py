"""a.out libraries from before the DLL tools ("classic"): slots and a version word that must be equal, nothing that repairs redefinitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.aout import PARAMS, changed, link_counter, make_kit, refused, run_below_root
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout import stub as aout_stub
from uselib.linker.historical.aout.stub import CLASSIC

WORD = 1024  # of the version, in the file
CLASSIC_PARAMS = PARAMS.replace("GOT=0x1000\n", "") + "Classic=1\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_kit(tmp_path_factory.mktemp("classic"), CLASSIC_PARAMS)


def test_a_program_runs(made: Path, tmp_path: Path) -> None:
    text = "int main() { count(); step = 5; count(); put(total()); put(history[1]); put(name[0]); return 3; }"
    result = run_below_root(link_counter(made, tmp_path, "p", text))
    assert (result.stdout, result.stderr, result.returncode) == ("507\n2\n99\n", "", 3)


def test_files(made: Path) -> None:
    file = aout.decode((made / "libcount.so.1.2.3").read_bytes(), "libcount")
    assert file.text[:4] == (CLASSIC | 1 << 16 | 203).to_bytes(4, "little")
    assert file.data[:4] == (2).to_bytes(4, "little")  # step: no cells before the variables
    stub = aout_stub.read_archive((made / "libcount.sa").read_bytes(), "libcount.sa")
    assert (stub.version, stub.version_text, stub.cells) == (CLASSIC | 1 << 16 | 203, "Jump 1.2pl3", {})
    assert stub.data == {
        "count": 0x61000008,
        "total": 0x61000018,
        "double_it": 0x61000020,
        "name": 0x61001000,
        "step": 0x61008000,
        "history": 0x61008008,
    }
    assert stub.names()[0x61000018] == "total"


def test_a_redefinition_makes_two_copies(made: Path, tmp_path: Path) -> None:
    """Figure 5 of the chapter: the program's variable is another one than the library's; its function is not the library's either."""
    text = "int step = 10; int double_it(int x) { return 6 * x; } int main() { count(); put(total()); put(double_it(1)); put(step); return 0; }"
    result = run_below_root(link_counter(made, tmp_path, "p", text))
    assert (result.stdout, result.stderr, result.returncode) == ("202\n6\n10\n", "", 0)


@pytest.mark.parametrize(
    "word",
    [CLASSIC | 1 << 16 | 204, CLASSIC | 1 << 16 | 202, CLASSIC | 1 << 16 | 300, CLASSIC | 2 << 16 | 203, 1 << 16 | 203],
    ids=["higher patch level", "lower patch level", "higher minor", "other major", "not classic"],
)
def test_any_other_version_is_refused(made: Path, tmp_path: Path, word: int) -> None:
    path = link_counter(made, tmp_path, "p", "int main() { return 0 * total(); }")
    changed(tmp_path / "lib" / "libcount.so.1", WORD, word)
    result = run_below_root(path)
    assert (result.returncode, result.stderr) == (
        128,
        "/p: can't load library '/lib/libcount.so.1'\n\tIncompatible version.\n",
    )


def test_control_files(tmp_path: Path) -> None:
    assert "Classic=yes is neither 0 nor 1" in refused(tmp_path, params=PARAMS + "Classic=yes\n")
