/* Where the attributes of a Symbol and of its DynamicBinding (passes/model.py) lie in the objects. They are classes with __slots__, so each is a
 * pointer at a fixed place; looking them up by name takes ten times as long. */
#ifndef USELIB_LINKER_LAYOUT_H
#define USELIB_LINKER_LAYOUT_H

#include "records.h"

typedef enum {
    NAME, DEFINING_FILE, SECTION, RANK, VALUE, SIZE, TYPE, BINDING, VISIBILITY, REFERENCED, STRONG_REFERENCE, PROVIDED, ADDRESS, DYNAMIC, FIELDS
} Field;

typedef enum { PREEMPTIBLE, EXPORTED, COPIED, CANONICAL, PLT, THROUGH_GOT, NUMBER, BINDING_FIELDS } BindingField;

typedef struct {
    PyObject *template; /* a new object */
    Py_ssize_t at[FIELDS];
    Py_ssize_t first, end; /* all slots */
} Slots;

typedef struct {
    Slots symbol, binding;
} Layout;

static inline PyObject **slot(const Layout *layout, PyObject *symbol, Field field)
{
    return (PyObject **)((char *)symbol + layout->symbol.at[field]);
}

static inline PyObject **binding_slot(const Layout *layout, PyObject *binding, BindingField field)
{
    return (PyObject **)((char *)binding + layout->binding.at[field]);
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

/* The binding of a symbol, borrowed; NULL without an exception if it has none, with one if it has something else there. */
PyObject *binding_of(const Layout *layout, PyObject *symbol);

#endif
