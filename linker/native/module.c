/* uselib.linker._native: the loops of the linker over every symbol and every relocation. passes/native_*.py use it where it was built.
 * Each function exists in Python too, and tests compare both. */
#include "records.h"

static PyMethodDef functions[] = {
    {"odd", native_odd, METH_VARARGS, NULL},
    {"apply", native_apply, METH_VARARGS, NULL},
    {"values", native_values, METH_VARARGS, NULL},
    {"branches", native_branches, METH_VARARGS, NULL},
    {"export", native_export, METH_VARARGS, NULL},
    {"layout", native_layout, METH_VARARGS, NULL},
    {"take", native_take, METH_VARARGS, NULL},
    {"symbol_table", native_symbol_table, METH_VARARGS, NULL},
    {"symbol_flags", native_symbol_flags, METH_VARARGS, NULL},
    {"scan", native_scan, METH_VARARGS, NULL},
    {"place", native_place, METH_VARARGS, NULL},
    {"sorted_rows", native_sorted_rows, METH_VARARGS, NULL},
    {"hash_order", native_hash_order, METH_VARARGS, NULL},
    {"gnu_hash", native_gnu_hash, METH_VARARGS, NULL},
    {"sysv_hash", native_sysv_hash, METH_VARARGS, NULL},
    {"dynamic_symbols", native_dynamic_symbols, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "uselib.linker._native", .m_size = 0, .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&module);
}
