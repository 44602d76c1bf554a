"""The numbers of the DWARF standard (versions 2 to 5) that the readers use, and a few of GNU's and LLVM's own."""

from __future__ import annotations

# DW_TAG_*
ARRAY_TYPE, CLASS_TYPE, ENTRY_POINT, ENUMERATION_TYPE, FORMAL_PARAMETER = 0x01, 0x02, 0x03, 0x04, 0x05
MEMBER, POINTER_TYPE, REFERENCE_TYPE, COMPILE_UNIT, STRING_TYPE = 0x0D, 0x0F, 0x10, 0x11, 0x12
STRUCTURE_TYPE, SUBROUTINE_TYPE, TYPEDEF, UNION_TYPE, UNSPECIFIED_PARAMETERS = 0x13, 0x15, 0x16, 0x17, 0x18
INHERITANCE, PTR_TO_MEMBER_TYPE, SUBRANGE_TYPE, BASE_TYPE, CONST_TYPE = 0x1C, 0x1F, 0x21, 0x24, 0x26
ENUMERATOR, PACKED_TYPE, SUBPROGRAM, VARIABLE, VOLATILE_TYPE = 0x28, 0x2D, 0x2E, 0x34, 0x35
RESTRICT_TYPE, INTERFACE_TYPE, NAMESPACE, UNSPECIFIED_TYPE, PARTIAL_UNIT = 0x37, 0x38, 0x39, 0x3B, 0x3C
SHARED_TYPE, TYPE_UNIT, RVALUE_REFERENCE_TYPE, TEMPLATE_ALIAS = 0x40, 0x41, 0x42, 0x43
ATOMIC_TYPE, SKELETON_UNIT, IMMUTABLE_TYPE = 0x47, 0x4A, 0x4B

# DW_AT_*
SIBLING, LOCATION, NAME, BYTE_SIZE, BIT_OFFSET, BIT_SIZE = 0x01, 0x02, 0x03, 0x0B, 0x0C, 0x0D
STMT_LIST, LOW_PC, HIGH_PC, LANGUAGE, COMP_DIR, CONST_VALUE = 0x10, 0x11, 0x12, 0x13, 0x1B, 0x1C
INLINE, PRODUCER, PROTOTYPED, UPPER_BOUND, ABSTRACT_ORIGIN, ARTIFICIAL = 0x20, 0x25, 0x27, 0x2F, 0x31, 0x34
CALLING_CONVENTION, COUNT, DATA_MEMBER_LOCATION, DECL_FILE, DECL_LINE, DECLARATION = 0x36, 0x37, 0x38, 0x3A, 0x3B, 0x3C
ENCODING, EXTERNAL, FRAME_BASE, SPECIFICATION, TYPE, VIRTUALITY, RANGES = 0x3E, 0x3F, 0x40, 0x47, 0x49, 0x4C, 0x55
SIGNATURE, DATA_BIT_OFFSET, LINKAGE_NAME, STR_OFFSETS_BASE, ADDR_BASE, DWO_NAME = 0x69, 0x6B, 0x6E, 0x72, 0x73, 0x76
NORETURN, ALIGNMENT, EXPORT_SYMBOLS = 0x87, 0x88, 0x89
MIPS_LINKAGE_NAME, GNU_VECTOR, GNU_DWO_NAME, GNU_ADDR_BASE = 0x2007, 0x2107, 0x2130, 0x2133

# DW_FORM_*
F_ADDR, F_BLOCK2, F_BLOCK4, F_DATA2, F_DATA4, F_DATA8, F_STRING, F_BLOCK, F_BLOCK1 = 1, 3, 4, 5, 6, 7, 8, 9, 10
F_DATA1, F_FLAG, F_SDATA, F_STRP, F_UDATA, F_REF_ADDR, F_REF1, F_REF2, F_REF4, F_REF8 = range(0x0B, 0x15)
F_REF_UDATA, F_INDIRECT, F_SEC_OFFSET, F_EXPRLOC, F_FLAG_PRESENT, F_STRX, F_ADDRX, F_REF_SUP4 = range(0x15, 0x1D)
F_STRP_SUP, F_DATA16, F_LINE_STRP, F_REF_SIG8, F_IMPLICIT_CONST, F_LOCLISTX, F_RNGLISTX, F_REF_SUP8 = range(0x1D, 0x25)
F_STRX1, F_STRX2, F_STRX3, F_STRX4, F_ADDRX1, F_ADDRX2, F_ADDRX3, F_ADDRX4 = range(0x25, 0x2D)
F_GNU_ADDR_INDEX, F_GNU_STR_INDEX, F_GNU_REF_ALT, F_GNU_STRP_ALT = 0x1F01, 0x1F02, 0x1F20, 0x1F21

# DW_UT_*
UT_COMPILE, UT_TYPE, UT_PARTIAL, UT_SKELETON, UT_SPLIT_COMPILE, UT_SPLIT_TYPE = range(1, 7)

# DW_LANG_*: of C++, and of assemblers, whose subprograms have no types
CPLUSPLUS = frozenset((0x04, 0x1A, 0x21, 0x2B, 0x3A))
ASSEMBLERS = frozenset((0x8001, 0x8765))  # DW_LANG_Mips_Assembler; 0x8765 is what old GNU as wrote

# DW_ATE_* -> (encoding of types.Base, signed)
ENCODINGS = {
    0x01: ("other", False),  # address
    0x02: ("bool", False),
    0x03: ("complex", True),
    0x04: ("float", True),
    0x05: ("signed", True),
    0x06: ("char", True),
    0x07: ("unsigned", False),
    0x08: ("char", False),
    0x09: ("float", True),  # imaginary
    0x0F: ("float", True),  # decimal
    0x10: ("char", False),  # UTF
}

# DW_CC_* -> FunctionType.convention; those of values 1 to 5 are the machine's own
CONVENTIONS = {
    0x41: "fastcall (GNU, Borland)",  # DW_CC_GNU_borland_fastcall_i386
    0xB0: "safecall",
    0xB1: "stdcall",
    0xB2: "pascal",
    0xB3: "fastcall",  # DW_CC_BORLAND_msfastcall
    0xB4: "msreturn",
    0xB5: "thiscall",
    0xB6: "fastcall (Borland)",
    0xC0: "vectorcall",
    0xC1: "ms",  # DW_CC_LLVM_Win64
    0xC2: "sysv",
    0xC8: "swift",
    0xC9: "preserve_most",
    0xCA: "preserve_all",
    0xCB: "regcall",
}


def numbers(names: str) -> frozenset[int]:
    """The numbers of names of this module, with white space between them."""
    return frozenset(globals()[name] for name in names.split())
