#include "places.h"

/* Names of attributes, made once. */
static PyObject *output_name, *pieces_name, *live_name, *address_name, *index_name;

static bool intern(PyObject **name, const char *text)
{
    return *name || (*name = PyUnicode_InternFromString(text));
}

static bool have_names(void)
{
    return intern(&output_name, "output") && intern(&pieces_name, "pieces") && intern(&live_name, "live") && intern(&address_name, "address") &&
           intern(&index_name, "index");
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
    PyObject *address = PyObject_CallMethod(place->pieces, "address", "K", (unsigned long long)value);
    if (!address) return false;
    *out = PyLong_AsUnsignedLongLongMask(address);
    Py_DECREF(address);
    return !PyErr_Occurred();
}
