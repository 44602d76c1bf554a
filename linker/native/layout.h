/* Where the attributes of a Symbol (passes/model.py) lie in the object. It is a class with __slots__, so each is a pointer at a fixed place; looking
 * them up by name takes ten times as long. */
#ifndef USELIB_LINKER_LAYOUT_H
#define USELIB_LINKER_LAYOUT_H

#include "records.h"

typedef enum {
    NAME, DEFINING_FILE, SECTION, RANK, VALUE, SIZE, TYPE, BINDING, VISIBILITY, REFERENCED, STRONG_REFERENCE, FIELDS
} Field;

typedef struct {
    PyObject *template; /* a new, undefined symbol */
    Py_ssize_t at[FIELDS];
    Py_ssize_t first, end; /* all slots */
} Layout;

static inline PyObject **slot(const Layout *layout, PyObject *symbol, Field field)
{
    return (PyObject **)((char *)symbol + layout->at[field]);
}

/* The value of a slot that holds an integer, modulo 2**64. */
static inline uint64_t number_in(const Layout *layout, PyObject *symbol, Field field)
{
    return PyLong_AsUnsignedLongLongMask(*slot(layout, symbol, field));
}

/* The layout in a capsule that `layout` made, or NULL with an exception. */
const Layout *layout_in(PyObject *capsule);

/* Whether an object is a symbol with all its slots filled; if not, with an exception. */
bool is_symbol(const Layout *layout, PyObject *object);

#endif
