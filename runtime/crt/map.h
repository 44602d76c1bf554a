/* Checks a library from its first page, and maps it at its address: scheme uselib by the kernel or its rules, scheme
 * mmap by the bootstrap routine behind the library's own header. */

static char path[4096];
#if USELIB_SCHEME == SCHEME_USELIB
static unsigned char page[USELIB_PAGE] __attribute__((aligned(16)));
#endif

/* The notes of the header page `at`: their bytes, and in *size how many. 0 if they are not within the page. */
static const unsigned char *notes_of_page(const unsigned char *at, word *size) {
    const struct elf_header *elf = (const struct elf_header *)at;
    const struct program_header *headers = (const struct program_header *)(at + elf->program_headers);
    if (elf->program_header_size != sizeof *headers || elf->program_headers > USELIB_PAGE ||
        elf->program_header_count * sizeof *headers > USELIB_PAGE - elf->program_headers)
        return 0;
    for (int i = 0; i < elf->program_header_count; i++) {
        if (headers[i].type != SEGMENT_NOTE) continue;
        if (headers[i].offset >= USELIB_PAGE || headers[i].file_size > USELIB_PAGE - headers[i].offset) return 0;
        *size = headers[i].file_size;
        return at + headers[i].offset;
    }
    return 0;
}

static const struct uselib_needs *needs_of_library(const struct uselib_library *header, const char *name) {
    word size;
    const unsigned char *notes = notes_of_page((const unsigned char *)(word)header->base, &size);
    return notes ? find_needs(notes, size, name) : 0;
}

/* Whether `count` strings from `at` on end within the descriptor. */
static int has_strings(const struct uselib_library *header, word at, word room, unsigned count) {
    while (at < room && count)
        if (!((const char *)header)[at++]) count--;
    return !count;
}

/* NT_LIBRARY must be the first note; `room` bytes of its descriptor are within the page. 0 if anything runs over. */
static const struct uselib_library *library_note(const unsigned char *at) {
    word size = 0, room;
    const unsigned char *notes = notes_of_page(at, &size);
    const unsigned *note = (const unsigned *)notes;
    const struct uselib_library *header;
    if (!notes || size < 20 + sizeof *header || note[0] != 7 || note[2] != USELIB_NT_LIBRARY ||
        !same_string((const char *)(note + 3), USELIB_NOTE_NAME))
        return 0;
    header = (const struct uselib_library *)(notes + 20);
    room = size - 20 < note[1] ? size - 20 : note[1];
    if (room < sizeof *header || header->format != USELIB_FORMAT || header->segment_count > 64 ||
        sizeof *header + header->segment_count * sizeof header->segments[0] > room || header->name_offset >= room ||
        header->dependency_offset > room || header->dependency_count > MAXIMUM_LIBRARIES)
        return 0;
    if (!has_strings(header, header->name_offset, room, 1) ||
        !has_strings(header, header->dependency_offset, room, header->dependency_count))
        return 0;
    return header;
}

/* FNV-1a of `size` bytes, continued from `value`. */
static unsigned hash_bytes(unsigned value, const unsigned char *bytes, word size) {
    while (size--) value = (value ^ *bytes++) * 16777619u;
    return value;
}

/* Ends the program if the descriptor's checksum (linker/formats/notes.py) is wrong: only this finds a damaged address of an initialiser
 * or of the bootstrap. It comes after all checks with a message of their own. */
static void check_sum(const unsigned char *at, const struct uselib_library *header) {
    const unsigned char *bytes = (const unsigned char *)header;
    word begin = sizeof *header + __builtin_offsetof(struct uselib_segment, checksum);
    word end = ((const unsigned *)header)[-4]; /* of the note's header: the size of the descriptor */
    unsigned value = 2166136261u;
    if (!header->segment_count || end > USELIB_PAGE - (word)(bytes - at) || end < begin + 4)
        refuse(path, "Exec format error: its header is damaged.");
    value = hash_bytes(value, bytes + 4, 4);
    value = hash_bytes(value, bytes + 24, 24);
    value = hash_bytes(value, bytes + 56, 40);
    value = hash_bytes(value, bytes + 128, begin - 128);
    value = hash_bytes(value, bytes + begin + 4, end - begin - 4);
    if (header->segments[0].checksum != value) refuse(path, "Exec format error: its header is damaged.");
}

/* Whether an array of `count` pointers at `address` lies in the library. */
static int within(const struct uselib_library *header, uselib_u64 address, unsigned count) {
    return !count || (address >= header->base && address - header->base <= header->size &&
                      count <= (header->size - (address - header->base)) / sizeof(word));
}

/* All checks that the first page allows; ends the program if one fails. */
static const struct uselib_library *check_page(const unsigned char *at, word file_size, const struct library *library) {
    const struct elf_header *elf = (const struct elf_header *)at;
    const struct uselib_library *header;
    const unsigned char *notes;
    word size = 0;
    if (elf->ident[0] != 0x7f || elf->ident[1] != 'E' || elf->ident[2] != 'L' || elf->ident[3] != 'F')
        refuse(path, "Exec format error.");
    if (elf->ident[4] != ELF_CLASS || elf->machine != MACHINE) refuse(path, "Wrong machine.");
    notes = notes_of_page(at, &size);
    if (notes && (word)(notes - at) + size > file_size) refuse(path, "File is shorter than its header says.");
    if (elf->type != TYPE_EXEC || !(header = library_note(at))) refuse(path, "Exec format error: not a shared library.");
    if (header->machine != MACHINE) refuse(path, "Wrong machine.");
    if (!same_string((const char *)header + header->name_offset, library->needs->name))
        refuse(path, "Exec format error: another library has this name.");
    check_version(path, header, library->needs);
    if (header->size > 0x80000000ULL || header->base + header->size > (word)-USELIB_PAGE)
        refuse(path, "Exec format error.");
    if (!within(header, header->init_array, header->init_count) || !within(header, header->fini_array, header->fini_count))
        refuse(path, "Exec format error.");
    for (unsigned i = 0; i < header->segment_count; i++) {
        const struct uselib_segment *s = &header->segments[i];
        if (s->offset > file_size || s->file_size > file_size - s->offset)
            refuse(path, "File is shorter than its header says.");
        if (s->file_size > s->memory_size || s->address < header->base || s->address - header->base > header->size ||
            s->memory_size > header->size - (s->address - header->base))
            refuse(path, "Exec format error.");
    }
    /* The old uselib(2) replaces other mappings, so check before. */
    for (const struct library *other = libraries; other < library; other++)
        if (header->base < other->header->base + other->header->size && other->header->base < header->base + header->size)
            refuse(path, "Address range is occupied.");
    return header;
}

#if USELIB_SCHEME == SCHEME_USELIB

static long map_anonymous(word begin, word end) {
    long result;
    if (end <= begin) return 0;
    result = SYSCALL(SYS_MMAP, begin, end - begin, PROTECT_READ | PROTECT_WRITE | PROTECT_EXEC,
                     MAP_PRIVATE_ | MAP_ANONYMOUS_ | MAP_FIXED_NOREPLACE_, -1, 0);
    if (is_error(result)) return result;
    return (word)result == begin ? 0 : -E_EXIST; /* for kernels before 4.17 the address is a hint */
}

/* The segment that uselib(2) would map, under the checks of Linux's load_elf_library: ET_EXEC, at most two program
 * headers, exactly one PT_LOAD. It must also equal the segment in the library's own header, since the kernel does not check that. */
static const struct program_header *single_load(const struct uselib_library *library, word file_size) {
    const struct elf_header *elf = (const struct elf_header *)page;
    const struct program_header *headers = (const struct program_header *)(page + elf->program_headers), *load = 0;
    if (elf->type != TYPE_EXEC || elf->program_header_count > 2 || elf->machine != MACHINE) return 0;
    for (int i = 0; i < elf->program_header_count; i++) {
        if (headers[i].type != SEGMENT_LOAD) continue;
        if (load) return 0;
        load = &headers[i];
    }
    if (!load || load->offset || load->address != library->base || load->file_size > file_size ||
        load->memory_size < load->file_size || load->memory_size > library->size)
        return 0;
    for (unsigned i = 0; i < library->segment_count; i++) { /* it must map every segment at its address */
        const struct uselib_segment *s = &library->segments[i];
        if (s->offset != s->address - library->base || s->offset + s->file_size > load->file_size ||
            s->offset + s->memory_size > load->memory_size)
            return 0;
    }
    return load;
}

/* Maps it as uselib(2) does, for kernels without that call, but never over another mapping. */
static long load_elf_library(long fd, const struct program_header *load) {
    word begin, file_end, memory_end, page_end;
    long result;
    begin = load->address & -(word)USELIB_PAGE;
    file_end = load->address + load->file_size;
    memory_end = load->address + load->memory_size;
    page_end = (file_end + USELIB_PAGE - 1) & -(word)USELIB_PAGE;
    result = SYSCALL(SYS_MMAP, begin, file_end - begin, PROTECT_READ | PROTECT_WRITE | PROTECT_EXEC,
                     MAP_PRIVATE_ | MAP_FIXED_NOREPLACE_, fd, 0);
    if (is_error(result)) return result;
    if ((word)result != begin) return -E_EXIST;
    if (memory_end > file_end) /* only if bss begins on this page: clearing would copy the page */
        for (volatile char *p = (volatile char *)file_end; p < (volatile char *)page_end; p++) *p = 0;
    return map_anonymous(page_end, (memory_end + USELIB_PAGE - 1) & -(word)USELIB_PAGE);
}

static void map_library(struct library *library, const struct search *search) {
    const struct uselib_library *header;
    const struct program_header *load;
    long fd = open_library(library, search, path, sizeof path), result, size;
    size = SYSCALL(SYS_LSEEK, fd, 0, 2, 0, 0, 0);
    result = SYSCALL(SYS_PREAD, fd, page, sizeof page, 0, 0, 0);
    if (result < 0) refuse_error(path, result);
    for (word i = (word)result; i < sizeof page; i++) page[i] = 0; /* zero behind a short file, not the last library's bytes */
    header = check_page(page, (word)size, library);
    if (!(load = single_load(header, (word)size))) refuse(path, "Exec format error.");
    check_sum(page, header);
    result = SYSCALL(SYS_USELIB, path, 0, 0, 0, 0, 0);
    if (result == -E_NOSYS) result = load_elf_library(fd, load);
    if (result < 0) refuse_error(path, result);
    SYSCALL(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
    library->header = (const struct uselib_library *)((word)header->base + ((const unsigned char *)header - page));
}

#endif

#if USELIB_SCHEME == SCHEME_KERNEL || USELIB_SCHEME == SCHEME_BOOT

/* A library that is mapped already: it is expected at the address linked with, and checked there. msync answers
 * ENOMEM for a page that is not mapped, where touching it would end the program. */
static void check_mapped(struct library *library, const struct search *search) {
    word base = (word)library->needs->base;
    int named = library->file_name[0] == '/';
    join(path, sizeof path, search->path, named ? 0 : directory_length(search->path), library->file_name);
    if (SYSCALL(SYS_MSYNC, base, USELIB_PAGE, MS_ASYNC_, 0, 0, 0)) refuse(path, "The kernel did not map it.");
    library->header = check_page((const unsigned char *)base, (word)-1 >> 1, library);
    check_sum((const unsigned char *)base, library->header);
}

#endif

#if USELIB_SCHEME == SCHEME_KERNEL

static void map_library(struct library *library, const struct search *search) { check_mapped(library, search); }

#elif USELIB_SCHEME != SCHEME_USELIB

/* BSD/OS manner: the first page of the file goes to the load address, and the routine behind the header maps the rest.
 * `call`: for the C library in scheme bsdos, whose bootstrap goes on with all other libraries. */
static void map_by_bootstrap(struct library *library, long fd, struct uselib_call *call) {
    typedef long (*bootstrap)(long fd, const struct uselib_library *, struct uselib_call *);
    const struct uselib_library *header;
    word base = (word)library->needs->base;
    long result, size;
    size = SYSCALL(SYS_LSEEK, fd, 0, 2, 0, 0, 0);
    if (size <= 0) refuse(path, "Exec format error."); /* touching a page beyond the end would be SIGBUS */
    result = SYSCALL(SYS_MMAP, base, USELIB_PAGE, PROTECT_READ | PROTECT_EXEC, MAP_PRIVATE_ | MAP_FIXED_NOREPLACE_, fd, 0);
    if (is_error(result)) refuse_error(path, result);
    if ((word)result != base) refuse(path, "Address range is occupied.");
    header = check_page((const unsigned char *)base, (word)size, library);
    if (header->bootstrap < base || header->bootstrap >= base + USELIB_PAGE)
        refuse(path, "Exec format error: it has no bootstrap.");
    if (call && (!header->continuation || header->continuation >= USELIB_PAGE))
        refuse(path, "Exec format error: its bootstrap maps no other libraries.");
    check_sum((const unsigned char *)base, header);
    if (call) {
        result = ((bootstrap)(base + header->continuation))(fd, header, call);
    } else {
        result = ((bootstrap)(word)header->bootstrap)(fd, header, 0);
    }
    if (result < 0) refuse_error(path, result);
    SYSCALL(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
    library->header = header;
}

static void map_library(struct library *library, const struct search *search) {
#if USELIB_SCHEME == SCHEME_BOOT
    if ((word)map_by_bootstrap - (word)library->needs->base < library->needs->size) { /* the library that this code is in */
        check_mapped(library, search);
        return;
    }
#endif
    map_by_bootstrap(library, open_library(library, search, path, sizeof path), 0);
}

#endif
