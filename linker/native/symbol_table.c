/* The symbol table of the output: the rows that passes/output_symbols.py gives, packed as ELF has them. */
#include "places.h"

typedef struct {
    uint64_t value, size;
    const char *name;
    uint32_t length; /* of the name */
    uint16_t section;
    uint8_t info, other;
} Row;

typedef struct {
    Row *rows;
    Py_ssize_t count, room;
    PyObject *held; /* names that are not elsewhere: bytes */
} Rows;

static bool add(Rows *rows, Row row)
{
    if (rows->count == rows->room) {
        Py_ssize_t room = rows->room * 2 + 64;
        Row *more = PyMem_Realloc(rows->rows, room * sizeof *more);
        if (!more) return PyErr_NoMemory(), false;
        rows->rows = more;
        rows->room = room;
    }
    rows->rows[rows->count++] = row;
    return true;
}

/* The bytes of a name. */
static bool name_of(Rows *rows, PyObject *name, Row *row)
{
    Py_ssize_t length;
    if (!PyUnicode_Check(name)) return PyErr_SetString(PyExc_TypeError, "a name is text"), false;
    if (PyUnicode_IS_COMPACT_ASCII(name)) {
        row->name = (const char *)PyUnicode_1BYTE_DATA(name);
        length = PyUnicode_GET_LENGTH(name);
    } else {
        PyObject *bytes = PyUnicode_AsEncodedString(name, "utf-8", "surrogateescape");
        if (!bytes) return false;
        bool held = !PyList_Append(rows->held, bytes);
        Py_DECREF(bytes);
        if (!held) return false;
        row->name = PyBytes_AS_STRING(bytes);
        length = PyBytes_GET_SIZE(bytes);
    }
    row->length = (uint32_t)length;
    return true;
}

/* A row that Python made: (name, info, other, section, value, size). */
static bool add_made(Rows *rows, PyObject *made)
{
    PyObject *fields = PySequence_Tuple(made), *name, *value, *size;
    Row row = {0};
    bool good = fields && PyArg_ParseTuple(fields, "ObbHOO", &name, &row.info, &row.other, &row.section, &value, &size) && PyList_Append(rows->held, name) == 0 &&
                name_of(rows, name, &row);
    if (good) {
        row.value = PyLong_AsUnsignedLongLongMask(value);
        row.size = PyLong_AsUnsignedLongLongMask(size);
        good = !PyErr_Occurred() && add(rows, row);
    }
    Py_XDECREF(fields);
    return good;
}

/* A sequence of such rows. */
static bool add_all_made(Rows *rows, PyObject *list)
{
    PyObject *all = PySequence_Fast(list, "rows are wanted");
    bool good = all != NULL;
    for (Py_ssize_t i = 0; good && i < PySequence_Fast_GET_SIZE(all); i++) good = add_made(rows, PySequence_Fast_GET_ITEM(all, i));
    Py_XDECREF(all);
    return good;
}

/* Local symbols of a file, without section symbols and the compiler's .L labels. places: of its sections. */
static bool add_locals(Rows *rows, const uint8_t *at, int word, Py_ssize_t count, PyObject *strings, const Place *places, Py_ssize_t sections)
{
    const char *text = PyBytes_AS_STRING(strings);
    for (Py_ssize_t i = 1; i < count; i++) {
        Symbol symbol = symbol_at(at + i * symbol_size(word), word);
        int kind = symbol.info & 15;
        if (kind == STT_SECTION || !symbol.name) continue;
        if (symbol.name >= (uint64_t)PyBytes_GET_SIZE(strings)) return PyErr_Format(PyExc_IndexError, "%u", symbol.name), false;
        Row row = {symbol.value, symbol.size, text + symbol.name, (uint32_t)strlen(text + symbol.name), SHN_ABS, symbol.info, symbol.other};
        if (row.name[0] == '.' && row.name[1] == 'L') continue;
        if (kind == STT_FILE) {
            row.value = row.size = 0;
        } else if (symbol.section < SHN_LORESERVE) {
            if (symbol.section >= sections || !places[symbol.section].there) continue;
            row.section = (uint16_t)places[symbol.section].index;
            if (!address_in(&places[symbol.section], symbol.value, &row.value)) return false;
        } else if (symbol.section != SHN_ABS) {
            continue;
        }
        if (!add(rows, row)) return false;
    }
    return true;
}

/* The local symbols of the files: each (table, first global, strings, sections), or a list of rows that Python made. */
static bool add_files(Rows *rows, PyObject *files, int word)
{
    Place *places = NULL;
    Py_ssize_t room = 0;
    bool good = true;
    for (Py_ssize_t f = 0; good && f < PyList_GET_SIZE(files); f++) {
        PyObject *file = PyList_GET_ITEM(files, f), *strings, *sections;
        Py_buffer table;
        Py_ssize_t first;
        if (!PyTuple_Check(file)) {
            good = add_all_made(rows, file);
            continue;
        }
        if (!PyArg_ParseTuple(file, "y*nO!O!", &table, &first, &PyBytes_Type, &strings, &PyList_Type, &sections)) {
            good = false;
            break;
        }
        Py_ssize_t count = PyList_GET_SIZE(sections);
        if (count > room) {
            Place *more = PyMem_Realloc(places, count * sizeof *more);
            good = more != NULL;
            if (more) places = more, room = count;
            else PyErr_NoMemory();
        }
        for (Py_ssize_t i = 0; good && i < count; i++) good = place_of(PyList_GET_ITEM(sections, i), &places[i]);
        if (good && first > table.len / symbol_size(word)) good = (PyErr_SetString(PyExc_ValueError, "more local symbols than symbols"), false);
        if (good) good = add_locals(rows, table.buf, word, first, strings, places, count);
        PyBuffer_Release(&table);
    }
    PyMem_Free(places);
    return good;
}

/* The row of a global symbol: ordinary if it is defined in a section of the output, else Python makes it. last: the section asked for before. */
static bool add_global(Rows *rows, const Layout *layout, PyObject *symbol, PyObject *row_of, PyObject **last, Place *place)
{
    if (!is_symbol(layout, symbol)) return false;
    PyObject *section = *slot(layout, symbol, SECTION);
    if (section != *last) {
        if (!place_of(section, place)) return false;
        *last = section;
    }
    if (!place->there || !number_in(layout, symbol, RANK)) {
        PyObject *made = PyObject_CallOneArg(row_of, symbol);
        bool good = made && (made == Py_None || add_made(rows, made));
        Py_XDECREF(made);
        return good;
    }
    enum { INTERNAL = 1, HIDDEN = 2 };
    uint8_t visibility = (uint8_t)number_in(layout, symbol, VISIBILITY), binding = (uint8_t)number_in(layout, symbol, BINDING);
    binding = visibility == INTERNAL || visibility == HIDDEN ? STB_LOCAL : binding ? binding : STB_GLOBAL;
    uint8_t info = (uint8_t)(binding << 4 | number_in(layout, symbol, TYPE));
    Row row = {.size = number_in(layout, symbol, SIZE), .section = (uint16_t)place->index, .info = info, .other = visibility};
    return name_of(rows, *slot(layout, symbol, NAME), &row) && address_in(place, number_in(layout, symbol, VALUE), &row.value) && add(rows, row);
}

static bool add_globals(Rows *rows, const Layout *layout, PyObject *symbols, PyObject *own, PyObject *row_of)
{
    PyObject *last = NULL;
    Place place = {0};
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(symbols); i++) {
        PyObject *symbol = PyList_GET_ITEM(symbols, i);
        if (own != Py_None) {
            PyObject *special = PyObject_CallOneArg(own, symbol);
            bool good = special && (special == Py_None || add_all_made(rows, special)), there = special != Py_None;
            Py_XDECREF(special);
            if (!good) return false;
            if (there) continue;
        }
        if (!add_global(rows, layout, symbol, row_of, &last, &place)) return false;
    }
    return true;
}

/* -- records and strings ------------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    char *text;
    uint64_t size;
    uint32_t *places; /* offsets of strings, by their hashes; 0: free */
    uint64_t mask;
} Strings;

/* The offset of a name, which is added if it is new. */
static uint32_t offset_of(Strings *strings, const char *name, uint32_t length)
{
    if (!length) return 0;
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3u;
    uint64_t at = (hash ^ hash >> 29) & strings->mask;
    for (uint32_t known; (known = strings->places[at]); at = (at + 1) & strings->mask)
        if (!strncmp(strings->text + known, name, length) && !strings->text[known + length]) return known;
    uint32_t offset = (uint32_t)strings->size;
    strings->places[at] = offset;
    memcpy(strings->text + offset, name, length);
    strings->text[offset + length] = 0;
    strings->size += length + 1;
    return offset;
}

/* (records, strings, number of the first global, every st_info): local symbols first, each name once, in the order of the records. */
static PyObject *packed(const Rows *rows, int word)
{
    uint64_t room = 1, places = 64;
    for (Py_ssize_t i = 0; i < rows->count; i++) room += rows->rows[i].length + 1;
    while (places < 2 * (uint64_t)rows->count) places *= 2;
    if (room > UINT32_MAX) return PyErr_NoMemory();
    Py_ssize_t step = symbol_size(word), locals = 0;
    bool seen[256] = {false};
    PyObject *table = PyBytes_FromStringAndSize(NULL, (rows->count + 1) * step), *text = PyBytes_FromStringAndSize(NULL, room), *result = NULL;
    Strings strings = {.size = 1, .places = PyMem_Calloc(places, sizeof(uint32_t)), .mask = places - 1};
    if (!table || !text || !strings.places) {
        if (!PyErr_Occurred()) PyErr_NoMemory();
        goto done;
    }
    strings.text = PyBytes_AS_STRING(text);
    strings.text[0] = 0;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(table);
    memset(out, 0, step);
    for (int global = 0; global < 2; global++)
        for (Py_ssize_t i = 0; i < rows->count; i++) {
            const Row *row = &rows->rows[i];
            if ((row->info >> 4 != STB_LOCAL) != global) continue;
            Symbol symbol = {row->value, row->size, offset_of(&strings, row->name, row->length), row->section, row->info, row->other};
            put_symbol(out += step, word, &symbol);
            locals += !global;
            seen[row->info] = true;
        }
    char infos[256];
    Py_ssize_t kinds = 0;
    for (int i = 0; i < 256; i++)
        if (seen[i]) infos[kinds++] = (char)i;
    if (!_PyBytes_Resize(&text, (Py_ssize_t)strings.size)) result = Py_BuildValue("OOny#", table, text, locals + 1, infos, kinds);
done:
    PyMem_Free(strings.places);
    Py_XDECREF(table);
    Py_XDECREF(text);
    return result;
}

/* Room for a row of each symbol; memory that is not written to costs nothing. */
static bool reserve(Rows *rows, PyObject *files, PyObject *symbols, int word)
{
    Py_ssize_t room = PyList_GET_SIZE(symbols) + 64;
    for (Py_ssize_t f = 0; f < PyList_GET_SIZE(files); f++) {
        PyObject *file = PyList_GET_ITEM(files, f), *first = PyTuple_Check(file) && PyTuple_GET_SIZE(file) > 1 ? PyTuple_GET_ITEM(file, 1) : NULL;
        Py_ssize_t count = first && PyLong_Check(first) ? PyLong_AsSsize_t(first) : 0;
        if (count == -1 && PyErr_Occurred()) return false;
        if (count > 0 && count < PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(Row) - room && count < (1 << 28) / symbol_size(word)) room += count;
    }
    rows->rows = PyMem_Malloc(room * sizeof *rows->rows);
    rows->room = room;
    return rows->rows ? true : (PyErr_NoMemory(), false);
}

/* symbol_table(layout, word, files, symbols, own, row_of): the symbol table of the output. files: add_files; symbols: the global ones;
 * own: a function that gives a symbol's rows in this kind of output, or None; row_of: one that gives the row of a symbol that is not
 * defined in a section, or None. */
PyObject *native_symbol_table(PyObject *self, PyObject *arguments)
{
    (void)self;
    int word;
    PyObject *capsule, *files, *symbols, *own, *row_of, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "OiO!O!OO", &capsule, &word, &PyList_Type, &files, &PyList_Type, &symbols, &own, &row_of)) return NULL;
    const Layout *layout = layout_in(capsule);
    Rows rows = {.held = PyList_New(0)};
    if (layout && rows.held && reserve(&rows, files, symbols, word) && add_files(&rows, files, word) && add_globals(&rows, layout, symbols, own, row_of)) result = packed(&rows, word);
    PyMem_Free(rows.rows);
    Py_XDECREF(rows.held);
    return result;
}
