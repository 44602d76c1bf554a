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

/* The parts of a section that was cut into pieces (model.PieceMap). */
typedef struct {
    PyObject *all, *starts, *targets; /* all: None if it is in one piece; starts NULL: Python is asked */
    uint64_t base;
    bool live;
} Pieces;

/* Those of a section, or None, in place of the ones before. False: with an exception. */
bool pieces_of(PyObject *section, Pieces *pieces);

/* The address of an offset in such a section. */
bool address_of_piece(const Pieces *pieces, int64_t offset, uint64_t *out);

void forget_pieces(Pieces *pieces);

#endif
