"""uselib: fixed-address shared libraries linked, loaded, emulated, traced and checked. This module is the Python API.

`docs/python-api.md` describes every name with examples. A name is imported when it is first used, so `import uselib` costs
nothing and a command waits only for what it needs. The packages behind it: `uselib.linker`, `uselib.loader`, `uselib.runtime`,
`uselib.emulator`, `uselib.abi` and `uselib.commands` (ARCHITECTURE.md); they are not part of the API.
"""

import importlib as _importlib

TYPE_CHECKING = False  # `typing` takes 3 ms to import; type checkers take this name for true
if TYPE_CHECKING:
    from uselib.abi.dynamic.run.result import AbiRequest, AbiResult, Divergence
    from uselib.abi.dynamic.run.run import compare_runs
    from uselib.abi.static.model.findings import Finding, ProgramReport, Report, Severity, Verdict
    from uselib.api import LinkedProgram, MadeLibrary, check, link, make_library
    from uselib.emulator.api.errors import GuestExited, GuestFault, ProgramOver, SymbolError
    from uselib.emulator.api.guest import Breakpoint, Replacement, Stop
    from uselib.emulator.api.library import Buffer, Library
    from uselib.emulator.api.program import Exit, Program
    from uselib.linker.errors import Diagnostic, FormatError, LinkError, ToolError, UsageError
    from uselib.linker.image import Export
    from uselib.loader.memory.access import MemoryFault

    __version__: str
del TYPE_CHECKING

__all__ = [
    "AbiRequest",
    "AbiResult",
    "Breakpoint",
    "Buffer",
    "Diagnostic",
    "Divergence",
    "Exit",
    "Export",
    "Finding",
    "FormatError",
    "GuestExited",
    "GuestFault",
    "Library",
    "LinkError",
    "LinkedProgram",
    "MadeLibrary",
    "MemoryFault",
    "Program",
    "ProgramOver",
    "ProgramReport",
    "Replacement",
    "Report",
    "Severity",
    "Stop",
    "SymbolError",
    "ToolError",
    "UsageError",
    "Verdict",
    "check",
    "compare_runs",
    "link",
    "make_library",
]

_MODULES = {
    "uselib.abi.dynamic.run.result": "AbiRequest AbiResult Divergence",
    "uselib.abi.dynamic.run.run": "compare_runs",
    "uselib.abi.static.model.findings": "Finding ProgramReport Report Severity Verdict",
    "uselib.api": "LinkedProgram MadeLibrary check link make_library",
    "uselib.emulator.api.errors": "GuestExited GuestFault ProgramOver SymbolError",
    "uselib.emulator.api.guest": "Breakpoint Replacement Stop",
    "uselib.emulator.api.library": "Buffer Library",
    "uselib.emulator.api.program": "Exit Program",
    "uselib.linker.errors": "Diagnostic FormatError LinkError ToolError UsageError",
    "uselib.linker.image": "Export",
    "uselib.loader.memory.access": "MemoryFault",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from uselib.linker.package_version import VERSION

        return VERSION
    for module, names in _MODULES.items():
        if name in names.split():
            value: object = getattr(_importlib.import_module(module), name)
            globals()[name] = value  # the next use does not come here
            return value
    raise AttributeError(f"module `uselib` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__")), "__version__"])
