/* Which relocations of a section the scan must look at, and the values of a file's symbols (passes/scan.py and symbol_values.py have the
 * same in Python). */
#include "layout.h"

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
