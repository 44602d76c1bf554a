"""`uselib inspect`: the contents of a file. Target libraries, programs, stub libraries, archives, objects, historical formats.

libraries, objects, historical_formats   a file of each kind -> a dictionary of facts, which is what `--json` prints
records                                  facts that several kinds have
text                                     the facts as text, one function for each kind
"""

from __future__ import annotations

import argparse
import json
import os

from uselib.commands.inspect import historical_formats
from uselib.commands.inspect.libraries import library_facts, program_facts
from uselib.commands.inspect.objects import archive_facts, object_facts
from uselib.commands.inspect.records import Facts
from uselib.commands.inspect.text import SHOW
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import elf, elf_image
from uselib.linker.formats.ar import MAGIC, THIN_MAGIC
from uselib.linker.formats.library_names import LIBRARY_NAME
from uselib.linker.library import stub
from uselib.linker.reading import read_file


def facts_of(path: str) -> Facts:
    """All facts of a file. Raises FormatError, OSError."""
    if os.path.isdir(path):
        if not stub.is_stub(path):
            raise FormatError(Diagnostic(path, f"is a directory without a `{LIBRARY_NAME}`"))
        return archive_facts(path)
    data = read_file(path)
    historical = historical_formats.facts_of(data, path)
    if historical is not None:
        return historical
    if data[:8] in (MAGIC, THIN_MAGIC):
        return archive_facts(path)
    if data[:4] != elf.MAGIC:
        raise FormatError(
            Diagnostic(path, "is neither an archive nor a file of a format that is known here (ELF, a.out, COFF, LINK)")
        )
    if elf.ElfFile(memoryview(data), path).kind == elf.ET_REL:
        return object_facts(data, path)
    image = elf_image.read_image(data, path)
    return program_facts(path, image) if image.library is None else library_facts(data, path, image, image.library)


def run(argv: list[str]) -> int:
    """Runs `uselib inspect`. Returns the exit status. Raises ToolError."""
    parser = argparse.ArgumentParser(
        prog="uselib inspect", description="Header, jump table, exports, libraries and bindings of a file."
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="target library, program, stub library, archive or object"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: one object on one line for each file")
    options = parser.parse_args(argv)
    for number, path in enumerate(options.files):
        facts = facts_of(path)
        if options.json:
            print(json.dumps(facts))
        else:
            text = ("\n" if number else "") + "\n".join(SHOW[facts["kind"]](facts))
            print(text.encode("utf-8", "backslashreplace").decode())  # names from damaged files
    return 0
