/* Names in a directory, read once in a start-up: the same few directories are searched for each library. Included before the definitions
 * of other variables, which every start-up uses, so that these lie on few pages. */

/* struct linux_dirent64 of getdents64(2); the name follows, with a NUL. */
struct directory_entry {
    uselib_u64 inode, offset;
    unsigned short size;
    unsigned char type;
    char name[];
};
enum { TYPE_UNKNOWN = 0, TYPE_REGULAR = 8, TYPE_LINK = 10 };

static char listing[16384] __attribute__((aligned(8)));

/* Names that end in a version, each with a NUL, of the directories read so far; and where those of each begin and end.
 * A directory that does not fit is read again each time. `directory` points into the search path. */
static char kept[16384];
static word kept_size;
static struct {
    const char *directory;
    word begin, end;
} seen[16];
static int seen_count;

/* Whether it ends in three numbers, as the name of a library does. */
static int has_version(const char *file_name) {
    unsigned dots = 0;
    for (const char *p = file_name; *p; p++) {
        if (*p == '.')
            dots++;
        else if (*p < '0' || *p > '9')
            dots = 0;
    }
    return dots >= 3;
}

typedef void (*visitor)(const char *name, void *state);

static long visit_kept(const char *names, const char *end, visitor visit, void *state) {
    for (; names < end; names += string_length(names) + 1) visit(names, state);
    return 0;
}

static int keep(const char *name) {
    word size = string_length(name) + 1;
    if (size > sizeof kept - kept_size) return 0;
    for (word i = 0; i < size; i++) kept[kept_size++] = name[i];
    return 1;
}

/* Calls `visit` for each file or symbolic link in a directory whose name ends in a version: 0, or -errno. `path` is the directory to
 * open, `directory` its recorded name. A directory that is missing, or that may not be listed, has no names. */
static long visit_directory(const char *path, const char *directory, visitor visit, void *state) {
    word begin = kept_size;
    int whole = seen_count < (int)(sizeof seen / sizeof *seen);
    long fd, size = 0;
    for (int i = 0; i < seen_count; i++)
        if (seen[i].directory == directory) return visit_kept(kept + seen[i].begin, kept + seen[i].end, visit, state);
    fd = SYSCALL(SYS_OPEN, path, O_DIRECTORY_ | O_CLOEXEC_ | O_NONBLOCK_, 0, 0, 0, 0);
    if (fd < 0 && fd != -E_NOENT && fd != -E_NOTDIR && fd != -E_ACCES) return fd;
    while (fd >= 0 && (size = SYSCALL(SYS_GETDENTS64, fd, listing, sizeof listing, 0, 0, 0)) > 0) {
        for (long at = 0; at < size;) {
            const struct directory_entry *entry = (const struct directory_entry *)(listing + at);
            at += entry->size;
            if (entry->type != TYPE_REGULAR && entry->type != TYPE_LINK && entry->type != TYPE_UNKNOWN) continue;
            if (!has_version(entry->name)) continue;
            visit(entry->name, state);
            whole = whole && keep(entry->name);
        }
    }
    if (fd >= 0) SYSCALL(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
    if (whole && !size) {
        seen[seen_count].directory = directory;
        seen[seen_count].begin = begin;
        seen[seen_count++].end = kept_size;
    } else
        kept_size = begin;
    return size;
}
