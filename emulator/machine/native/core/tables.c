/* Every file of replacements, one table each. */
#include "core.h"

extern const Replacement uselib_decode[], uselib_emit[], uselib_host_faults[], uselib_mmx[], uselib_sse[],
    uselib_text[], uselib_tlb[], uselib_user[], uselib_x87[];

const Replacement *const uselib_replacements[] = {
    uselib_decode,
    uselib_emit,
    uselib_host_faults,
    uselib_mmx,
    uselib_sse,
    uselib_text,
    uselib_tlb,
    uselib_user,
    uselib_x87,
    NULL,
};
