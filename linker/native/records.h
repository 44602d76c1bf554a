/* Records of ELF files as the linker's native part reads them: fields of both classes in one order (formats/elf.py). Little-endian hosts. */
#ifndef USELIB_LINKER_RECORDS_H
#define USELIB_LINKER_RECORDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are copied as they are: without this part everything is done in Python"
#endif

enum { SHN_LORESERVE = 0xff00, SHN_ABS = 0xfff1 };
enum { STB_LOCAL = 0, STB_GLOBAL = 1, STB_WEAK = 2, STT_SECTION = 3, STT_FILE = 4, STT_TLS = 6, STT_GNU_IFUNC = 10 };

/* In place of a value that only the functions in Python can give. */
#define UNKNOWN INT64_MIN

typedef struct {
    uint64_t offset;
    int64_t addend; /* 0 for SHT_REL */
    uint32_t type, symbol;
} Relocation;

/* A relocation that is left to the dynamic linker: passes/dynamic_words.py. */
typedef struct {
    uint64_t offset;
    uint32_t type, symbol;
    int64_t addend;
} WordRow;

typedef struct {
    uint64_t value, size;
    uint32_t name;
    uint16_t section;
    uint8_t info, other;
} Symbol;

static inline uint64_t u64(const uint8_t *at) { uint64_t v; memcpy(&v, at, 8); return v; }
static inline uint32_t u32(const uint8_t *at) { uint32_t v; memcpy(&v, at, 4); return v; }
static inline uint16_t u16(const uint8_t *at) { uint16_t v; memcpy(&v, at, 2); return v; }

/* word: bytes of an address, 4 or 8. */
static inline Py_ssize_t relocation_size(int word, bool rela) { return (word == 8 ? 8 : 4) * (rela ? 3 : 2); }
static inline Py_ssize_t symbol_size(int word) { return word == 8 ? 24 : 16; }

static inline Relocation relocation_at(const uint8_t *at, int word, bool rela)
{
    if (word == 8) return (Relocation){u64(at), rela ? (int64_t)u64(at + 16) : 0, u32(at + 8), u32(at + 12)};
    uint32_t info = u32(at + 4);
    return (Relocation){u32(at), rela ? (int32_t)u32(at + 8) : 0, info & 0xff, info >> 8};
}

static inline Symbol symbol_at(const uint8_t *at, int word)
{
    if (word == 8) return (Symbol){u64(at + 8), u64(at + 16), u32(at), u16(at + 6), at[4], at[5]};
    return (Symbol){u32(at + 4), u32(at + 8), u32(at), u16(at + 14), at[12], at[13]};
}

static inline void put_symbol(uint8_t *out, int word, const Symbol *symbol)
{
    uint32_t value = (uint32_t)symbol->value, size = (uint32_t)symbol->size;
    uint8_t *behind = word == 8 ? out + 4 : out + 12;
    memcpy(out, &symbol->name, 4);
    behind[0] = symbol->info;
    behind[1] = symbol->other;
    memcpy(behind + 2, &symbol->section, 2);
    if (word == 8) {
        memcpy(out + 8, &symbol->value, 8);
        memcpy(out + 16, &symbol->size, 8);
    } else {
        memcpy(out + 4, &value, 4);
        memcpy(out + 8, &size, 4);
    }
}

static inline int64_t field_at(const uint8_t *at, int width)
{
    switch (width) {
    case 1: return (int8_t)*at;
    case 2: return (int16_t)u16(at);
    case 4: return (int32_t)u32(at);
    default: return (int64_t)u64(at);
    }
}

enum { CALL = 0xE8, JMP = 0xE9 };

/* Whether the field at this offset is the rel32 of `E8 call`, `E9 jmp` or `0F 80..8F jcc`: apply.is_branch. */
static inline bool is_branch(const uint8_t *content, uint64_t offset)
{
    if (offset < 1) return false;
    uint8_t opcode = content[offset - 1];
    return opcode == CALL || opcode == JMP || (opcode >= 0x80 && opcode < 0x90 && offset >= 2 && content[offset - 2] == 0x0F);
}

/* The functions of module.c's table. */
PyObject *native_odd(PyObject *self, PyObject *arguments);
PyObject *native_apply(PyObject *self, PyObject *arguments);
PyObject *native_export(PyObject *self, PyObject *arguments);
PyObject *native_branches(PyObject *self, PyObject *arguments);
PyObject *native_values(PyObject *self, PyObject *arguments);
PyObject *native_layout(PyObject *self, PyObject *arguments);
PyObject *native_take(PyObject *self, PyObject *arguments);
PyObject *native_symbol_table(PyObject *self, PyObject *arguments);
PyObject *native_symbol_flags(PyObject *self, PyObject *arguments);
PyObject *native_scan(PyObject *self, PyObject *arguments);
PyObject *native_place(PyObject *self, PyObject *arguments);
PyObject *native_sorted_rows(PyObject *self, PyObject *arguments);
PyObject *native_hash_order(PyObject *self, PyObject *arguments);
PyObject *native_gnu_hash(PyObject *self, PyObject *arguments);
PyObject *native_sysv_hash(PyObject *self, PyObject *arguments);
PyObject *native_dynamic_symbols(PyObject *self, PyObject *arguments);

#endif
