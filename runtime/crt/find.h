/* Finds a library: in LD_LIBRARY_PATH, then in the recorded path; reads the notes that say which version was linked with; takes the
 * files that the version rule admits (versions.h). loader/libraries/search.py is the same in Python. */

struct search {
    const char *environment; /* LD_LIBRARY_PATH, or 0 */
    const char *path;        /* recorded in the program */
};

static const char *environment_value(char **envp, const char *name) {
    word n = string_length(name);
    for (; *envp; envp++) {
        word i = 0;
        while (i < n && (*envp)[i] == name[i]) i++;
        if (i == n && (*envp)[n] == '=') return *envp + n + 1;
    }
    return 0;
}

/* Whether file name `libc_s.1.2.3` names library `libc_s`. */
static int names_library(const char *file_name, const char *name) {
    for (const char *p = file_name; *p; p++)
        if (*p == '/') file_name = p + 1;
    while (*name && *file_name == *name) file_name++, name++;
    return !*name && (*file_name == '.' || !*file_name);
}

/* The NT_NEEDS descriptor for `file_name` among `size` bytes of notes at `notes`, or 0. Layout: Elf_Nhdr. */
static const struct uselib_needs *find_needs(const unsigned char *notes, word size, const char *file_name) {
    word at = 0;
    while (size - at >= 12 && at < size) {
        const unsigned *note = (const unsigned *)(notes + at);
        word name_size = (note[0] + 3UL) & ~3UL, descriptor_size = note[1];
        const unsigned char *name = notes + at + 12;
        if (name_size > size - at - 12 || descriptor_size > size - at - 12 - name_size) return 0;
        if (note[2] == USELIB_NT_NEEDS && note[0] == 7 && same_string((const char *)name, USELIB_NOTE_NAME)) {
            const struct uselib_needs *needs = (const struct uselib_needs *)(name + name_size);
            if (descriptor_size > sizeof *needs && needs->format == USELIB_FORMAT && needs->machine == MACHINE &&
                !((const char *)needs)[descriptor_size - 1] && names_library(file_name, needs->name))
                return needs;
        }
        at += 12 + name_size + ((descriptor_size + 3) & ~3UL);
    }
    return 0;
}

/* Joins `length` bytes of directory and a name. An empty directory is the current one. Returns 0, and an empty path, if that
 * is too long. */
static int join(char *path, word size, const char *directory, word length, const char *name) {
    word n = 0, rest = string_length(name);
    path[0] = 0;
    if (length >= size || rest >= size || length + rest + 2 > size) return 0;
    while (n < length) path[n] = directory[n], n++;
    if (n && path[n - 1] != '/') path[n++] = '/';
    while (*name) path[n++] = *name++;
    path[n] = 0;
    return 1;
}

static word directory_length(const char *p) {
    word n = 0;
    while (p[n] && p[n] != ':') n++;
    return n;
}

static int is_missing(long result) { return result == -E_NOENT || result == -E_NOTDIR; }
static int goes_on(long result) { return is_missing(result) || result == -E_NAMETOOLONG; }

/* One library that is looked for. `path` is the last file that was tried. */
struct lookup {
    const struct uselib_needs *needs;
    const char *last; /* component of the recorded file name */
    char *path;
    word size;
    int found, bounded;
    struct version best;     /* of the directory, below `bound` if there is one */
    struct version bound;
    int other_found;
    struct version other;    /* the highest version found that the rule does not admit */
};

static long open_named(struct lookup *lookup, const char *directory, word length, const char *name) {
    if (!join(lookup->path, lookup->size, directory, length, name)) return -E_NAMETOOLONG;
    /* O_NONBLOCK: a FIFO of that name must not block the program. */
    return SYSCALL(SYS_OPEN, lookup->path, O_CLOEXEC_ | O_NONBLOCK_, 0, 0, 0, 0);
}

static void consider(const char *name, void *state) {
    struct lookup *lookup = state;
    struct version version;
    if (!version_of(name, lookup->needs->name, &version)) return;
    if (!rule_admits(version.major, version.minor, version.patch, lookup->needs)) {
        if (!lookup->other_found || compare_versions(&version, &lookup->other) > 0) lookup->other = version;
        lookup->other_found = 1;
    } else if ((!lookup->bounded || compare_versions(&version, &lookup->bound) < 0) &&
               (!lookup->found || compare_versions(&version, &lookup->best) > 0)) {
        lookup->best = version;
        lookup->found = 1;
    }
}

static char *append_number(char *p, unsigned n) {
    char digits[12];
    int count = 0;
    do digits[count++] = (char)('0' + n % 10);
    while (n /= 10);
    *p++ = '.';
    while (count) *p++ = digits[--count];
    return p;
}

/* NAME.MAJOR.MINOR..., `count` numbers of a version, at `out`; a name that is too long for a file is cut, so it is not found. */
static const char *versioned(char out[320], const char *name, const struct version *version, int count) {
    char *p = out;
    while (*name && p < out + 280) *p++ = *name++;
    p = append_number(p, version->major);
    if (count > 1) p = append_number(p, version->minor);
    if (count > 2) p = append_number(p, version->patch);
    *p = 0;
    return out;
}

/* Opens the best version in a directory, or the next one if that is a dangling link. */
static long open_best(struct lookup *lookup, const char *directory, word length) {
    char name[320];
    long result;
    lookup->bounded = 0;
    for (;;) {
        if (!join(lookup->path, lookup->size, directory, length, length ? "" : ".")) return -E_NAMETOOLONG;
        lookup->found = 0;
        result = visit_directory(lookup->path, directory, consider, lookup);
        if (result < 0) return result;
        if (!lookup->found) {
            join(lookup->path, lookup->size, directory, length, lookup->last); /* for the message */
            return -E_NOENT;
        }
        result = open_named(lookup, directory, length, versioned(name, lookup->needs->name, &lookup->best, 3));
        if (!is_missing(result)) return result;
        lookup->bound = lookup->best;
        lookup->bounded = 1;
    }
}

static long open_recorded(struct lookup *lookup, const char *directory, word length) {
    return open_named(lookup, directory, length, lookup->last);
}

static long open_link(struct lookup *lookup, const char *directory, word length) {
    struct version linked = {lookup->needs->major, lookup->needs->minor, 0};
    char name[320];
    long result = -E_NOENT;
    for (int count = 2; count && is_missing(result); count--)
        result = open_named(lookup, directory, length, versioned(name, lookup->needs->name, &linked, count));
    return result;
}

typedef long (*way)(struct lookup *lookup, const char *directory, word length);

/* One way of looking, in the directories of a search path, up to the first that has the library: the descriptor, or -errno.
 * `single`: the length of the one directory that `directories` is; 0 if it is a path. */
static long open_by(way open, struct lookup *lookup, const char *directories, word single) {
    long result = -E_NOENT;
    if (single) return open(lookup, directories, single);
    if (!*directories) return result;
    for (;;) {
        word length = directory_length(directories);
        result = open(lookup, directories, length);
        if (!goes_on(result)) return result;
        if (!directories[length]) return result;
        directories += length + 1;
    }
}

/* All ways of the rule, one after the other: the recorded name anywhere on the path comes before other admissible names. */
static long open_in(struct lookup *lookup, const char *directories, word single) {
    long result = -E_NOENT;
    if (version_rule->recorded) result = open_by(open_recorded, lookup, directories, single);
    if (version_rule->link && goes_on(result)) result = open_by(open_link, lookup, directories, single);
    if (version_rule->best && goes_on(result)) result = open_by(open_best, lookup, directories, single);
    return result;
}

/* A name with a slash is looked for under LD_LIBRARY_PATH by its last component, then in the directory that it names. */
static long look_up(struct lookup *lookup, const char *file_name, const struct search *search) {
    word length = 0;
    long result = -E_NOENT;
    for (word i = 0; file_name[i]; i++)
        if (file_name[i] == '/') lookup->last = file_name + i + 1, length = i ? i : 1;
    if (search->environment) result = open_in(lookup, search->environment, 0);
    if (!goes_on(result)) return result;
    return length ? open_in(lookup, file_name, length) : open_in(lookup, search->path, 0);
}

/* Opens the library that the version rule chooses; `path` is its path then. Ends the program if there is none. */
static long open_library(const struct library *library, const struct search *search, char *path, word size) {
    struct lookup lookup = {.needs = library->needs, .last = library->file_name, .path = path, .size = size};
    long result = look_up(&lookup, library->file_name, search);
    if (result >= 0) return result;
    if (!path[0] || !is_missing(result)) refuse_error(path[0] ? path : library->file_name, result);
    begin_refusal(path);
    put(2, "No such library.");
    if (lookup.other_found) {
        put(2, " (there is "), put_version(2, lookup.other.major, lookup.other.minor, lookup.other.patch);
        put(2, ", needs "), put_version(2, library->needs->major, library->needs->minor, library->needs->patch);
        put(2, ")");
    }
    end_refusal();
}
