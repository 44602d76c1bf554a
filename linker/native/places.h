/* Where sections lie in the output. */
#ifndef USELIB_LINKER_PLACES_H
#define USELIB_LINKER_PLACES_H

#include "layout.h"

typedef struct {
    uint64_t address;
    uint32_t index; /* of the output section: model.OutputSection.index */
    bool there;
    PyObject *pieces; /* borrowed; NULL: it is in one piece */
} Place;

/* Where a section lies: .there is false if it lies nowhere, or is None. False: with an exception. */
bool place_of(PyObject *section, Place *place);

/* The address of an offset in a section. */
bool address_in(const Place *place, uint64_t value, uint64_t *out);

#endif
