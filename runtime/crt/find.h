/* Where a library is: LD_LIBRARY_PATH, then the recorded path; and the notes that say which one is meant. */

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

/* Does file name `libc_s.1.2.3` name library `libc_s`? */
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

/* Joins directory (up to ':' or the end) and name. Returns 0 if that is too long. An empty directory is the current. */
static int join(char *path, word size, const char *directory, const char *name) {
    word n = 0;
    for (; *directory && *directory != ':'; directory++) {
        if (n + 2 >= size) return 0;
        path[n++] = *directory;
    }
    if (n && path[n - 1] != '/') path[n++] = '/';
    for (; *name; name++) {
        if (n + 1 >= size) return 0;
        path[n++] = *name;
    }
    path[n] = 0;
    return 1;
}

static const char *after_colon(const char *p) {
    while (*p && *p != ':') p++;
    return *p ? p + 1 : 0;
}

/* Opens `name` in the first directory of `directories` that has it: the descriptor, or -errno. `path` is what was tried. */
static long open_in(const char *directories, const char *name, char *path, word size) {
    long result = -E_NOENT;
    if (!*directories) return result;
    for (; directories; directories = after_colon(directories)) {
        if (!join(path, size, directories, name)) {
            result = -E_NAMETOOLONG;
            continue;
        }
        result = SYSCALL(SYS_OPEN, path, 02000000 /* O_CLOEXEC */, 0, 0, 0, 0);
        if (result != -E_NOENT && result != -E_NOTDIR) return result;
    }
    return result;
}

/* A name with a slash is tried under LD_LIBRARY_PATH by its last component, then as it stands. */
static long open_library(const char *file_name, const struct search *search, char *path, word size) {
    const char *last = file_name;
    long result = -E_NOENT;
    for (const char *p = file_name; *p; p++)
        if (*p == '/') last = p + 1;
    if (search->environment) result = open_in(search->environment, last, path, size);
    if (result != -E_NOENT && result != -E_NOTDIR) return result;
    if (has_slash(file_name)) {
        if (!join(path, size, "", file_name)) return -E_NAMETOOLONG;
        return SYSCALL(SYS_OPEN, path, 02000000, 0, 0, 0, 0);
    }
    return open_in(search->path, file_name, path, size);
}
