"""Control files of the DLL tools, which fix the addresses and slots of a library: jump.params, jump.funcs, jump.vars in one folder.

    jump.params     Name=/libc    Text=0x60000000    Data=0x60090000    Jump=0x00004000    GOT=0x00001000    Version=4.3.3
                    Text: the base. Data: of the exported variables. Jump: bytes kept for version word and slots. GOT: bytes kept for the
                    table of cells, which ends where Data begins. Name: how start-up looks for the library, less `.so.MAJOR`
                    Classic=1 (ours): a library as before the DLL tools: version word with the classic bit, no cells, no conflict list
    jump.funcs      a line for each slot: SIZE TYPE SYMBOL LIBRARY OBJECT; slot n is at Text + 8 n
    jump.vars       likewise for exported variables: SIZE is the room that a variable has in all releases

Format: stub.py; docs/historical-systems.md, Linux a.out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from uselib.linker.errors import Diagnostic, Diagnostics, FormatError, unprintable
from uselib.linker.historical.aout.stub import DUMMY, SLOT_SIZE, ControlLine, parse_control
from uselib.linker.image import PAGE, Version
from uselib.linker.reading import read_file

PARAMETERS = ("Name", "Text", "Data", "Jump", "GOT", "Version")
CLASSIC_KEY = "Classic"
CELL_SIZE = 4
_LARGEST = 1 << 26  # bytes from Text to the end of the variables: all of it is in the file
CELLS_AT = 8  # behind the address of the conflict list and its magic


@dataclass(frozen=True)
class ControlFiles:
    """The contents of the three files. Addresses and sizes in bytes."""

    where: str
    name: str  # "/libc"
    text: int
    data: int
    jump: int
    got: int
    version: Version
    functions: tuple[ControlLine, ...]
    variables: tuple[ControlLine, ...]
    classic: bool = False

    @property
    def library(self) -> str:
        """`libc`: the last component of Name."""
        return os.path.basename(self.name)

    @property
    def cells(self) -> int:
        """Address of the table of cells."""
        return self.data - self.got

    @property
    def constants(self) -> tuple[ControlLine, ...]:
        return tuple(line for line in self.variables if line.type == "K")

    @property
    def writable(self) -> tuple[ControlLine, ...]:
        return tuple(line for line in self.variables if line.type != "K")

    def slot(self, number: int) -> int:
        """Address of slot `number`, from 1."""
        return self.text + SLOT_SIZE * number

    def cell(self, index: int) -> int:
        """Address of the cell of line `index` of jump.vars, from 0."""
        return self.cells + CELLS_AT + CELL_SIZE * index

    def places(self) -> dict[str, int]:
        """The address of each exported variable: constants lie behind the jump table, the others from Data on, each in its own room."""
        found = {}
        for start, lines in ((self.text + self.jump, self.constants), (self.data, self.writable)):
            for line in lines:
                if line.symbol != DUMMY:
                    found[line.symbol] = start
                start += line.size
        return found


def _text(folder: Path, name: str) -> str:
    path = folder / name
    try:
        text = read_file(path).decode("ascii")
    except UnicodeDecodeError:
        raise FormatError(Diagnostic(str(path), "is not text")) from None
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if hidden := unprintable(line):
            what = f"has the invisible character {hidden}"
            raise FormatError(Diagnostic(f"{path}:{number}", what, remedy="remove it"))
    return text


def read_control(folder: str | Path) -> ControlFiles:
    """Reads the control files in a folder. Raises FormatError with all mistakes, OSError."""
    folder = Path(folder)
    where = str(folder / "jump.params")
    values: dict[str, str] = {}
    problems = Diagnostics()
    for number, line in enumerate(_text(folder, "jump.params").splitlines(), 1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not equals or name.strip() not in (*PARAMETERS, CLASSIC_KEY):
            problems.add(f"{where}:{number}", f"`{line}` sets none of {', '.join(PARAMETERS)}")
        values[name.strip()] = value.strip()
    classic = values.get(CLASSIC_KEY, "0")
    if classic not in ("0", "1"):
        problems.add(where, f"{CLASSIC_KEY}={classic} is neither 0 nor 1")
    if classic == "1":
        values.setdefault("GOT", "0")
    missing = [name for name in PARAMETERS if name not in values]
    if missing:
        problems.add(where, f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given")
    problems.raise_if_any()
    numbers: dict[str, int] = {}
    for name in PARAMETERS[1:5]:
        try:
            numbers[name] = int(values[name], 0)
        except ValueError:
            problems.add(where, f"{name}={values[name]} is not a number")
    try:
        version = Version.parse(values["Version"] + ".0" * (2 - values["Version"].count(".")))
    except ValueError as problem:
        problems.add(where, str(problem))
        version = Version(0, 0, 0)
    if version.patch > 99 or version.major > 0xFFF or version.minor > 600:
        problems.add(where, f"version {version} does not fit into a version word (minor * 100 + patch)")
    problems.raise_if_any()
    control = ControlFiles(
        where=where,
        name=values["Name"],
        text=numbers["Text"],
        data=numbers["Data"],
        jump=numbers["Jump"],
        got=numbers["GOT"],
        version=version,
        functions=parse_control(_text(folder, "jump.funcs"), str(folder / "jump.funcs"), "TtU"),
        variables=parse_control(_text(folder, "jump.vars"), str(folder / "jump.vars"), "DKC"),
        classic=classic == "1",
    )
    _check(control, problems)
    problems.raise_if_any()
    return control


def _check(control: ControlFiles, problems: Diagnostics) -> None:
    where = control.where
    if control.text % PAGE or control.data % PAGE or control.jump % 8 or control.got % CELL_SIZE:
        problems.add(where, f"Text and Data must be multiples of {PAGE:#x}, Jump of 8, GOT of {CELL_SIZE}")
    end = control.data + sum(line.size for line in control.writable)
    if not 0 < control.text < control.data or end - control.text > _LARGEST or end > 0xC000_0000:
        what = f"Text={control.text:#x} to the end of the variables at {end:#x}"
        problems.add(where, f"{what} is not a range of user addresses, or has more than {_LARGEST:#x} bytes")
    if min(control.jump, control.got) < 0:
        problems.add(where, "Jump and GOT are numbers of bytes")
    needed = SLOT_SIZE * (len(control.functions) + 1)
    if needed > control.jump:
        remedy = "a table cannot grow once constants lie behind it: give Jump more room in a new major version"
        what = f"{len(control.functions)} slots need {needed:#x} bytes, Jump keeps {control.jump:#x}"
        problems.add(where, what, remedy=remedy)
    needed = 0 if control.classic else CELLS_AT + CELL_SIZE * len(control.variables)
    if needed > control.got:
        problems.add(
            where, f"{len(control.variables)} variables need {needed:#x} bytes of cells, GOT keeps {control.got:#x}"
        )
    if control.cells <= control.text + control.jump:
        problems.add(where, f"Data={control.data:#x} less GOT leaves no room for text behind Text={control.text:#x}")
    for lines in (control.functions, control.variables):
        seen: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            if line.symbol in seen and line.symbol != DUMMY and line.type != "U":
                problems.add(where, f"stands on lines {seen[line.symbol]} and {number}", symbol=line.symbol)
            seen[line.symbol] = number
