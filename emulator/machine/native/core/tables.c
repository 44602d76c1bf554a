/* Every file of replacements, one table each. */
#include "core.h"

extern const Replacement uselib_align[], uselib_bmi[], uselib_calls[], uselib_translate[], uselib_emit[], uselib_host_faults[], uselib_locked[], uselib_starts[], uselib_mmx[], uselib_segments[],
    uselib_sse[], uselib_text[], uselib_tlb[], uselib_user[], uselib_x87[],
    uselib_x87_memory[], uselib_x87_stack[];

const Replacement *const uselib_replacements[] = {
    uselib_align,
    uselib_bmi,
    uselib_calls, /* ../calls/entry.c */
    uselib_translate,
    uselib_emit,
    uselib_host_faults,
    uselib_locked,
    uselib_starts,
    uselib_mmx,
    uselib_segments,
    uselib_sse,
    uselib_text,
    uselib_tlb,
    uselib_user,
    uselib_x87,
    uselib_x87_memory,
    uselib_x87_stack,
    NULL,
};
