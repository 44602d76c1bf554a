"""Which version is taken: start-up in C, natively and emulated, and loader/libraries/search.py among the same files."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.tools import NATIVE, SHARED, native, require_native
from support.versions import PATHS, TREES, VERSIONS, kit, make_tree, patched, predicted, start
from uselib.cli import main
from uselib.linker.versions import RULES

# What is taken is not a regular file: its end, its first page and its mapping are what the file system makes of them
NO_FILE: dict[str, dict[str, dict[str, str] | str | None]] = {
    kind: {"r2": {"libfoo_s.1": kind}} for kind in ("directory", "fifo")
}


@native
@pytest.mark.parametrize("scheme", SHARED)
def test_choice(arch: str, scheme: str) -> None:
    """Files are empty, so that the message tells which one was taken: names alone decide."""
    made = kit(arch, scheme)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tree=TREES, path=PATHS, rule=st.sampled_from(list(RULES)))
    @example(tree=NO_FILE["directory"], path="", rule="linux")
    @example(tree=NO_FILE["fifo"], path="", rule="linux")
    def compare(tree: dict[str, dict[str, str] | str | None], path: str, rule: str) -> None:
        with tempfile.TemporaryDirectory(prefix="uselib-choice-") as name:
            make_tree(Path(name), tree)
            status, said = start(made.program, Path(name), LD_LIBRARY_PATH=path, USELIB_VERSION_RULE=rule)
            assert (status, said) == (128, predicted(made.program, Path(name), rule, scheme, path))

    compare()


def test_choice_emulated(arch: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator's own getdents64, open and path walk, under the same start-up code."""
    made = kit(arch, "mmap")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    before = os.getcwd()

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tree=TREES, path=PATHS, rule=st.sampled_from(list(RULES)))
    @example(tree=NO_FILE["directory"], path="", rule="linux")
    @example(tree=NO_FILE["fifo"], path="", rule="linux")
    def compare(tree: dict[str, dict[str, str] | str | None], path: str, rule: str) -> None:
        with tempfile.TemporaryDirectory(prefix="uselib-choice-") as name:
            make_tree(Path(name), tree)
            expected = predicted(made.program, Path(name), rule, "mmap", path)
            os.chdir(name)
            try:
                words = ["--env", f"LD_LIBRARY_PATH={path}", "--env", f"USELIB_VERSION_RULE={rule}", str(made.program)]
                assert main(["run", "--writable", name, *words]) == 128  # else a FIFO may not be opened
            finally:
                os.chdir(before)
            assert capfd.readouterr().err == f"{made.program}: {expected}"

    compare()


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(VERSIONS),
        "slots": st.sampled_from([0, 2, 100]),
        "base": st.just(0x62000000),
        "machine": st.sampled_from([3, 62, 8]),
    },
)
FOUND = st.dictionaries(
    st.sampled_from([f"libfoo_s.{v}" for v in VERSIONS] + ["libfoo_s.1", "libfoo_s.1.2"]), HEADERS, max_size=4
)


@native
def test_contents(arch: str) -> None:
    """Real libraries whose headers say something else than their names: taken by name, refused by what they say."""
    made = kit(arch, "mmap")
    content = made.foo.read_bytes()
    ran = set()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(first=FOUND, second=FOUND, rule=st.sampled_from(list(RULES)))
    def compare(first: dict[str, dict[str, int]], second: dict[str, dict[str, int]], rule: str) -> None:
        with tempfile.TemporaryDirectory(prefix="uselib-contents-") as name:
            for place, entries in (("e1", first), ("r2", second)):
                Path(name, place).mkdir()
                for file, fields in entries.items():
                    own = {"version": file.removeprefix("libfoo_s.")} if file.count(".") == 3 else {}
                    Path(name, place, file).write_bytes(patched(content, **{**own, **fields}))  # type: ignore[arg-type]
            expected = predicted(made.program, Path(name), rule, "mmap", "e1")
            status, said = start(made.program, Path(name), LD_LIBRARY_PATH="e1", USELIB_VERSION_RULE=rule)
            assert (status, said) == (128 if expected else 7, expected)
            ran.add(status)

    compare()
    assert ran == {7, 128}


CASES: dict[str, tuple[str, list[str], str]] = {
    # what is in the directory -> what each rule takes
    "recorded": (
        "libfoo_s.1.2.1 libfoo_s.1.2.2 libfoo_s.1.3.0 libfoo_s.2.0.0",
        ["1.2.1", "1.2.1", "1.3.0", "1.2.2", ""],
        "",
    ),
    "only newer": ("libfoo_s.1.2.0 libfoo_s.1.10.0 libfoo_s.1.9.9", ["1.10.0", "", "1.10.0", "1.2.0", ""], ""),
    "older": ("libfoo_s.1.1.9 libfoo_s.2.0.0", ["", "", "", "", ""], " (there is 2.0.0, needs 1.2.1)"),
}


@pytest.mark.parametrize("case", CASES)
def test_table(arch: str, case: str, tmp_path: Path) -> None:
    """The same cases as docs/versions.md."""
    made = kit(arch, "uselib")
    files, expected, other = CASES[case]
    (tmp_path / "r1").mkdir()
    for file in files.split():
        (tmp_path / "r1" / file).write_bytes(b"")
    for rule, version in zip(RULES, expected, strict=True):
        said = predicted(made.program, tmp_path, rule, "uselib")
        if version:
            assert said == f"can't load library 'r1/libfoo_s.{version}'\n\tExec format error.\n", rule
        else:
            assert "/libfoo_s.1" in said.splitlines()[0], rule
            assert said.endswith(f"No such library.{other if rule in ('sun', 'exact-minor', 'default') else ''}\n")
        if NATIVE:
            assert start(made.program, tmp_path, USELIB_VERSION_RULE=rule) == (128, said)


EMULATED = [
    {"e1": {}, "r1": {"libfoo_s.1.2.0": "file", "libfoo_s.1.4.0": "dangling", "libfoo_s.1.3.0": "file"}},
    {
        "e1": {"libfoo_s.1.3.0": "link", "libfoo_s.1.2": "dangling", "libfoo_s.1": "link"},
        "r1": {"libfoo_s.1.2.1": "file"},
    },
    {"e1": {"libfoo_s.2.0.0": "file", "libfoo_s.1.2.65535": "directory"}, "r2": {"libfoo_s.1.2.1": "file"}},
]


@pytest.mark.parametrize("number", range(len(EMULATED)))
def test_emulated(
    arch: str, number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kit(arch, SHARED[number % 2])
    make_tree(tmp_path, EMULATED[number])  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    for rule in RULES:
        words = ["--env", "LD_LIBRARY_PATH=e1", "--env", f"USELIB_VERSION_RULE={rule}", str(made.program)]
        assert main(["run", *words]) == 128
        expected = predicted(made.program, tmp_path, rule, made.scheme, "e1")
        assert capfd.readouterr().err == f"{made.program}: {expected}"


@pytest.mark.parametrize("way", ["native", "emulated"])
def test_upgrade(arch: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The point of it: after 1.3.0 has replaced 1.2.1, the old program runs with it."""
    made = kit(arch, SHARED[arch == "i386"])
    (tmp_path / "r1").mkdir()
    shutil.copy(made.foo, tmp_path / "r1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)

    def status() -> int:
        if way == "emulated":
            return main(["run", str(made.program)])
        require_native()
        return start(made.program, tmp_path)[0]

    assert status() == 7
    (tmp_path / "r1" / "libfoo_s.1.3.0").write_bytes(patched(made.foo.read_bytes(), "1.3.0"))
    (tmp_path / "r1" / "libfoo_s.1.3.0").chmod(0o755)  # uselib(2) wants it
    (tmp_path / "r1" / "libfoo_s.1.2.1").unlink()
    assert status() == 7
    (tmp_path / "r1" / "libfoo_s.1.3.0").rename(tmp_path / "r1" / "libfoo_s.2.0.0")
    assert status() == 128
