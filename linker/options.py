"""What a link is asked to do: one immutable `Options`. From GNU ld's command line it comes by command_line.py."""

from __future__ import annotations

import os

from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass, field


@dataclass(frozen=True)
class InputArgument:
    """A file, or (library) a -l name, in command-line order."""

    name: str
    library: bool = False
    whole: bool = False
    dynamic: bool = True  # whether a -l name may be a shared object (-Bdynamic)
    as_needed: bool = False  # whether a shared object is left out of DT_NEEDED where nothing refers to it
    lazy: bool = (
        False  # --start-lib: an object is taken where it defines something undefined, as a member of an archive
    )


@dataclass(frozen=True)
class InputGroup:
    """--start-group ... --end-group: searched again and again until nothing new is taken."""

    members: tuple[InputArgument, ...]


@dataclass(frozen=True)
class PluginOptions:
    """-plugin FILE, with the -plugin-opt words behind it."""

    path: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """What to link and how. Addresses are None where the machine's default holds."""

    inputs: tuple[InputArgument | InputGroup, ...] = ()
    output: str = "a.out"
    machine: Machine | None = None  # None: that of the first object
    format: str = "elf"  # of the output: elf, aout, coff, textbook
    magic: str = ""  # a.out: omagic (-N), qmagic; "": ZMAGIC
    library_paths: tuple[str, ...] = ()
    sysroot: str = ""
    entry: str = "_start"
    base: int | None = None  # --image-base, -Ttext-segment
    section_starts: tuple[tuple[str, int], ...] = ()  # -Ttext, -Tdata, -Tbss, --section-start
    undefined: tuple[str, ...] = ()  # -u
    require_defined: tuple[str, ...] = ()
    defsym: tuple[tuple[str, str], ...] = ()
    wrap: tuple[str, ...] = ()
    gc_sections: bool = False
    print_gc_sections: bool = False
    strip_all: bool = False
    strip_debug: bool = False
    discard_locals: bool = False  # -x
    discard_labels: bool = False  # -X, which changes something with -r only
    define_common: bool = False  # -d, which changes something with -r only
    emit_relocs: bool = False
    relax: bool = True
    retained_file: str = ""  # --retain-symbols-file
    dependency_file: str = ""
    compress_debug: str = ""  # zlib or zstd
    package_metadata: str = ""
    oformat: str = ""  # "binary", or empty: ELF
    eh_frame_hdr: bool = False
    unique: tuple[str, ...] = ()  # patterns of --unique; "": sections that the layout does not know by name
    demangle: bool = True
    error_limit: int = 20  # errors of one kind that are shown; 0: all
    build_id: str = ""  # "", "sha1", "md5", or hexadecimal digits
    map_file: str = ""
    print_map: bool = False
    trace: bool = False
    scheme: str = ""  # "" or one of SCHEMES
    interpreter: str = ""  # --dynamic-linker, which only scheme interp looks at
    rpath: tuple[str, ...] = ()
    version_rule: str = ""  # a name of uselib.linker.versions.RULES, or empty: none is recorded
    executable_stack: bool | None = None  # -z execstack, -z noexecstack
    warn_execstack: bool = True
    stack_size: int = 0
    max_page_size: int = 0x1000
    allow_multiple_definition: bool = False
    warn_common: bool = False
    fatal_warnings: bool = False
    no_warnings: bool = False
    unresolved: str = "report-all"  # --unresolved-symbols
    unresolved_are_errors: bool = True
    ignored_symbols: tuple[str, ...] = ()  # --ignore-unresolved-symbol: undefined ones that are no errors
    warn_textrel: bool = False  # text relocations are made, with a warning
    gc_keep_exported: bool = False  # symbols that others may see are roots of --gc-sections
    spare_tags: int = 0  # empty entries of .dynamic, for tools that add some
    print_format: bool = False
    print_sysroot: bool = False
    help: bool = False
    version: bool = False
    trace_symbols: tuple[str, ...] = field(default=())
    shape: str = ""  # "shared", "pie", "relocatable" (-r), or empty: a program at fixed addresses
    soname: str = ""
    hash_style: str = "both"  # sysv, gnu, both
    export_dynamic: bool = False  # -E
    symbolic: str = ""  # -Bsymbolic: all; -Bsymbolic-X: X
    version_scripts: tuple[str, ...] = ()
    no_undefined_version: bool = False  # a version script may only name what is defined
    default_symver: bool = False  # exports have the SONAME as their version
    dynamic_lists: tuple[str, ...] = ()
    list_kinds: tuple[str, ...] = ()  # --dynamic-list-data: data; --dynamic-list-cpp-new: new; -typeinfo: typeinfo
    export_symbols: tuple[str, ...] = ()  # --export-dynamic-symbol: patterns
    export_lists: tuple[str, ...] = ()  # --export-dynamic-symbol-list: files
    exclude_libs: tuple[str, ...] = ()
    no_undefined: bool = False  # also in shared objects
    shlib_undefined: bool | None = (
        None  # whether shared objects may refer to what nobody defines; None: not in programs
    )
    copy_dt_needed: bool = False  # what the shared objects need counts as if it were on the command line
    rpath_link: tuple[str, ...] = ()  # where what they need is looked for, at link time only
    init: str = "_init"
    fini: str = "_fini"
    audit: tuple[str, ...] = ()
    depaudit: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    old_dtags: bool = False  # DT_RPATH in place of DT_RUNPATH
    no_dynamic_linker: bool = False
    plugins: tuple[PluginOptions, ...] = ()
    start_stop_visibility: str = "protected"  # of __start_X and __stop_X
    keywords: frozenset[str] = frozenset()  # of -z, those that the dynamic linker is told of; also norelro, notext

    @property
    def default_version(self) -> str:
        """--default-symver: the version of what the output exports without one; else empty."""
        return (self.soname or os.path.basename(self.output)) if self.default_symver else ""

    def arguments(self) -> list[InputArgument]:
        """The inputs, those of groups among them."""
        groups = [item.members if isinstance(item, InputGroup) else (item,) for item in self.inputs]
        return [argument for members in groups for argument in members]


EMULATIONS = {
    "elf_i386": Machine.I386,
    "elf_x86_64": Machine.X86_64,
    "i386linux": Machine.I386,
    "i386coff": Machine.I386,
    "textbook": Machine.I386,
}
FORMATS = {"i386linux": "aout", "i386coff": "coff", "textbook": "textbook"}  # of the output; the others make ELF

# Who maps a program's libraries, and when (docs/formats.md, start-up contract); all but the first link with stub libraries.
SCHEMES = ("static", "uselib", "mmap", "kernel", "bsdos", "interp")
