/* .dynsym, once addresses are final (outputs/dynamic_section.py has the record of a symbol in Python). */
#include "places.h"

/* A record that Python made: (name, info, other, section, value, size). */
static bool take_record(PyObject *made, Symbol *record)
{
    PyObject *fields = PySequence_Tuple(made), *value, *size;
    bool good = fields && PyArg_ParseTuple(fields, "IbbHOO", &record->name, &record->info, &record->other, &record->section, &value, &size);
    if (good) {
        record->value = PyLong_AsUnsignedLongLongMask(value);
        record->size = PyLong_AsUnsignedLongLongMask(size);
        good = !PyErr_Occurred();
    }
    Py_XDECREF(fields);
    return good;
}

/* The record of a symbol: ordinary if it is defined in a section of the output, and neither thread-local nor an IFUNC; else Python makes it. last:
 * the section asked for before. */
static bool record_of(const Layout *layout, PyObject *symbol, PyObject *name, PyObject *make, PyObject **last, Place *place, Symbol *record)
{
    if (!is_symbol(layout, symbol)) return false;
    PyObject *section = *slot(layout, symbol, SECTION);
    if (section != *last) {
        if (!place_of(section, place)) return false;
        *last = section;
    }
    uint64_t type = number_in(layout, symbol, TYPE), binding = number_in(layout, symbol, BINDING), offset = PyLong_AsUnsignedLongLongMask(name);
    if (PyErr_Occurred()) return false;
    if (!place->there || !number_in(layout, symbol, RANK) || type == STT_TLS || type == STT_GNU_IFUNC || place->index >= SHN_LORESERVE) {
        PyObject *made = PyObject_CallFunctionObjArgs(make, name, symbol, NULL);
        bool good = made && take_record(made, record);
        Py_XDECREF(made);
        *last = NULL; /* it may have been freed */
        return good;
    }
    record->name = (uint32_t)offset;
    record->info = (uint8_t)((binding ? binding : STB_GLOBAL) << 4 | type);
    record->other = (uint8_t)number_in(layout, symbol, VISIBILITY);
    record->section = (uint16_t)place->index;
    record->size = number_in(layout, symbol, SIZE);
    return address_in(place, number_in(layout, symbol, VALUE), &record->value) && !PyErr_Occurred();
}

/* dynamic_symbols(layout, word, symbols, names, record): the records of .dynsym, with an empty one before them. names: the symbols' places in
 * .dynstr; record(name, symbol) makes one that is not ordinary. */
PyObject *native_dynamic_symbols(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *capsule, *symbols, *names, *make, *last = NULL;
    int word;
    if (!PyArg_ParseTuple(arguments, "OiO!O!O", &capsule, &word, &PyList_Type, &symbols, &PyList_Type, &names, &make)) return NULL;
    const Layout *layout = layout_in(capsule);
    if (!layout) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(symbols), step = symbol_size(word);
    if (PyList_GET_SIZE(names) != count) return PyErr_SetString(PyExc_ValueError, "dynamic_symbols: a name for each symbol"), NULL;
    PyObject *result = PyBytes_FromStringAndSize(NULL, (count + 1) * step);
    if (!result) return NULL;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
    memset(out, 0, step);
    Place place = {0};
    for (Py_ssize_t i = 0; i < count; i++) {
        Symbol record = {0};
        if (i >= PyList_GET_SIZE(symbols) || i >= PyList_GET_SIZE(names) ||
            !record_of(layout, PyList_GET_ITEM(symbols, i), PyList_GET_ITEM(names, i), make, &last, &place, &record)) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "dynamic_symbols: the lists have changed");
            Py_DECREF(result);
            return NULL;
        }
        put_symbol(out + (i + 1) * step, word, &record);
    }
    return result;
}
