/* Start-up in the program itself in the schemes of BSD/OS. It is short, because the C library maps the others.
 *
 * bsdos: maps the first page of the C library, the first of the table, and calls its bootstrap with the whole table.
 * interp: the kernel has mapped the C library, which PT_INTERP names, and entered that; this code must not be reached. */

#if USELIB_SCHEME == SCHEME_BSDOS

void __uselib_start(long *stack) {
    const struct uselib_place *first = PROGRAM->table;
    struct uselib_call call = {PROGRAM, stack, 0};
    struct process process;
    struct library *library;
    struct search search;
    read_stack(&process, stack);
    if (asks_for_list(&process)) list_libraries(process.headers, process.header_count);
    if (!first || !first->name) refuse("", "Corrupt library list: the table was not linked.");
    set_search(&search, &process);
    library = add_library(first->name, needs_of_program(process.headers, process.header_count, first->name));
    tabled(first->name, library->needs);
    map_by_bootstrap(library, open_library(library, &search, path, sizeof path), &call);
    __libc_start_main(call.main, process.argc, process.argv, no_routine, no_routine, 0);
    for (;;) __builtin_trap();
}

#else

void __uselib_start(long *stack) {
    struct process process;
    read_stack(&process, stack);
    refuse(PROGRAM->libraries, "The kernel did not map it.");
}

#endif
