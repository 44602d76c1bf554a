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
    "discard_labels": "X discard-locals",
    "no discard_labels": "discard-none",
    "define_common": "d dc dp define-common",
    "no define_common": "no-define-common",
    "emit_relocs": "emit-relocs q",
    "shape relocatable": "r relocatable i",
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
    "dynamic": "Bdynamic dy call_shared",
    "no dynamic": "static Bstatic dn non_shared",
    "as_needed": "as-needed",
    "no as_needed": "no-as-needed",
    "shape shared": "shared Bshareable",
    "shape pie": "pie pic-executable static-pie",
    "shape ": "no-pie",
    "export_dynamic": "export-dynamic E",
    "no export_dynamic": "no-export-dynamic",
    "symbolic all": "Bsymbolic",
    "symbolic functions": "Bsymbolic-functions",
    "no_undefined": "no-undefined",
    "old_dtags": "disable-new-dtags",
    "no old_dtags": "enable-new-dtags",
    "no_dynamic_linker": "no-dynamic-linker",
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
    "soname": "soname h",
    "hash_style": "hash-style",
    "version_script": "version-script",
    "dynamic_list": "dynamic-list",
    "exclude_libs": "exclude-libs",
}
# accepted, because compilers pass them and there is nothing to do for them
_IGNORED_FLAGS = (
    "cref noinhibit-exec nostdlib add-needed no-add-needed copy-dt-needed-entries "
    "no-copy-dt-needed-entries relax no-relax n nmagic g sort-common "
    "no-ld-generated-unwind-info ld-generated-unwind-info stats color-diagnostics "
    "no-color-diagnostics verbose no-omagic check-sections no-check-sections warn-once warn-execstack "
    "no-warn-execstack warn-rwx-segments no-warn-rwx-segments warn-section-align no-warn-mismatch "
    "no-warn-search-mismatch no-keep-memory reduce-memory-overheads threads no-threads no-allow-shlib-undefined "
    "allow-shlib-undefined"
).split()
_IGNORED_VALUES = ("rpath-link plugin plugin-opt O G A sort-section dependency-file icf").split()
# asking for another kind of output: remedy -> names
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
    **_rows(REFUSED_VALUE, _REFUSED_VALUES),
    **dict.fromkeys(_IGNORED_FLAGS, (IGNORED, "")),
    **dict.fromkeys(_IGNORED_VALUES, (IGNORED_VALUE, "")),
}

JOINED = frozenset("oLleumzTyRIhOGA")  # single letters whose value may follow without a space
OPTIONAL_VALUE = frozenset(
    ("threads", "color-diagnostics", "build-id", "sort-common", "demangle", "unresolved-symbols", "unique")
)

# -z: what is kept of them for the output, and the keyword that each takes back
Z_KEPT = {
    "now": "lazy",
    "lazy": "now",
    "relro": "norelro",
    "norelro": "relro",
    "text": "notext",
    "notext": "text",
    "textoff": "text",
    **dict.fromkeys(
        "initfirst interpose loadfltr nodefaultlib nodelete nodlopen nodump origin global nocopyreloc".split(), ""
    ),
}

Z_IGNORED = frozenset(
    (
        "call-nop cet-report combreloc common dynamic-undefined-weak force-ibt ibt ibtplt "
        "indirect-extern-access keep-text-section-prefix nocombreloc nocommon "
        " nodynamic-undefined-weak noextern-prot-data noextern-protected-data nognustack "
        "noindirect-extern-access nokeep-text-section-prefix nopack-relative-relocs noseparate-code "
        "nostart-stop-gc nounique-symbol pack-relative-relocs report-relative-reloc rodynamic "
        "separate-code separate-loadable-segments shstk start-stop-gc unique-symbol"
    ).split()
)
