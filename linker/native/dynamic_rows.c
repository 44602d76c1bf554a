/* Relocations for the dynamic linker, once addresses are final (passes/dynamic_words.py has the same in Python). */
#include "layout.h"

typedef struct {
    const Layout *layout;
    Py_buffer rows, image;
    unsigned long long at, address, entries;
    int word, rela;
    unsigned symbolic, irelative;
    Py_ssize_t first;
    PyObject *resolvers, *globals;
} Placing;

/* The symbol's number in .dynsym, or -1 with an exception. */
static int64_t number_of(const Placing *p, uint32_t index)
{
    Py_ssize_t at = (Py_ssize_t)index - p->first;
    if (at < 0 || at >= PyList_GET_SIZE(p->globals)) return PyErr_SetString(PyExc_ValueError, "place: a row without a global symbol"), -1;
    PyObject *symbol = PyList_GET_ITEM(p->globals, at), *binding;
    if (!is_symbol(p->layout, symbol)) return -1;
    if (!(binding = binding_of(p->layout, symbol))) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "place: a symbol without a binding");
        return -1;
    }
    long number = PyLong_AsLong(*binding_slot(p->layout, binding, NUMBER));
    if (number < 0 || number > UINT32_MAX) return PyErr_Occurred() ? -1 : (PyErr_SetString(PyExc_ValueError, "place: a number below 0"), -1);
    return number;
}

static bool place_row(const Placing *p, WordRow *row)
{
    uint64_t size = (uint64_t)p->image.len, width = (uint64_t)p->word;
    if (p->at > size || row->offset > size - p->at || width > size - p->at - row->offset)
        return PyErr_SetString(PyExc_ValueError, "place: a row outside the image"), false;
    uint8_t *field = (uint8_t *)p->image.buf + p->at + row->offset;
    row->offset += p->address;
    if (row->type == p->symbolic) {
        int64_t number = number_of(p, row->symbol), kept = p->rela ? 0 : row->addend;
        if (number < 0) return false;
        row->symbol = (uint32_t)number;
        memcpy(field, &kept, width);
        return true;
    }
    row->addend = field_at(field, p->word);
    if (row->type != p->irelative) return true;
    enum { ENTRY = 16 }; /* bytes: IPLT_SIZE */
    uint64_t entry = ((uint64_t)row->addend - p->entries) & (p->word == 8 ? UINT64_MAX : UINT32_MAX);
    if (entry / ENTRY >= (uint64_t)PyList_GET_SIZE(p->resolvers)) return PyErr_SetString(PyExc_ValueError, "place: no such resolver"), false;
    row->addend = (int64_t)PyLong_AsUnsignedLongLongMask(PyList_GET_ITEM(p->resolvers, entry / ENTRY));
    if (PyErr_Occurred()) return false;
    memcpy(field, &row->addend, width);
    return true;
}

/* place(layout, rows, image, at, address, word, rela, symbolic, irelative, entries, resolvers, globals, first): the rows of a section with addresses,
 * numbers in .dynsym and addends. The section has this address, and lies in the image at `at`, where fields of symbolic rows get what the dynamic
 * linker expects. A row of type irelative has the address of an entry (they begin at `entries`) in its field, and gets its resolver. */
PyObject *native_place(PyObject *self, PyObject *arguments)
{
    (void)self;
    Placing p = {0};
    PyObject *capsule, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "Oy*w*KKipIIKO!O!n", &capsule, &p.rows, &p.image, &p.at, &p.address, &p.word, &p.rela, &p.symbolic, &p.irelative,
                          &p.entries, &PyList_Type, &p.resolvers, &PyList_Type, &p.globals, &p.first))
        return NULL;
    Py_ssize_t count = p.rows.len / (Py_ssize_t)sizeof(WordRow);
    if (!(p.layout = layout_in(capsule))) goto done;
    if (p.word != 4 && p.word != 8) {
        PyErr_SetString(PyExc_ValueError, "place: words of 4 or 8 bytes");
        goto done;
    }
    if (!(result = PyBytes_FromStringAndSize(NULL, count * sizeof(WordRow)))) goto done;
    WordRow *out = (WordRow *)PyBytes_AS_STRING(result);
    memcpy(out, p.rows.buf, count * sizeof *out);
    for (Py_ssize_t i = 0; i < count; i++)
        if (!place_row(&p, &out[i])) {
            Py_CLEAR(result);
            break;
        }
done:
    PyBuffer_Release(&p.rows);
    PyBuffer_Release(&p.image);
    return result;
}

/* -- their order ------------------------------------------------------------------------------------------------------------------------------- */

/* Sorts by offset, stable; rows that are in runs already, as nearly all are, are merged run by run. Result: where they are, of the two. */
static WordRow *by_offset(WordRow *from, WordRow *to, Py_ssize_t count)
{
    for (;;) {
        Py_ssize_t start = 0, runs = 0;
        while (start < count) {
            Py_ssize_t middle = start + 1, out = start;
            while (middle < count && from[middle - 1].offset <= from[middle].offset) middle++;
            Py_ssize_t end = middle < count ? middle + 1 : middle, left = start, right = middle;
            while (end < count && from[end - 1].offset <= from[end].offset) end++;
            while (left < middle && right < end) to[out++] = from[right].offset < from[left].offset ? from[right++] : from[left++];
            memcpy(to + out, from + left, (middle - left) * sizeof *to);
            memcpy(to + out + (middle - left), from + right, (end - right) * sizeof *to);
            start = end;
            runs++;
        }
        WordRow *turned = from;
        from = to;
        to = turned;
        if (runs <= 1) return from;
    }
}

static uint64_t rank(const WordRow *row, unsigned relative, unsigned irelative)
{
    return row->type == irelative ? (uint64_t)UINT32_MAX + 2 : row->type == relative ? 0 : (uint64_t)row->symbol + 1;
}

/* A stable sort by rank, 11 bits at a time. */
static WordRow *by_rank(WordRow *from, WordRow *to, Py_ssize_t count, unsigned relative, unsigned irelative)
{
    enum { BITS = 11, DIGITS = 1 << BITS };
    uint64_t used = 0;
    for (Py_ssize_t i = 0; i < count; i++) used |= rank(&from[i], relative, irelative);
    for (int shift = 0; used >> shift; shift += BITS) {
        Py_ssize_t places[DIGITS] = {0}, place = 0;
        for (Py_ssize_t i = 0; i < count; i++) places[rank(&from[i], relative, irelative) >> shift & (DIGITS - 1)]++;
        for (int digit = 0; digit < DIGITS; digit++) {
            Py_ssize_t here = places[digit];
            places[digit] = place;
            place += here;
        }
        for (Py_ssize_t i = 0; i < count; i++) to[places[rank(&from[i], relative, irelative) >> shift & (DIGITS - 1)]++] = from[i];
        WordRow *turned = from;
        from = to;
        to = turned;
    }
    return from;
}

/* sorted_rows(rows, relative, irelative, word, rela): the records of a relocation section: of type relative first, irelative last, the others by
 * symbol; then by offset. The rows are in disorder afterwards. */
PyObject *native_sorted_rows(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer rows;
    unsigned relative, irelative;
    int word, rela;
    if (!PyArg_ParseTuple(arguments, "w*IIip", &rows, &relative, &irelative, &word, &rela)) return NULL;
    Py_ssize_t count = rows.len / (Py_ssize_t)sizeof(WordRow), step = relocation_size(word, rela);
    PyObject *result = NULL;
    WordRow *other = NULL;
    if (word != 4 && word != 8)
        PyErr_SetString(PyExc_ValueError, "sorted_rows: words of 4 or 8 bytes");
    else if ((uintptr_t)rows.buf % _Alignof(WordRow))
        PyErr_SetString(PyExc_ValueError, "sorted_rows: the rows are not aligned");
    else if (!(other = PyMem_Malloc((count + 1) * sizeof *other)))
        PyErr_NoMemory();
    else
        result = PyBytes_FromStringAndSize(NULL, count * step);
    if (result) {
        WordRow *first = rows.buf, *sorted = by_offset(first, other, count);
        sorted = by_rank(sorted, sorted == first ? other : first, count, relative, irelative);
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
        for (Py_ssize_t i = 0; i < count; i++, out += step) {
            uint64_t info = word == 8 ? (uint64_t)sorted[i].symbol << 32 | sorted[i].type : (sorted[i].symbol << 8 | (sorted[i].type & 0xff));
            memcpy(out, &sorted[i].offset, word);
            memcpy(out + word, &info, word);
            if (rela) memcpy(out + 2 * word, &sorted[i].addend, word);
        }
    }
    PyMem_Free(other);
    PyBuffer_Release(&rows);
    return result;
}
