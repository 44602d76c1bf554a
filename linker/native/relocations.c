/* Relocations of a section, all in one loop: finds those that the scan must look at, and applies the linear ones (passes/apply.py has
 * the same in Python). Relocations with errors are left to Python, in the order of the file. */
#include "layout.h"

/* A row for each relocation type below 256: native_relocations.py packs it. width 0: not linear. */
typedef struct {
    int8_t width, s, p, g, branch, branch_like, none, checked;
    int64_t low, high;
} Kind;

enum { TYPES = 256 };

/* odd(records, word, rela, quiet, count, size, flags): the numbers of relocations that the scan must look at: of a type that is not quiet
 * (256 bytes), of a symbol at or above count or with a flag (bytes, or None), or beyond the size of the section. */
PyObject *native_odd(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer records, quiet, flags = {0};
    int word, rela;
    unsigned long long count, size;
    if (!PyArg_ParseTuple(arguments, "y*ipy*KKz*", &records, &word, &rela, &quiet, &count, &size, &flags)) return NULL;
    const uint8_t *at = records.buf, *calm = quiet.buf, *flagged = flags.buf;
    Py_ssize_t step = relocation_size(word, rela), rows = records.len / step;
    PyObject *found = NULL;
    if (quiet.len != TYPES || (flagged && (unsigned long long)flags.len < count))
        PyErr_SetString(PyExc_ValueError, "odd: 256 types, and a flag for each symbol");
    else
        found = PyList_New(0);
    for (Py_ssize_t number = 0; found && number < rows; number++, at += step) {
        Relocation r = relocation_at(at, word, rela);
        if (r.type < TYPES && calm[r.type] && r.symbol < count && r.offset < size && !(flagged && flagged[r.symbol])) continue;
        PyObject *value = PyLong_FromSsize_t(number);
        if (!value || PyList_Append(found, value)) Py_CLEAR(found);
        Py_XDECREF(value);
    }
    PyBuffer_Release(&records);
    PyBuffer_Release(&quiet);
    PyBuffer_Release(&flags);
    return found;
}

/* values(symbols, word, first, addresses, globals): the value of each symbol of a file, as 64-bit words. symbols: its table, of which those below
 * first are local; addresses: of the sections, None where it was cut into pieces or discarded; globals: values of the others. UNKNOWN for a
 * local one without an address, and what does not fit. */
PyObject *native_values(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer symbols;
    int word;
    Py_ssize_t first;
    PyObject *addresses, *globals, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*inO!O!", &symbols, &word, &first, &PyList_Type, &addresses, &PyList_Type, &globals)) return NULL;
    Py_ssize_t step = symbol_size(word), sections = PyList_GET_SIZE(addresses), rest = PyList_GET_SIZE(globals);
    if (first < 0 || first > symbols.len / step) {
        PyErr_SetString(PyExc_ValueError, "values: more local symbols than symbols");
        goto done;
    }
    if (!(result = PyBytes_FromStringAndSize(NULL, (first + rest) * 8))) goto done;
    int64_t *out = (int64_t *)PyBytes_AS_STRING(result);
    const uint8_t *at = symbols.buf;
    for (Py_ssize_t i = 0; i < first; i++, at += step) {
        Symbol symbol = symbol_at(at, word);
        uint64_t base = 0;
        out[i] = UNKNOWN;
        if (symbol.section >= SHN_LORESERVE) {
            if (symbol.section != SHN_ABS) continue;
        } else if (symbol.section) {
            PyObject *address = symbol.section < sections ? PyList_GET_ITEM(addresses, symbol.section) : Py_None;
            if (address == Py_None) continue;
            base = PyLong_AsUnsignedLongLong(address);
            if (base == (uint64_t)-1 && PyErr_Occurred()) {
                PyErr_Clear();
                continue;
            }
        }
        if (base <= INT64_MAX && symbol.value <= INT64_MAX - base) out[i] = (int64_t)(base + symbol.value);
    }
    for (Py_ssize_t i = 0; i < rest; i++) {
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(PyList_GET_ITEM(globals, i), &overflow);
        if (value == -1 && PyErr_Occurred()) {
            Py_CLEAR(result);
            break;
        }
        out[first + i] = overflow ? UNKNOWN : value;
    }
done:
    PyBuffer_Release(&symbols);
    return result;
}

/* branches(layout, references, first, globals, lazy, lazy_step, through_got, through_got_step): values() for branches, which go to the PLT entries of
 * symbols that have one. The global symbols have numbers from `first` on in references; the others are addresses and sizes of entries. */
PyObject *native_branches(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *capsule, *globals, *result = NULL;
    Py_buffer references;
    Py_ssize_t first;
    unsigned long long lazy, lazy_step, through_got, through_got_step;
    if (!PyArg_ParseTuple(arguments, "Oy*nO!KKKK", &capsule, &references, &first, &PyList_Type, &globals, &lazy, &lazy_step, &through_got, &through_got_step))
        return NULL;
    const Layout *layout = layout_in(capsule);
    Py_ssize_t count = PyList_GET_SIZE(globals);
    if (!layout) goto done;
    if (first < 0 || first > references.len / 8 || count > references.len / 8 - first) {
        PyErr_SetString(PyExc_ValueError, "branches: a reference for each symbol");
        goto done;
    }
    if (!(result = PyBytes_FromStringAndSize(references.buf, references.len))) goto done;
    uint64_t *out = (uint64_t *)PyBytes_AS_STRING(result) + first;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *symbol = PyList_GET_ITEM(globals, i), *binding = is_symbol(layout, symbol) ? binding_of(layout, symbol) : NULL;
        long number = binding ? PyLong_AsLong(*binding_slot(layout, binding, PLT)) : -1;
        if (PyErr_Occurred()) {
            Py_CLEAR(result);
            break;
        }
        if (number < 0) continue;
        bool by_got = *binding_slot(layout, binding, THROUGH_GOT) == Py_True;
        out[i] = by_got ? through_got + number * through_got_step : lazy + number * lazy_step;
    }
done:
    PyBuffer_Release(&references);
    return result;
}

typedef struct {
    Py_buffer out, content, records, kinds, references, branches;
    unsigned long long at, address, size, got;
    int word, rela, code;
} Section;

/* Applies a relocation to the output; false: it is left to Python. */
static inline bool apply_one(const Section *s, const Relocation *r)
{
    if (r->type >= TYPES) return false;
    const Kind *kind = (const Kind *)s->kinds.buf + r->type;
    if (kind->none) return true;
    int width = kind->width;
    if (!width || r->offset > s->size || (unsigned)width > s->size - r->offset) return false;
    if (r->symbol >= (uint64_t)s->references.len / 8) return false;
    const int64_t *values = s->references.buf;
    if (s->code && s->branches.buf && (kind->branch || kind->branch_like)) {
        if (!kind->branch && r->offset > (uint64_t)s->content.len) return false;
        if (kind->branch || is_branch(s->content.buf, r->offset)) values = s->branches.buf;
    }
    int64_t value = values[r->symbol];
    if (value == UNKNOWN) return false;
    uint8_t *field = (uint8_t *)s->out.buf + s->at + r->offset;
    int64_t addend = s->rela ? r->addend : field_at(field, width);
    __int128 result = (__int128)kind->s * value + addend - (__int128)kind->p * ((__int128)s->address + r->offset) + (__int128)kind->g * s->got;
    if (kind->checked && (result < kind->low || result > kind->high)) return false;
    uint64_t bytes = (uint64_t)result;
    memcpy(field, &bytes, width);
    return true;
}

/* apply(out, at, address, size, content, records, word, rela, kinds, references, branches, code, got, left): applies the relocations of a section
 * whose contents lie at `at` in out. references, branches (or None: the same): values(). content: of the input, in which branches are recognized.
 * left(number) applies one in Python and gives the number of the last that this consumed. */
PyObject *native_apply(PyObject *self, PyObject *arguments)
{
    (void)self;
    Section s = {0};
    PyObject *left, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "w*KKKy*y*ipy*y*z*pKO", &s.out, &s.at, &s.address, &s.size, &s.content, &s.records, &s.word, &s.rela, &s.kinds,
                          &s.references, &s.branches, &s.code, &s.got, &left))
        return NULL;
    Py_ssize_t step = relocation_size(s.word, s.rela), rows = s.records.len / step;
    bool inside = s.at <= (uint64_t)s.out.len && s.size <= (uint64_t)s.out.len - s.at;
    if (s.kinds.len != TYPES * (Py_ssize_t)sizeof(Kind) || (s.branches.buf && s.branches.len != s.references.len)) {
        PyErr_SetString(PyExc_ValueError, "apply: a row for each of 256 types, and as many branches as references");
        goto done;
    }
    for (Py_ssize_t number = 0; number < rows; number++) {
        Relocation r = relocation_at((const uint8_t *)s.records.buf + number * step, s.word, s.rela);
        if (inside && apply_one(&s, &r)) continue;
        PyObject *last = PyObject_CallFunction(left, "n", number);
        if (!last) goto done;
        Py_ssize_t consumed = PyLong_AsSsize_t(last);
        Py_DECREF(last);
        if (consumed == -1 && PyErr_Occurred()) goto done;
        if (consumed > number) number = consumed;
    }
    result = Py_NewRef(Py_None);
done:
    PyBuffer_Release(&s.out);
    PyBuffer_Release(&s.content);
    PyBuffer_Release(&s.records);
    PyBuffer_Release(&s.kinds);
    PyBuffer_Release(&s.references);
    PyBuffer_Release(&s.branches);
    return result;
}
