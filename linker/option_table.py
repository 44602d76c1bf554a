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
    "shape relocatable": "r relocatable i Ur",
    "eh_frame_hdr": "eh-frame-hdr",
    "no eh_frame_hdr": "no-eh-frame-hdr",
    "trace": "t trace",
    "allow_multiple_definition": "allow-multiple-definition",
    "warn_common": "warn-common",
    "no warn_common": "no-warn-common",
    "fatal_warnings": "fatal-warnings",
    "no fatal_warnings": "no-fatal-warnings",
    "warn_execstack": "warn-execstack",
    "no warn_execstack": "no-warn-execstack",
    "no_warnings": "w no-warnings",
    "no unresolved_are_errors": "warn-unresolved-symbols noinhibit-exec",
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
    "symbolic non-weak": "Bsymbolic-non-weak",
    "symbolic non-weak-functions": "Bsymbolic-non-weak-functions",
    "symbolic ": "Bno-symbolic",
    "default_symver": "default-symver",
    "no no_undefined_version": "undefined-version",
    "no_undefined_version": "no-undefined-version",
    "list data": "dynamic-list-data",
    "list new": "dynamic-list-cpp-new",
    "list typeinfo": "dynamic-list-cpp-typeinfo",
    "shlib_undefined": "allow-shlib-undefined",
    "no shlib_undefined": "no-allow-shlib-undefined",
    "copy_dt_needed": "copy-dt-needed-entries add-needed",
    "no copy_dt_needed": "no-copy-dt-needed-entries no-add-needed",
    "lib(": "start-lib",
    "lib)": "end-lib",
    "no relax": "no-relax",
    "relax": "relax",
    "no_undefined": "no-undefined",
    "old_dtags": "disable-new-dtags",
    "no old_dtags": "enable-new-dtags",
    "no_dynamic_linker": "no-dynamic-linker",
    "warn_textrel": "warn-textrel warn-shared-textrel",
    "gc_keep_exported": "gc-keep-exported",
    "print_format": "print-output-format",
    "print_sysroot": "print-sysroot",
}
_VALUES = {
    "output": "o output",
    "emulation": "m",
    "library_path": "L library-path Y",
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
    "export_symbol": "export-dynamic-symbol",
    "export_list": "export-dynamic-symbol-list",
    "init": "init",
    "fini": "fini",
    "audit": "audit",
    "depaudit": "depaudit P",
    "filter": "filter F",
    "auxiliary": "auxiliary f",
    "retained_file": "retain-symbols-file",
    "dependency_file": "dependency-file",
    "compress_debug": "compress-debug-sections",
    "package_metadata": "package-metadata",
    "oformat": "oformat",
    "rpath_link": "rpath-link",
    "exclude_libs": "exclude-libs",
    "plugin": "plugin",
    "plugin_word": "plugin-opt",
    "ignored_symbol": "ignore-unresolved-symbol",
    "spare_tags": "spare-dynamic-tags",
    "libraries_are": "a",
    "orphans": "orphan-handling",
}
# accepted, because compilers pass them, and there is nothing to do for them: they concern GNU ld's own memory and messages, linker scripts with
# MEMORY, other systems, or what is always so here
_IGNORED_FLAGS = (
    "cref nostdlib n nmagic g sort-common no-ld-generated-unwind-info ld-generated-unwind-info stats color-diagnostics no-color-diagnostics "
    "verbose no-omagic check-sections no-check-sections warn-once warn-rwx-segments no-warn-rwx-segments warn-section-align no-warn-mismatch "
    "no-warn-search-mismatch no-keep-memory reduce-memory-overheads threads no-threads flto flto-partition fuse-ld map-whole-files "
    "no-map-whole-files Qy EL enable-non-contiguous-regions enable-non-contiguous-regions-warnings strip-discarded no-strip-discarded "
    "accept-unknown-input-arch no-accept-unknown-input-arch force-exe-suffix traditional-format warn-constructors warn-multiple-gp "
    "warn-alternate-em print-memory-usage print-map-discarded no-print-map-discarded ctf-variables no-ctf-variables ctf-share-types"
).split()
_IGNORED_VALUES = "O G gpsize A architecture assert hash-size max-cache-size sort-section icf".split()
# what is not done: remedy -> names
_REFUSED_FLAGS = {
    "gdb makes the index: gdb-add-index PROGRAM, or `set index-cache enabled on`": "gdb-index",
    "i386 and x86-64 are little-endian": "EB",
    "section groups stay as they are with -r": "force-group-allocation",
    "relocation tables of embedded systems are not made": "embedded-relocs",
    "two definitions of a name are always an error; -z muldefs allows them": "disable-multiple-abs-defs",
    "versions are asked for where a shared object has them": "default-imported-symver",
    "`uselib ld --help` says what it links": "target-help",
}
_REFUSED_VALUES = {
    "inputs are ELF": "b format",
    "use -Ttext, -Tdata, --section-start, --image-base": "dT default-script Trodata-segment Tldata-segment",
    "write the options on the command line, or in a file named @FILE": "c mri-script",
    "only Windows has import libraries": "out-implib",
    "define the symbols with --defsym": "just-symbols",
    "the error messages say what to do": "error-handling-script",
    "link the objects one by one": "split-by-file split-by-reloc task-link",
    "VxWorks has it": "version-exports-section",
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

JOINED = frozenset("oLleumzTyRIhOGAfFPYabc")  # single letters whose value may follow without a space
OPTIONAL_VALUE = frozenset(
    (
        "threads color-diagnostics build-id sort-common demangle unresolved-symbols unique "
        "flto flto-partition fuse-ld ctf-share-types"
    ).split()
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
        "initfirst interpose loadfltr nodefaultlib nodelete nodlopen nodump origin global globalaudit nocopyreloc nosectionheader".split(),
        "",
    ),
    "dynamic-undefined-weak": "nodynamic-undefined-weak",
    "nodynamic-undefined-weak": "dynamic-undefined-weak",
    "pack-relative-relocs": "nopack-relative-relocs",
    "nopack-relative-relocs": "pack-relative-relocs",
    "ibt": "",
    "shstk": "",
    "lam-u48": "",
    "lam-u57": "",
    "unique": "nounique",
    "nounique": "unique",
    "ibtplt": "",
    **dict.fromkeys("x86-64-baseline x86-64-v2 x86-64-v3 x86-64-v4".split(), ""),
}

Z_REFUSED = {"noreloc-overflow": "a value that does not fit its field makes a wrong program"}
Z_IGNORED = frozenset(
    (
        "lam-u48-report lam-u57-report lam-report call-nop cet-report combreloc common force-ibt "
        "indirect-extern-access keep-text-section-prefix nocombreloc nocommon "
        "noextern-prot-data noextern-protected-data nognustack "
        "noindirect-extern-access nokeep-text-section-prefix noseparate-code "
        "nostart-stop-gc nounique-symbol report-relative-reloc rodynamic "
        "separate-code separate-loadable-segments start-stop-gc unique-symbol"
    ).split()
)
