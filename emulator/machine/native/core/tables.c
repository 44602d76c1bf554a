/* Every file of replacements, one table each. */
#include "core.h"

extern const Replacement uselib_user[];

const Replacement *const uselib_replacements[] = {
    uselib_user,
    NULL,
};
