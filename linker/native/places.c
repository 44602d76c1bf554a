#include "places.h"

/* Names of attributes, made once. */
static PyObject *output_name, *pieces_name, *live_name, *address_name, *index_name, *merged_name, *starts_name, *targets_name;

static bool intern(PyObject **name, const char *text)
{
    return *name || (*name = PyUnicode_InternFromString(text));
}

static bool have_names(void)
{
    return intern(&output_name, "output") && intern(&pieces_name, "pieces") && intern(&live_name, "live") && intern(&address_name, "address") &&
           intern(&index_name, "index") && intern(&merged_name, "merged") && intern(&starts_name, "starts") && intern(&targets_name, "targets");
}

static bool get_number(PyObject *object, PyObject *name, uint64_t *out)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (!value) return false;
    *out = PyLong_AsUnsignedLongLongMask(value);
    Py_DECREF(value);
    return !PyErr_Occurred();
}

bool place_of(PyObject *section, Place *place)
{
    *place = (Place){0};
    if (section == Py_None) return true;
    if (!have_names()) return false;
    PyObject *output = PyObject_GetAttr(section, output_name), *pieces = PyObject_GetAttr(section, pieces_name);
    uint64_t live, index = 0;
    bool good = output && pieces && get_number(section, live_name, &live) && get_number(section, address_name, &place->address);
    if (good && output != Py_None && live) {
        good = get_number(output, index_name, &index);
        place->there = true;
        place->index = (uint32_t)index;
        place->pieces = pieces != Py_None ? pieces : NULL; /* the section keeps it */
    }
    Py_XDECREF(output);
    Py_XDECREF(pieces);
    return good;
}

bool address_in(const Place *place, uint64_t value, uint64_t *out)
{
    *out = place->address + value;
    if (!place->pieces) return true;
    PyObject *address = PyObject_CallMethod(place->pieces, "address", "L", (long long)value);
    if (!address) return false;
    *out = PyLong_AsUnsignedLongLongMask(address);
    Py_DECREF(address);
    return !PyErr_Occurred();
}

void forget_pieces(Pieces *pieces)
{
    Py_CLEAR(pieces->all);
    Py_CLEAR(pieces->starts);
    Py_CLEAR(pieces->targets);
}

bool pieces_of(PyObject *section, Pieces *pieces)
{
    forget_pieces(pieces);
    pieces->live = false;
    if (section == Py_None) return true;
    uint64_t live;
    if (!have_names() || !get_number(section, live_name, &live) || !(pieces->all = PyObject_GetAttr(section, pieces_name))) return false;
    pieces->live = live;
    if (pieces->all == Py_None) return true;
    PyObject *merged = PyObject_GetAttr(pieces->all, merged_name);
    if (merged && (pieces->starts = PyObject_GetAttr(pieces->all, starts_name)) && (pieces->targets = PyObject_GetAttr(pieces->all, targets_name)) &&
        PyList_CheckExact(pieces->starts) && PyList_CheckExact(pieces->targets) && get_number(merged, address_name, &pieces->base)) {
        Py_DECREF(merged);
        return true;
    }
    Py_XDECREF(merged);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError)) return false;
    PyErr_Clear();
    Py_CLEAR(pieces->starts);
    Py_CLEAR(pieces->targets);
    return true;
}

bool address_of_piece(const Pieces *pieces, int64_t offset, uint64_t *out)
{
    if (!pieces->starts || !PyList_GET_SIZE(pieces->starts)) {
        Place place = {.pieces = pieces->all};
        return address_in(&place, (uint64_t)offset, out);
    }
    Py_ssize_t low = 0, high = PyList_GET_SIZE(pieces->starts);
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (offset < PyLong_AsLongLong(PyList_GET_ITEM(pieces->starts, middle)))
            high = middle;
        else
            low = middle + 1;
    }
    Py_ssize_t index = low ? low - 1 : 0;
    if (index >= PyList_GET_SIZE(pieces->targets)) return PyErr_SetString(PyExc_ValueError, "pieces: a target for each start"), false;
    uint64_t start = PyLong_AsUnsignedLongLongMask(PyList_GET_ITEM(pieces->starts, index));
    *out = pieces->base + PyLong_AsUnsignedLongLongMask(PyList_GET_ITEM(pieces->targets, index)) + (uint64_t)offset - start;
    return !PyErr_Occurred();
}
