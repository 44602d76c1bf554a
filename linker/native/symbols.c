/* Enters the symbols of a file into the symbols of the link, in the common cases (passes/definitions.py has all cases in Python). */
#include "layout.h"
#include <structmember.h>

static const char *const field_names[FIELDS] = {"name", "file", "section", "rank", "value", "size", "type", "binding", "visibility", "referenced",
                                                "strong_reference", "provided", "address", "dynamic"};
static const char *const binding_names[BINDING_FIELDS] = {"preemptible", "exported", "copied", "canonical", "plt", "through_got", "number"};
static const char capsule_name[] = "uselib.linker._native.layout";

static void drop(PyObject *capsule)
{
    Layout *layout = PyCapsule_GetPointer(capsule, capsule_name);
    if (!layout) return;
    Py_XDECREF(layout->symbol.template);
    Py_XDECREF(layout->binding.template);
    PyMem_Free(layout);
}

/* Finds the slots of a class by an object of it. */
static bool find_slots(Slots *slots, PyObject *template, const char *const *names, int count)
{
    PyTypeObject *type = Py_TYPE(template);
    slots->first = sizeof(PyObject);
    slots->end = type->tp_basicsize;
    Py_ssize_t all = 0;
    int named = 0;
    for (PyMemberDef *member = type->tp_members; member && member->name; member++) {
        all += member->type == T_OBJECT_EX;
        for (int i = 0; i < count; i++)
            if (!strcmp(member->name, names[i])) slots->at[i] = member->offset, named++;
    }
    if (named != count || slots->end != slots->first + all * (Py_ssize_t)sizeof(PyObject *))
        return PyErr_SetString(PyExc_TypeError, "layout: a symbol and a binding with slots are wanted"), false;
    slots->template = Py_NewRef(template);
    return true;
}

/* layout(symbol, binding): where the attributes of these lie. symbol: a new one, which is copied for others. */
PyObject *native_layout(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *symbol, *binding, *capsule = NULL;
    if (!PyArg_ParseTuple(arguments, "OO", &symbol, &binding)) return NULL;
    Layout *layout = PyMem_Calloc(1, sizeof *layout);
    if (!layout) return PyErr_NoMemory();
    if (find_slots(&layout->symbol, symbol, field_names, FIELDS) && find_slots(&layout->binding, binding, binding_names, BINDING_FIELDS))
        capsule = PyCapsule_New(layout, capsule_name, drop);
    if (!capsule) {
        Py_XDECREF(layout->symbol.template);
        Py_XDECREF(layout->binding.template);
        PyMem_Free(layout);
    }
    return capsule;
}

const Layout *layout_in(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, capsule_name);
}

static bool is_whole(const Slots *slots, PyObject *object)
{
    bool good = Py_IS_TYPE(object, Py_TYPE(slots->template));
    for (Py_ssize_t at = slots->first; good && at < slots->end; at += sizeof(PyObject *)) good = *(PyObject **)((char *)object + at) != NULL;
    if (!good) PyErr_SetString(PyExc_TypeError, "a symbol is wanted");
    return good;
}

bool is_symbol(const Layout *layout, PyObject *object) { return is_whole(&layout->symbol, object); }

PyObject *binding_of(const Layout *layout, PyObject *symbol)
{
    PyObject *binding = *slot(layout, symbol, DYNAMIC);
    return binding != Py_None && is_whole(&layout->binding, binding) ? binding : NULL;
}

static void put(const Layout *layout, PyObject *symbol, Field field, PyObject *value) /* takes the reference */
{
    PyObject **place = slot(layout, symbol, field), *old = *place;
    *place = value;
    Py_XDECREF(old);
}

static bool put_number(const Layout *layout, PyObject *symbol, Field field, uint64_t value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    if (number) put(layout, symbol, field, number);
    return number != NULL;
}

/* A new object, as the template is. */
static PyObject *new_object(const Slots *slots)
{
    PyTypeObject *type = Py_TYPE(slots->template);
    PyObject *object = type->tp_alloc(type, 0);
    if (!object) return NULL;
    for (Py_ssize_t at = slots->first; at < slots->end; at += sizeof(PyObject *))
        *(PyObject **)((char *)object + at) = Py_XNewRef(*(PyObject **)((char *)slots->template + at));
    return object;
}

static PyObject *new_symbol(const Layout *layout, PyObject *name)
{
    PyObject *symbol = new_object(&layout->symbol);
    if (symbol) put(layout, symbol, NAME, Py_NewRef(name));
    return symbol;
}

typedef struct {
    const Layout *layout;
    PyObject *symbols, *globals, *sections, *file, *undefined, *offered, *left;
    int ours;
} Taking;

enum { FAILED = -1, LEFT = 0, TAKEN = 1 };

static void narrow(const Layout *layout, PyObject *symbol, uint8_t visibility)
{
    uint64_t known = number_in(layout, symbol, VISIBILITY);
    if (visibility && (!known || visibility < known)) put_number(layout, symbol, VISIBILITY, visibility);
}

/* A reference. */
static int refer(const Taking *t, PyObject *name, PyObject *symbol, uint8_t info)
{
    const Layout *layout = t->layout;
    bool undefined = !number_in(layout, symbol, RANK);
    if (t->ours) put(layout, symbol, REFERENCED, Py_NewRef(Py_True));
    if (info >> 4 != STB_WEAK) {
        put(layout, symbol, STRONG_REFERENCE, Py_NewRef(Py_True));
        if (undefined) {
            int offered = PySequence_Contains(t->offered, name);
            if (offered < 0 || (!offered && PyDict_SetItem(t->undefined, name, Py_None))) return FAILED;
        }
    }
    if ((info & 15) == STT_TLS && undefined && !put_number(layout, symbol, TYPE, STT_TLS)) return FAILED;
    return TAKEN;
}

/* The first definition of a symbol. */
static int define(const Taking *t, PyObject *symbol, const Symbol *record, PyObject *section)
{
    enum { WEAK = 1, STRONG = 3 }; /* model.py */
    const Layout *layout = t->layout;
    put(layout, symbol, DEFINING_FILE, Py_NewRef(t->file));
    put(layout, symbol, SECTION, Py_NewRef(section));
    bool good = put_number(layout, symbol, RANK, record->info >> 4 == STB_WEAK ? WEAK : STRONG) && put_number(layout, symbol, VALUE, record->value) &&
                put_number(layout, symbol, SIZE, record->size) && put_number(layout, symbol, TYPE, record->info & 15) &&
                put_number(layout, symbol, BINDING, record->info >> 4);
    return good ? TAKEN : FAILED;
}

static int take(const Taking *t, PyObject *name, const Symbol *record)
{
    PyObject *symbol = PyDict_GetItemWithError(t->symbols, name), *section = NULL;
    if (!symbol && PyErr_Occurred()) return FAILED;
    if (symbol && !is_symbol(t->layout, symbol)) return FAILED;
    if (record->section) {
        if (record->section >= SHN_LORESERVE || record->section >= PyList_GET_SIZE(t->sections)) return LEFT;
        section = PyList_GET_ITEM(t->sections, record->section);
        if (section == Py_None || (symbol && number_in(t->layout, symbol, RANK))) return LEFT;
    }
    bool known = symbol != NULL;
    if (known)
        Py_INCREF(symbol);
    else if (!(symbol = new_symbol(t->layout, name)) || PyDict_SetItem(t->symbols, name, symbol)) {
        Py_XDECREF(symbol);
        return FAILED;
    }
    int result = PyList_Append(t->globals, symbol) ? FAILED : TAKEN;
    narrow(t->layout, symbol, record->other & 3);
    if (result == TAKEN) result = section ? define(t, symbol, record, section) : refer(t, name, symbol, record->info);
    if (result == TAKEN && section && known) {
        int waiting = PyDict_Contains(t->undefined, name);
        if (waiting < 0 || (waiting && PyDict_DelItem(t->undefined, name))) result = FAILED;
    }
    Py_DECREF(symbol);
    return result;
}

/* take(layout, table, word, first, strings, symbols, globals, sections, file, ours, undefined, offered, left): adds the symbols from number `first` on
 * of a file's table to `symbols` (by name) and `globals`. left(number) does it for one that is not a reference or a first definition in a section.
 * False, and nothing done, if a name lies outside the strings. */
PyObject *native_take(PyObject *self, PyObject *arguments)
{
    (void)self;
    Taking t;
    Py_buffer table;
    int word;
    Py_ssize_t first;
    PyObject *capsule, *strings, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "Oy*inO!O!O!O!OpO!OO", &capsule, &table, &word, &first, &PyBytes_Type, &strings, &PyDict_Type, &t.symbols, &PyList_Type,
                          &t.globals, &PyList_Type, &t.sections, &t.file, &t.ours, &PyDict_Type, &t.undefined, &t.offered, &t.left))
        return NULL;
    Py_ssize_t step = symbol_size(word), rows = table.len / step, size = PyBytes_GET_SIZE(strings);
    const char *text = PyBytes_AS_STRING(strings); /* a NUL follows the bytes of every object */
    if (!(t.layout = layout_in(capsule))) goto done;
    if (first < 0) {
        PyErr_SetString(PyExc_ValueError, "take: a number below 0");
        goto done;
    }
    for (Py_ssize_t number = first; number < rows; number++)
        if (symbol_at((const uint8_t *)table.buf + number * step, word).name >= (uint64_t)size) {
            result = Py_NewRef(Py_False);
            goto done;
        }
    for (Py_ssize_t number = first; number < rows; number++) {
        Symbol record = symbol_at((const uint8_t *)table.buf + number * step, word);
        PyObject *name = PyUnicode_DecodeUTF8(text + record.name, strlen(text + record.name), "surrogateescape");
        int taken = name ? take(&t, name, &record) : FAILED;
        Py_XDECREF(name);
        if (taken == LEFT) {
            PyObject *nothing = PyObject_CallFunction(t.left, "n", number);
            if (!nothing) goto done;
            Py_DECREF(nothing);
        } else if (taken == FAILED)
            goto done;
    }
    result = Py_NewRef(Py_True);
done:
    PyBuffer_Release(&table);
    return result;
}

/* Whether a shared object exports a symbol as nearly all of them: it is defined by an input, with default visibility, and nothing is known of it. */
static bool is_plain(const Layout *layout, PyObject *symbol)
{
    return number_in(layout, symbol, RANK) && *slot(layout, symbol, DYNAMIC) == Py_None && *slot(layout, symbol, PROVIDED) == Py_False &&
           !number_in(layout, symbol, VISIBILITY) && number_in(layout, symbol, BINDING) != STB_LOCAL;
}

/* export(layout, symbols, exports, left): makes those symbols that are plain exported and preemptible, and adds them to exports; left(symbol) does what
 * is to be done for another. */
PyObject *native_export(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *capsule, *symbols, *exports, *left;
    if (!PyArg_ParseTuple(arguments, "OO!O!O", &capsule, &PyList_Type, &symbols, &PyList_Type, &exports, &left)) return NULL;
    const Layout *layout = layout_in(capsule);
    if (!layout) return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(symbols); i++) {
        PyObject *symbol = Py_NewRef(PyList_GET_ITEM(symbols, i)), *nothing = NULL, *binding = NULL;
        bool good = is_symbol(layout, symbol);
        if (good && is_plain(layout, symbol) && !PyErr_Occurred()) {
            good = (binding = new_object(&layout->binding)) && !PyList_Append(exports, symbol);
            if (good) {
                Py_SETREF(*binding_slot(layout, binding, EXPORTED), Py_NewRef(Py_True));
                Py_SETREF(*binding_slot(layout, binding, PREEMPTIBLE), Py_NewRef(Py_True));
                put(layout, symbol, DYNAMIC, Py_NewRef(binding));
            }
        } else if (good) {
            good = !PyErr_Occurred() && (nothing = PyObject_CallOneArg(left, symbol));
        }
        Py_XDECREF(binding);
        Py_XDECREF(nothing);
        Py_DECREF(symbol);
        if (!good) return NULL;
    }
    Py_RETURN_NONE;
}
