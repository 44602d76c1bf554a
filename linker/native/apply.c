/* Applies the relocations of a section (passes/apply.py has the same in Python): the linear ones, and GOT accesses with their relaxations
 * (x86_64.py, i386.py). The others, and those with errors, are left to Python, in the order of the file. */
#include "places.h"

/* A row for each relocation type below 256: native_relocations.py packs it. width 0: not linear. */
typedef struct {
    int8_t width, s, p, g, branch, branch_like, other, checked;
    int64_t low, high;
} Kind;

/* Kind.other: what a type does that is not linear. GOT_X: GOTPCRELX, REX_GOTPCRELX and GOT32X, which become direct if they can;
 * GOT_X_DYNAMIC: if the symbol has no GOT entry. */
enum { NOTHING = 1, GOT_X86_64, GOT_X_X86_64, GOT_X_DYNAMIC_X86_64, GOT_I386, GOT_X_I386, GOT_X_DYNAMIC_I386 };

enum { TYPES = 256, NOT_RELAXED = 0, LEA, INDIRECT_CALL, INDIRECT_JMP, ANOTHER };

typedef enum { FAILED = -1, LEFT, APPLIED } Result;

typedef struct {
    const Layout *layout;
    Py_buffer out, content, records, kinds, references, branches, table;
    unsigned long long at, address, size, got;
    int word, rela, code, tombstone;
    PyObject *sections, *globals, *got_entries, *file_key;
    Py_ssize_t first;
    uint16_t section; /* whose pieces these are */
    Pieces pieces;
} Section;

static inline uint8_t *field_of(const Section *s, const Relocation *r) { return (uint8_t *)s->out.buf + s->at + r->offset; }

/* S and A of a local symbol without an address: Applying.cut. */
static Result cut(Section *s, const Relocation *r, int64_t *value, int64_t *addend)
{
    if (r->symbol >= (uint64_t)s->first || r->symbol >= (uint64_t)(s->table.len / symbol_size(s->word))) return LEFT;
    Symbol symbol = symbol_at((const uint8_t *)s->table.buf + r->symbol * symbol_size(s->word), s->word);
    if (!symbol.section || symbol.section >= SHN_LORESERVE || symbol.section >= PyList_GET_SIZE(s->sections)) return LEFT;
    if (symbol.section != s->section) {
        s->section = 0;
        if (!pieces_of(PyList_GET_ITEM(s->sections, symbol.section), &s->pieces)) return FAILED;
        s->section = symbol.section;
    }
    if (!s->pieces.live) { /* discarded */
        *value = s->tombstone;
        *addend = 0;
        return s->tombstone < 0 ? LEFT : APPLIED;
    }
    if (s->pieces.all == Py_None) return LEFT;
    bool moves = (symbol.info & 15) == STT_SECTION;
    uint64_t found;
    if (!address_of_piece(&s->pieces, (int64_t)(symbol.value + (moves ? (uint64_t)*addend : 0)), &found)) return FAILED;
    *value = (int64_t)found;
    if (moves) *addend = 0;
    return APPLIED;
}

/* The address of the symbol's GOT entry. LEFT: it has none. */
static Result got_entry(const Section *s, uint32_t index, int64_t *out)
{
    if (!PyDict_GET_SIZE(s->got_entries)) return LEFT;
    PyObject *key = NULL, *entry;
    if (index >= (uint64_t)s->first) {
        Py_ssize_t at = (Py_ssize_t)index - s->first;
        if (at >= PyList_GET_SIZE(s->globals)) return LEFT;
        key = Py_NewRef(PyList_GET_ITEM(s->globals, at));
    } else if (!(key = Py_BuildValue("OI", s->file_key, index))) {
        return FAILED;
    }
    entry = PyDict_GetItemWithError(s->got_entries, key);
    Py_DECREF(key);
    if (!entry) return PyErr_Occurred() ? FAILED : LEFT;
    *out = PyLong_AsLongLong(entry);
    return *out == -1 && PyErr_Occurred() ? FAILED : APPLIED;
}

/* Whether the symbol is a place in the output, or 0 to 2**31: to others a relaxed form may not reach, or is another instruction. */
static Result has_place(const Section *s, uint32_t index)
{
    if (index < (uint64_t)s->first) {
        if (index >= (uint64_t)(s->table.len / symbol_size(s->word))) return LEFT;
        return symbol_at((const uint8_t *)s->table.buf + index * symbol_size(s->word), s->word).section != SHN_ABS ? APPLIED : LEFT;
    }
    Py_ssize_t at = (Py_ssize_t)index - s->first;
    if (at >= PyList_GET_SIZE(s->globals)) return LEFT;
    PyObject *symbol = PyList_GET_ITEM(s->globals, at);
    if (!is_symbol(s->layout, symbol)) return FAILED;
    return *slot(s->layout, symbol, SECTION) != Py_None || *slot(s->layout, symbol, PROVIDED) == Py_True ? APPLIED : LEFT;
}

static int relaxed_x86_64(const Section *s, const Relocation *r)
{
    const uint8_t *content = s->content.buf;
    if (!s->rela || r->addend != -4 || r->offset < 2 || r->offset > (uint64_t)s->content.len) return NOT_RELAXED;
    uint8_t opcode = content[r->offset - 2], operand = content[r->offset - 1];
    if (opcode == 0xFF) return operand == 0x15 ? INDIRECT_CALL : operand == 0x25 ? INDIRECT_JMP : NOT_RELAXED;
    return opcode == 0x8B && (operand & 0xC7) == 5 ? LEA : NOT_RELAXED;
}

static int relaxed_i386(const Section *s, const Relocation *r)
{
    const uint8_t *content = s->content.buf;
    if (s->rela || r->offset < 2 || s->content.len < 4 || r->offset > (uint64_t)s->content.len - 4 || u32(content + r->offset)) return NOT_RELAXED;
    uint8_t opcode = content[r->offset - 2], operand = content[r->offset - 1];
    bool absolute = (operand & 0xC7) == 5, based = (operand & 0xC0) == 0x80;
    if (opcode == 0x8B && absolute) return ANOTHER; /* mov $foo,%r */
    if (opcode == 0x8B) return based && (operand & 7) != 4 ? LEA : NOT_RELAXED;
    if (opcode != 0xFF || !(absolute || based)) return NOT_RELAXED;
    return (operand & 0x38) == 0x10 ? INDIRECT_CALL : (operand & 0x38) == 0x20 ? INDIRECT_JMP : NOT_RELAXED;
}

static bool fits(int64_t value, int word) { return word == 4 || (value >= INT32_MIN && value <= INT32_MAX); }

static Result put_word(uint8_t *field, int64_t value, int word)
{
    if (!fits(value, word)) return LEFT;
    uint32_t bytes = (uint32_t)value;
    memcpy(field, &bytes, 4);
    return APPLIED;
}

/* mov foo@GOT to lea foo; call *foo@GOT to 67 e8 rel32 call foo; jmp *foo@GOT to e9 rel32 jmp foo; 90 nop. Both machines. */
static Result relax(const Section *s, const Relocation *r, int how)
{
    if (how == ANOTHER || r->offset < 2 || r->offset + 4 > s->size) return LEFT;
    const int64_t *values = how != LEA && s->branches.buf ? s->branches.buf : s->references.buf;
    int64_t value = values[r->symbol], place = (int64_t)(s->address + r->offset);
    Result placed = has_place(s, r->symbol);
    if (placed != APPLIED || value == UNKNOWN || value < 0 || value > INT64_MAX / 2) return placed == FAILED ? FAILED : LEFT;
    uint8_t *field = field_of(s, r);
    if (how == LEA) {
        int64_t relative = s->word == 8 ? value - 4 - place : value - (int64_t)s->got;
        if (put_word(field, relative, s->word) == LEFT) return LEFT;
        field[-2] = 0x8D;
    } else if (how == INDIRECT_CALL) {
        if (put_word(field, value - 4 - place, s->word) == LEFT) return LEFT;
        field[-2] = 0x67;
        field[-1] = CALL;
    } else {
        int64_t relative = value - 4 - (place - 1);
        if (!fits(relative, s->word)) return LEFT;
        field[3] = 0x90;
        put_word(field - 1, relative, s->word);
        field[-2] = JMP;
    }
    return APPLIED;
}

/* A GOT access. */
static Result apply_got(const Section *s, const Relocation *r, int how)
{
    if (r->offset > s->size || s->size - r->offset < 4 || r->symbol >= (uint64_t)s->references.len / 8) return LEFT;
    bool x86_64 = how < GOT_I386;
    if (!x86_64 && s->rela) return LEFT;
    int64_t entry = 0, place = (int64_t)(s->address + r->offset);
    if (how != GOT_X86_64 && how != GOT_I386) {
        bool dynamic = how == GOT_X_DYNAMIC_X86_64 || how == GOT_X_DYNAMIC_I386;
        Result known = dynamic ? got_entry(s, r->symbol, &entry) : LEFT;
        if (known == FAILED) return FAILED;
        int form = known == APPLIED ? NOT_RELAXED : x86_64 ? relaxed_x86_64(s, r) : relaxed_i386(s, r);
        if (form != NOT_RELAXED) return relax(s, r, form);
    }
    Result known = got_entry(s, r->symbol, &entry);
    if (known != APPLIED) return known;
    uint8_t *field = field_of(s, r);
    int64_t addend = s->rela ? r->addend : field_at(field, 4);
    if (entry < 0 || entry > INT64_MAX / 4 || addend > INT32_MAX || addend < INT32_MIN) return LEFT;
    if (x86_64) return put_word(field, entry + addend - place, 8);
    if (r->offset > (uint64_t)s->content.len) return LEFT;
    bool absolute = r->offset && (((const uint8_t *)s->content.buf)[r->offset - 1] & 0xC7) == 5;
    return put_word(field, entry + addend - (absolute ? 0 : (int64_t)s->got), 4);
}

/* Applies a relocation to the output. */
static inline Result apply_one(Section *s, const Relocation *r)
{
    if (r->type >= TYPES) return LEFT;
    const Kind *kind = (const Kind *)s->kinds.buf + r->type;
    if (kind->other) return kind->other == NOTHING ? APPLIED : apply_got(s, r, kind->other);
    int width = kind->width;
    if (!width || r->offset > s->size || (unsigned)width > s->size - r->offset) return LEFT;
    if (r->symbol >= (uint64_t)s->references.len / 8) return LEFT;
    const int64_t *values = s->references.buf;
    if (s->code && s->branches.buf && (kind->branch || kind->branch_like)) {
        if (!kind->branch && r->offset > (uint64_t)s->content.len) return LEFT;
        if (kind->branch || is_branch(s->content.buf, r->offset)) values = s->branches.buf;
    }
    uint8_t *field = field_of(s, r);
    int64_t value = values[r->symbol], addend = s->rela ? r->addend : field_at(field, width);
    if (value == UNKNOWN) {
        Result found = cut(s, r, &value, &addend);
        if (found != APPLIED) return found;
    }
    __int128 result = (__int128)kind->s * value + addend - (__int128)kind->p * ((__int128)s->address + r->offset) + (__int128)kind->g * s->got;
    if (kind->checked && (result < kind->low || result > kind->high)) return LEFT;
    uint64_t bytes = (uint64_t)result;
    memcpy(field, &bytes, width);
    return APPLIED;
}

/* apply(layout, out, at, address, size, content, records, word, rela, kinds, references, branches, code, got, tombstone, table, first,
 * sections, globals, got_entries, file_key, left): applies the relocations of a section whose contents lie at `at` in out. references,
 * branches (or None: the same): values(). content: of the input, in which instructions are recognized. tombstone: S of what was
 * discarded, or -1 if Python decides. table, first, sections, globals: of the file. got_entries: addresses by symbol, or by (file_key,
 * index) of a local one. left(number) applies one in Python and gives the number of the last that this consumed. */
PyObject *native_apply(PyObject *self, PyObject *arguments)
{
    (void)self;
    Section s = {0};
    PyObject *capsule, *left, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "Ow*KKKy*y*ipy*y*z*pKiy*nO!O!O!OO", &capsule, &s.out, &s.at, &s.address, &s.size, &s.content, &s.records, &s.word,
                          &s.rela, &s.kinds, &s.references, &s.branches, &s.code, &s.got, &s.tombstone, &s.table, &s.first, &PyList_Type,
                          &s.sections, &PyList_Type, &s.globals, &PyDict_Type, &s.got_entries, &s.file_key, &left))
        return NULL;
    Py_ssize_t step = relocation_size(s.word, s.rela), rows = s.records.len / step;
    bool inside = s.at <= (uint64_t)s.out.len && s.size <= (uint64_t)s.out.len - s.at;
    if (!(s.layout = layout_in(capsule))) goto done;
    if (s.kinds.len != TYPES * (Py_ssize_t)sizeof(Kind) || (s.branches.buf && s.branches.len != s.references.len) || s.first < 0) {
        PyErr_SetString(PyExc_ValueError, "apply: a row for each of 256 types, and as many branches as references");
        goto done;
    }
    for (Py_ssize_t number = 0; number < rows; number++) {
        Relocation r = relocation_at((const uint8_t *)s.records.buf + number * step, s.word, s.rela);
        Result applied = inside ? apply_one(&s, &r) : LEFT;
        if (applied == APPLIED) continue;
        if (applied == FAILED) goto done;
        PyObject *last = PyObject_CallFunction(left, "n", number);
        if (!last) goto done;
        Py_ssize_t consumed = PyLong_AsSsize_t(last);
        Py_DECREF(last);
        if (consumed == -1 && PyErr_Occurred()) goto done;
        if (consumed > number) number = consumed;
    }
    result = Py_NewRef(Py_None);
done:
    forget_pieces(&s.pieces);
    PyBuffer_Release(&s.out);
    PyBuffer_Release(&s.content);
    PyBuffer_Release(&s.records);
    PyBuffer_Release(&s.kinds);
    PyBuffer_Release(&s.references);
    PyBuffer_Release(&s.branches);
    PyBuffer_Release(&s.table);
    return result;
}
