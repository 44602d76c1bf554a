"""GNU ld's options: their names, whether a value follows, and what each one does (options.py)."""

from __future__ import annotations

# Kinds of option: what follows the name, and what it does.
FLAG, VALUE, IGNORED, IGNORED_VALUE, REFUSED, REFUSED_VALUE = range(6)

# Names of options, by what they do; several names in a row mean the same.
_FLAGS = {
    "print_map": "M print-map",
    "gc_sections": "gc-sections",
    "no gc_sections": "no-gc-sections",
    "print_gc_sections": "print-gc-sections",
    "no print_gc_sections": "no-print-gc-sections",
    "strip_all": "s strip-all",
    "strip_debug": "S strip-debug",
    "discard_locals": "x discard-all",
    "eh_frame_hdr": "eh-frame-hdr",
    "no eh_frame_hdr": "no-eh-frame-hdr",
    "trace": "t trace",
    "allow_multiple_definition": "allow-multiple-definition",
    "warn_common": "warn-common",
    "no warn_common": "no-warn-common",
    "fatal_warnings": "fatal-warnings",
    "no fatal_warnings": "no-fatal-warnings",
    "no_warnings": "w no-warnings",
    "no unresolved_are_errors": "warn-unresolved-symbols",
    "unresolved_are_errors": "error-unresolved-symbols",
    "help": "help",
    "version": "version v V",
    "(": "start-group (",
    ")": "end-group )",
    "whole": "whole-archive",
    "no whole": "no-whole-archive",
    "push": "push-state",
    "pop": "pop-state",
    "build_id": "build-id",
    "unique": "unique",
    "demangle": "demangle",
    "no demangle": "no-demangle",
    "magic omagic": "N omagic",
    "magic qmagic": "qmagic",
}
_VALUES = {
    "output": "o output",
    "emulation": "m",
    "library_path": "L library-path",
    "library": "l library",
    "entry": "e entry",
    "undefined": "u undefined",
    "require_defined": "require-defined",
    "script": "T script",
    "start-text": "Ttext",
    "start-data": "Tdata",
    "start-bss": "Tbss",
    "section_start": "section-start",
    "base": "Ttext-segment image-base",
    "defsym": "defsym",
    "wrap": "wrap",
    "map_file": "Map",
    "keyword": "z",
    "sysroot": "sysroot",
    "scheme": "scheme",
    "rpath": "rpath R",
    "version_rule": "version-rule",
    "trace_symbol": "y trace-symbol",
    "unresolved": "unresolved-symbols",
    "interpreter": "dynamic-linker I",
    "error_limit": "error-limit",
}
# accepted, because compilers pass them and a static link has nothing to do for them
_IGNORED_FLAGS = (
    "cref X discard-locals discard-none noinhibit-exec no-undefined static Bstatic dn non_shared Bdynamic dy "
    "call_shared nostdlib as-needed no-as-needed add-needed no-add-needed copy-dt-needed-entries "
    "no-copy-dt-needed-entries no-dynamic-linker no-pie export-dynamic E no-export-dynamic Bsymbolic "
    "Bsymbolic-functions relax no-relax n nmagic g d dc dp define-common no-define-common sort-common "
    "no-ld-generated-unwind-info ld-generated-unwind-info stats color-diagnostics "
    "no-color-diagnostics verbose no-omagic enable-new-dtags disable-new-dtags check-sections no-check-sections warn-once warn-execstack "
    "no-warn-execstack warn-rwx-segments no-warn-rwx-segments warn-section-align no-warn-mismatch "
    "no-warn-search-mismatch no-keep-memory reduce-memory-overheads threads no-threads no-allow-shlib-undefined "
    "allow-shlib-undefined"
).split()
_IGNORED_VALUES = (
    "rpath-link hash-style plugin plugin-opt O G A soname h sort-section version-script dynamic-list exclude-libs "
    "dependency-file icf"
).split()
# asking for another kind of output: remedy -> names
_REFUSED_FLAGS = {
    "use `uselib mkshlib` for a fixed-address shared library": "shared Bshareable",
    "link with -no-pie (and compile with -fno-pie)": "pie pic-executable",
    "link with -static -no-pie": "static-pie",
    "give the object files themselves to the final link": "r relocatable i",
    "the output has no relocations": "emit-relocs q",
}
_REFUSED_VALUES = {
    "the output is ELF": "oformat",
    "inputs are ELF": "b format",
}


def _rows(kind: int, table: dict[str, str]) -> dict[str, tuple[int, str]]:
    return {name: (kind, key) for key, names in table.items() for name in names.split()}


# name -> (kind, key). For REFUSED the key is the remedy.
TABLE: dict[str, tuple[int, str]] = {
    **_rows(FLAG, _FLAGS),
    **_rows(VALUE, _VALUES),
    **_rows(REFUSED, _REFUSED_FLAGS),
    **_rows(REFUSED_VALUE, _REFUSED_VALUES),
    **dict.fromkeys(_IGNORED_FLAGS, (IGNORED, "")),
    **dict.fromkeys(_IGNORED_VALUES, (IGNORED_VALUE, "")),
}

JOINED = frozenset("oLleumzTyRIhOGA")  # single letters whose value may follow without a space
OPTIONAL_VALUE = frozenset(
    ("threads", "color-diagnostics", "build-id", "sort-common", "demangle", "unresolved-symbols", "unique")
)

Z_IGNORED = frozenset(
    (
        "call-nop cet-report combreloc common defs dynamic-undefined-weak force-ibt global ibt ibtplt "
        "indirect-extern-access initfirst interpose keep-text-section-prefix lazy loadfltr nocombreloc nocommon nodelete "
        "nodlopen nodump nodynamic-undefined-weak noextern-prot-data noextern-protected-data nognustack "
        "noindirect-extern-access nokeep-text-section-prefix nopack-relative-relocs norelro noseparate-code "
        "nostart-stop-gc notext nounique-symbol now origin pack-relative-relocs relro report-relative-reloc rodynamic "
        "separate-code separate-loadable-segments shstk start-stop-gc text textoff undefs unique-symbol"
    ).split()
)
