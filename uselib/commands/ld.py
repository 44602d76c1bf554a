"""`uselib ld`: links objects, archives and stub libraries into an executable. Options are GNU ld's."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.linker.command_line import parse
from uselib.linker.errors import Diagnostic, LinkError, limited
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.linker.passes.resolution import Resolution

USAGE = """Usage: uselib ld [OPTIONS] FILES -o OUTPUT

Links ELF objects and archives of i386 or x86-64, shared objects and stub libraries, into a program or a shared object. Options are
those of GNU ld:
  -o FILE -e SYMBOL -L DIR -l NAME -u SYMBOL -m elf_i386|elf_x86_64 --defsym S=EXPR --wrap S -Map FILE -M -t -s -S -x
  --start-group --end-group --whole-archive --no-whole-archive --push-state --pop-state --gc-sections --print-gc-sections
  --image-base A -Ttext-segment A -Ttext A -Tdata A -Tbss A --section-start S=A --build-id[=STYLE] --eh-frame-hdr
  -static -shared -pie -Bstatic -Bdynamic --as-needed -soname NAME -rpath DIR --version-script FILE --dynamic-list FILE -E
  -Bsymbolic[-functions] --exclude-libs L --hash-style=S --dynamic-linker FILE --enable-new-dtags -z now|defs|notext|norelro|...
  -z execstack|muldefs|stack-size=N|max-page-size=N|... --warn-common --unresolved-symbols=M --sysroot DIR --unique[=PATTERN]
  --error-limit=N (messages of a kind; default 20, 0: all) --no-demangle @FILE
  -m i386linux makes an a.out program of a.out objects and stub archives (lib*.sa): ZMAGIC, with -N OMAGIC, --qmagic QMAGIC
  -m textbook makes a program in the textbook's own format (LINK)
  -m i386coff makes a COFF program of System V Release 3 of COFF or ELF objects and host libraries
and of our own:
  --scheme S                    static, uselib, mmap, kernel, bsdos, interp; with all but static, -l NAME looks for libNAME_s.a
                                before libNAME.a; with interp, PT_INTERP names the shared C library (or -dynamic-linker FILE)
  -rpath DIR                    where the program looks for its shared libraries (colon-separated; may be repeated)
  --version-rule RULE           which version of a library it takes there: default, exact, sun, exact-minor, linux"""


_FORMATS = {Machine.X86_64: "elf64-x86-64", Machine.I386: "elf32-i386"}


def run(arguments: list[str]) -> int:
    """Returns the exit status. Raises ToolError."""
    options = parse(arguments)
    if options.help:
        print(USAGE)
        return 0
    if options.version and not options.inputs:
        from uselib.linker.package_version import VERSION

        print(f"uselib ld {VERSION} (compatible with GNU ld)")
        return 0
    if options.print_sysroot or options.print_format:
        print(options.sysroot if options.print_sysroot else _FORMATS[options.machine or Machine.X86_64])
        return 0
    from uselib.linker.link import LinkJob, link, show_warnings
    from uselib.linker.outputs.formats import kind_of
    from uselib.linker.writing import write_atomically

    try:
        result = link(LinkJob(options, kind_of(options)))
    except LinkError as failure:
        raise LinkError(*shown(failure.diagnostics, options)) from None
    for line in [*result.resolution.traced, *traced_symbols(result.resolution, options.trace_symbols)]:
        print(line)
    if result.warnings and not options.no_warnings:
        show_warnings(shown(result.warnings, options))
        if options.fatal_warnings:
            return 1
    if options.print_gc_sections:
        from uselib.linker.passes.mapfile import discarded_lines

        print(discarded_lines(result))
    write_atomically(options.output, result.image)
    if options.dependency_file:
        read = [*result.resolution.read, *options.version_scripts, *options.dynamic_lists]
        write_atomically(
            options.dependency_file, dependencies(options.output, read).encode("utf-8", "surrogateescape"), 0o666
        )
    if options.map_file or options.print_map:
        from uselib.linker.passes.mapfile import write_map

        write_map(result, options)
    return 0


def shown(diagnostics: Sequence[Diagnostic], options: Options) -> list[Diagnostic]:
    """The diagnostics as ld prints them: at most --error-limit of a kind, names of C++ and Rust as the source has them."""
    chosen = limited(diagnostics, options.error_limit)
    if not options.demangle:
        return chosen
    from uselib.linker.demangling import demangled  # only for messages

    return demangled(chosen)


def dependencies(output: str, read: Sequence[str]) -> str:
    """--dependency-file: a rule for make, and an empty one for each file, so that make goes on when one is gone."""
    names = [name.replace("$", "$$").replace(" ", "\\ ").replace("#", "\\#") for name in dict.fromkeys(read)]
    rule = " \\\n  ".join([f"{output}:", *names])
    return "".join([rule, "\n", *(f"\n{name}:\n" for name in names)])


def traced_symbols(resolution: Resolution, names: tuple[str, ...]) -> list[str]:
    """-y NAME: the files that define or refer to a symbol."""
    return [
        f"{file.where}: {'definition of' if symbol.file is file else 'reference to'} {symbol.name}"
        for file in resolution.files
        for symbol in file.globals
        if symbol.name in names
    ]
