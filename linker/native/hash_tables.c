/* .gnu.hash and .hash (formats/dynamic_tables.py has the same in Python, and says where they are described). */
#include "records.h"

enum { MOST = 1 << 28 }; /* buckets, and words of the Bloom filter */

static uint32_t gnu_hash(const uint8_t *name, Py_ssize_t length)
{
    uint32_t value = 5381;
    for (Py_ssize_t i = 0; i < length; i++) value = value * 33 + name[i];
    return value;
}

static uint32_t sysv_hash(const uint8_t *name, Py_ssize_t length)
{
    uint32_t value = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        value = (value << 4) + name[i];
        uint32_t high = value & 0xf0000000;
        value = (value ^ high >> 24) & ~high;
    }
    return value;
}

/* The hash of each name of a list: to be freed; NULL with an exception. */
static uint32_t *hashes(PyObject *names, uint32_t (*hash)(const uint8_t *, Py_ssize_t))
{
    Py_ssize_t count = PyList_GET_SIZE(names);
    uint32_t *result = PyMem_Malloc((count + 1) * sizeof *result);
    if (!result) return (uint32_t *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyList_GET_ITEM(names, i), *bytes = NULL;
        if (PyUnicode_Check(name) && PyUnicode_IS_COMPACT_ASCII(name)) {
            result[i] = hash(PyUnicode_1BYTE_DATA(name), PyUnicode_GET_LENGTH(name));
        } else if (PyUnicode_Check(name) && (bytes = PyUnicode_AsEncodedString(name, "utf-8", "surrogateescape"))) {
            result[i] = hash((const uint8_t *)PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
            Py_DECREF(bytes);
        } else {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "a name is text");
            PyMem_Free(result);
            return NULL;
        }
    }
    return result;
}

static bool in_range(Py_ssize_t buckets, Py_ssize_t words)
{
    if (buckets > 0 && buckets <= MOST && words > 0 && words <= MOST) return true;
    PyErr_SetString(PyExc_ValueError, "hash table: 1 to 2**28 buckets and words");
    return false;
}

/* hash_order(names, buckets): positions of the names, by bucket of .gnu.hash; those of a bucket in their order. */
PyObject *native_hash_order(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *names, *result = NULL;
    Py_ssize_t buckets;
    if (!PyArg_ParseTuple(arguments, "O!n", &PyList_Type, &names, &buckets) || !in_range(buckets, 1)) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(names), place = 0;
    uint32_t *hash = hashes(names, gnu_hash);
    Py_ssize_t *places = hash ? PyMem_Calloc(buckets, sizeof *places) : NULL;
    if (hash && !places) PyErr_NoMemory();
    if (places && (result = PyList_New(count))) {
        for (Py_ssize_t i = 0; i < count; i++) places[hash[i] % buckets]++;
        for (Py_ssize_t i = 0; i < buckets; i++) {
            Py_ssize_t here = places[i];
            places[i] = place;
            place += here;
        }
        for (Py_ssize_t i = 0; i < count; i++) {
            PyObject *number = PyLong_FromSsize_t(i);
            if (!number) {
                Py_CLEAR(result);
                break;
            }
            PyList_SET_ITEM(result, places[hash[i] % buckets]++, number);
        }
    }
    PyMem_Free(hash);
    PyMem_Free(places);
    return result;
}

/* gnu_hash(names, first, word, buckets, words, shift): .gnu.hash of names in hash order, the first of which has number `first`. */
PyObject *native_gnu_hash(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *names;
    unsigned first, shift;
    int word;
    Py_ssize_t buckets, words;
    if (!PyArg_ParseTuple(arguments, "O!IinnI", &PyList_Type, &names, &first, &word, &buckets, &words, &shift) || !in_range(buckets, words)) return NULL;
    if ((word != 4 && word != 8) || shift > 31) return PyErr_SetString(PyExc_ValueError, "gnu_hash: words of 4 or 8 bytes, a shift below 32"), NULL;
    Py_ssize_t count = PyList_GET_SIZE(names), bits = 8 * word, size = 16 + words * word + 4 * (buckets + count);
    uint32_t *hash = hashes(names, gnu_hash);
    PyObject *result = hash ? PyBytes_FromStringAndSize(NULL, size) : NULL;
    if (result) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result), *bloom = out + 16, *heads = bloom + words * word, *chain = heads + 4 * buckets;
        uint32_t header[4] = {(uint32_t)buckets, first, (uint32_t)words, shift};
        memset(out, 0, size);
        memcpy(out, header, sizeof header);
        for (Py_ssize_t i = 0; i < count; i++) {
            uint32_t value = hash[i], bucket = value % buckets, chained = value & ~1u;
            uint8_t *filter = bloom + value / bits % words * word;
            uint64_t set = (word == 8 ? u64(filter) : u32(filter)) | (uint64_t)1 << value % bits | (uint64_t)1 << (value >> shift) % bits;
            memcpy(filter, &set, word);
            uint32_t head = u32(heads + 4 * bucket);
            if (!head) {
                head = first + (uint32_t)i;
                memcpy(heads + 4 * bucket, &head, 4);
            }
            chained |= i + 1 == count || hash[i + 1] % buckets != bucket;
            memcpy(chain + 4 * i, &chained, 4);
        }
    }
    PyMem_Free(hash);
    return result;
}

/* sysv_hash(names, buckets): .hash of all dynamic symbols but number 0. */
PyObject *native_sysv_hash(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *names;
    Py_ssize_t buckets;
    if (!PyArg_ParseTuple(arguments, "O!n", &PyList_Type, &names, &buckets) || !in_range(buckets, 1)) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(names), size = 4 * (2 + buckets + count + 1);
    uint32_t *hash = hashes(names, sysv_hash);
    PyObject *result = hash ? PyBytes_FromStringAndSize(NULL, size) : NULL;
    if (result) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result), *heads = out + 8, *chain = heads + 4 * buckets;
        uint32_t header[2] = {(uint32_t)buckets, (uint32_t)count + 1};
        memset(out, 0, size);
        memcpy(out, header, sizeof header);
        for (Py_ssize_t i = 0; i < count; i++) {
            uint8_t *head = heads + 4 * (hash[i] % buckets);
            uint32_t number = (uint32_t)i + 1;
            memcpy(chain + 4 * number, head, 4);
            memcpy(head, &number, 4);
        }
    }
    PyMem_Free(hash);
    return result;
}
