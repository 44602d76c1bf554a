/* Every file of replacements, one table each. */
#include "core.h"

extern const Replacement uselib_decode[], uselib_emit[], uselib_sse[], uselib_user[];

const Replacement *const uselib_replacements[] = {
    uselib_decode,
    uselib_emit,
    uselib_sse,
    uselib_user,
    NULL,
};
