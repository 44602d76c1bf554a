/* The first look at the relocations of a dynamic output: what nearly all of them need (passes/dynamic_scan.py has the whole in Python). */
#include "layout.h"

/* What is known of a symbol of a file, a byte each. */
enum { IS_PREEMPTIBLE = 1, IS_CONSTANT = 2, IS_CHOSEN = 4, IS_IMPORTED = 8, HAS_PLT = 16, HAS_GOT = 32, HAS_WORD = 64 };

/* What is done about a relocation type: native_dynamic.py gives a byte for each type below 256. */
enum { LEFT, NOTHING, BASE, BASED, RELATIVE, MAYBE_BRANCH, BRANCH, WORD, NARROW, GOT, GOT_X86_64, GOT_I386, GOT_X_I386 };

/* The output, and the section. */
enum { SHARED = 1, PIC = 2, WRITABLE = 4, CHOSEN_BY_WORD = 8, BASE_KNOWN = 16 };

enum { TYPES = 256 };

/* The flags of a global symbol, or -1 with an exception. */
static int global_flags(const Layout *layout, PyObject *symbol)
{
    if (!is_symbol(layout, symbol)) return -1;
    PyObject *binding = binding_of(layout, symbol);
    if (!binding && PyErr_Occurred()) return -1;
    bool placed = *slot(layout, symbol, SECTION) != Py_None;
    bool preemptible = binding && *binding_slot(layout, binding, PREEMPTIBLE) == Py_True;
    int flags = preemptible ? IS_PREEMPTIBLE : 0;
    if (preemptible && *binding_slot(layout, binding, EXPORTED) != Py_True) flags |= IS_IMPORTED;
    if (!placed && *slot(layout, symbol, PROVIDED) != Py_True) flags |= IS_CONSTANT;
    if (placed && !preemptible && number_in(layout, symbol, TYPE) == STT_GNU_IFUNC) flags |= IS_CHOSEN;
    return flags;
}

/* symbol_flags(layout, table, word, first, globals): what is known of each symbol of a file, a bytearray. table: its symbols, of which those below
 * first are local. */
PyObject *native_symbol_flags(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *capsule, *globals, *result = NULL;
    Py_buffer table;
    int word;
    Py_ssize_t first;
    if (!PyArg_ParseTuple(arguments, "Oy*inO!", &capsule, &table, &word, &first, &PyList_Type, &globals)) return NULL;
    const Layout *layout = layout_in(capsule);
    Py_ssize_t step = symbol_size(word), rest = PyList_GET_SIZE(globals);
    if (!layout) goto done;
    if (first < 0 || first > table.len / step) {
        PyErr_SetString(PyExc_ValueError, "symbol_flags: more local symbols than symbols");
        goto done;
    }
    if (!(result = PyByteArray_FromStringAndSize(NULL, first + rest))) goto done;
    uint8_t *flags = (uint8_t *)PyByteArray_AS_STRING(result);
    for (Py_ssize_t i = 0; i < first; i++) {
        Symbol symbol = symbol_at((const uint8_t *)table.buf + i * step, word);
        flags[i] = (symbol.section == 0 || symbol.section == SHN_ABS ? IS_CONSTANT : 0) | ((symbol.info & 15) == STT_GNU_IFUNC ? IS_CHOSEN : 0);
    }
    for (Py_ssize_t i = 0; i < rest; i++) {
        int found = global_flags(layout, PyList_GET_ITEM(globals, i));
        if (found < 0) {
            Py_CLEAR(result);
            break;
        }
        flags[first + i] = (uint8_t)found;
    }
done:
    PyBuffer_Release(&table);
    return result;
}

typedef struct {
    const Layout *layout;
    Py_buffer records, kinds, flags, content;
    int word, rela, output;
    unsigned long long size;
    Py_ssize_t first, start;
    unsigned relative;
    PyObject *globals, *file, *plt, *got, *imports;
    WordRow *rows;
    Py_ssize_t count, room;
} Scan;

enum { FAILED = -1, DONE = 0, FOR_PYTHON = 1 };

static int leave(Scan *s, WordRow row)
{
    if (s->count == s->room) {
        Py_ssize_t room = s->room * 2 + 16;
        WordRow *more = PyMem_Realloc(s->rows, room * sizeof *more);
        if (!more) return PyErr_NoMemory(), FAILED;
        s->rows = more;
        s->room = room;
    }
    s->rows[s->count++] = row;
    return DONE;
}

/* The global symbol of an index, borrowed, or NULL with an exception. */
static PyObject *global_at(Scan *s, uint32_t index)
{
    Py_ssize_t at = (Py_ssize_t)index - s->first;
    if (at >= 0 && at < PyList_GET_SIZE(s->globals)) {
        PyObject *symbol = PyList_GET_ITEM(s->globals, at);
        return is_symbol(s->layout, symbol) ? symbol : NULL;
    }
    PyErr_SetString(PyExc_ValueError, "scan: a local symbol cannot be preemptible");
    return NULL;
}

static int add_plt(Scan *s, uint32_t index, uint8_t *flags)
{
    if (*flags & HAS_PLT) return DONE;
    PyObject *symbol = global_at(s, index);
    if (!symbol) return FAILED;
    PyObject *binding = binding_of(s->layout, symbol);
    if (!binding) return PyErr_Occurred() ? FAILED : FOR_PYTHON;
    PyObject **plt = binding_slot(s->layout, binding, PLT);
    long known = PyLong_AsLong(*plt);
    if (known == -1 && PyErr_Occurred()) return FAILED;
    if (known < 0) {
        PyObject *number = PyLong_FromSsize_t(PyList_GET_SIZE(s->plt));
        if (!number || PyList_Append(s->plt, symbol)) {
            Py_XDECREF(number);
            return FAILED;
        }
        Py_SETREF(*plt, number);
    }
    *flags |= HAS_PLT;
    return DONE;
}

/* A GOT entry for a preemptible symbol. */
static int add_got(Scan *s, uint32_t index, uint8_t *flags)
{
    PyObject *symbol = global_at(s, index), *place;
    if (!symbol || !(place = Py_BuildValue("OI", s->file, index))) return FAILED;
    PyObject *known = PyDict_SetDefault(s->got, symbol, place);
    Py_DECREF(place);
    if (!known) return FAILED;
    *flags |= HAS_GOT;
    return DONE;
}

static int scan_word(Scan *s, const Relocation *r, uint8_t *flags)
{
    if (*flags & IS_PREEMPTIBLE) {
        if (!(s->output & WRITABLE)) return FOR_PYTHON;
        if (*flags & IS_IMPORTED && !(*flags & HAS_WORD)) {
            PyObject *symbol = global_at(s, r->symbol);
            if (!symbol || !PyDict_SetDefault(s->imports, symbol, Py_None)) return FAILED;
            *flags |= HAS_WORD;
        }
        int64_t addend = r->addend;
        if (!s->rela) {
            if (s->content.len < 4 || r->offset > (uint64_t)s->content.len - 4) return FOR_PYTHON;
            addend = field_at((const uint8_t *)s->content.buf + r->offset, 4);
        }
        return leave(s, (WordRow){r->offset, r->type, r->symbol, addend});
    }
    if (!(s->output & PIC) || *flags & IS_CONSTANT) return DONE;
    if (!(s->output & WRITABLE) || (*flags & IS_CHOSEN && s->output & CHOSEN_BY_WORD)) return FOR_PYTHON;
    return leave(s, (WordRow){r->offset, s->relative, 0, 0});
}

/* x86_64.relaxes, for a symbol that is not constant. */
static bool relaxes_x86_64(const Scan *s, const Relocation *r)
{
    const uint8_t *content = s->content.buf;
    if (r->addend != -4 || !s->rela || r->offset < 2 || r->offset > (uint64_t)s->content.len) return false;
    uint8_t opcode = content[r->offset - 2], operand = content[r->offset - 1];
    return (opcode == 0xFF && (operand == 0x15 || operand == 0x25)) || (opcode == 0x8B && (operand & 0xC7) == 5);
}

static int scan_got_i386(Scan *s, const Relocation *r, uint8_t *flags, bool may_relax)
{
    const uint8_t *content = s->content.buf;
    if (s->content.len < 4 || r->offset < 2 || r->offset > (uint64_t)s->content.len - 4 || !(s->output & BASE_KNOWN)) return FOR_PYTHON;
    uint8_t opcode = content[r->offset - 2], operand = content[r->offset - 1];
    bool absolute = (operand & 0xC7) == 5;
    if (s->output & PIC && absolute) return FOR_PYTHON;
    if (*flags & HAS_GOT) return DONE;
    if (*flags & IS_PREEMPTIBLE) return add_got(s, r->symbol, flags);
    if (!may_relax || *flags & (IS_CONSTANT | IS_CHOSEN) || u32(content + r->offset)) return FOR_PYTHON;
    bool based = (operand & 0xC0) == 0x80, call = (operand & 0x38) == 0x10 || (operand & 0x38) == 0x20;
    return (opcode == 0x8B && based && (operand & 7) != 4) || (opcode == 0xFF && call && based) ? DONE : FOR_PYTHON;
}

static int scan_one(Scan *s, const Relocation *r)
{
    if (r->type >= TYPES || r->symbol >= (uint64_t)s->flags.len || r->offset >= s->size) return FOR_PYTHON;
    uint8_t *flags = (uint8_t *)s->flags.buf + r->symbol;
    bool preemptible = *flags & IS_PREEMPTIBLE;
    switch (((const uint8_t *)s->kinds.buf)[r->type]) {
    case NOTHING: return DONE;
    case BASE: return s->output & BASE_KNOWN ? DONE : FOR_PYTHON;
    case BASED: return !(s->output & BASE_KNOWN) || preemptible || (*flags & IS_CHOSEN && s->output & CHOSEN_BY_WORD) ? FOR_PYTHON : DONE;
    case RELATIVE: return preemptible ? FOR_PYTHON : DONE;
    case MAYBE_BRANCH:
        if (!preemptible) return DONE;
        if (r->offset > (uint64_t)s->content.len || !is_branch(s->content.buf, r->offset)) return FOR_PYTHON;
        return add_plt(s, r->symbol, flags);
    case BRANCH: return preemptible ? add_plt(s, r->symbol, flags) : DONE;
    case WORD: return scan_word(s, r, flags);
    case NARROW: return preemptible || (s->output & PIC && !(*flags & IS_CONSTANT)) ? FOR_PYTHON : DONE;
    case GOT:
    case GOT_X86_64:
        if (*flags & HAS_GOT) return DONE;
        if (preemptible) return add_got(s, r->symbol, flags);
        if (((const uint8_t *)s->kinds.buf)[r->type] == GOT || *flags & IS_CONSTANT) return FOR_PYTHON;
        return relaxes_x86_64(s, r) ? DONE : FOR_PYTHON;
    case GOT_I386: return scan_got_i386(s, r, flags, false);
    case GOT_X_I386: return scan_got_i386(s, r, flags, true);
    default: return FOR_PYTHON;
    }
}

/* scan(layout, records, word, rela, kinds, flags, content, size, output, relative, first, globals, file, plt, got, imports, start): looks at the
 * relocations of a section from number `start` on, up to one that is left to Python. flags: symbol_flags, to which it adds. Adds preemptible symbols
 * that are called to plt, those with GOT entries to got, those that words refer to and the output does not export to imports. Result: the number of
 * the one that is left, or -1, and the rows of words for the dynamic linker. */
PyObject *native_scan(PyObject *self, PyObject *arguments)
{
    (void)self;
    Scan s = {0};
    PyObject *capsule, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "Oy*ipy*w*y*KiInO!OO!O!O!n", &capsule, &s.records, &s.word, &s.rela, &s.kinds, &s.flags, &s.content, &s.size, &s.output,
                          &s.relative, &s.first, &PyList_Type, &s.globals, &s.file, &PyList_Type, &s.plt, &PyDict_Type, &s.got, &PyDict_Type, &s.imports,
                          &s.start))
        return NULL;
    Py_ssize_t step = relocation_size(s.word, s.rela), rows = s.records.len / step, number = s.start;
    if (!(s.layout = layout_in(capsule))) goto done;
    if (s.kinds.len != TYPES || number < 0 || s.first < 0) {
        PyErr_SetString(PyExc_ValueError, "scan: a kind for each of 256 types, and numbers that are not negative");
        goto done;
    }
    int state = DONE;
    for (; number < rows; number++) {
        Relocation r = relocation_at((const uint8_t *)s.records.buf + number * step, s.word, s.rela);
        if ((state = scan_one(&s, &r)) != DONE) break;
    }
    if (state != FAILED) result = Py_BuildValue("ny#", state == DONE ? (Py_ssize_t)-1 : number, (char *)s.rows, s.count * (Py_ssize_t)sizeof(WordRow));
done:
    PyMem_Free(s.rows);
    PyBuffer_Release(&s.records);
    PyBuffer_Release(&s.kinds);
    PyBuffer_Release(&s.flags);
    PyBuffer_Release(&s.content);
    return result;
}
