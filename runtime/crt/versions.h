/* Which version of a library a program takes: the rules as a table. linker/versions.py has the same table in Python;
 * tests/loader/libraries/test_versions_choice.py compares the two. docs/versions.md says where each rule comes from. */

/* Ways of looking, in this order: for the recorded file name; for the symbolic links libX_s.MAJOR.MINOR and libX_s.MAJOR;
 * for the best of the names libX_s.MAJOR.MINOR.PATCH. Each goes through all directories of a search path, first those of
 * LD_LIBRARY_PATH, then the recorded ones, and the search ends at the first directory with a match. */
struct version_rule {
    const char *name;
    unsigned char recorded, link, best; /* the ways, 1 for those it takes */
    unsigned char same_minor;           /* minor equal to the one linked with; else it may be higher */
    unsigned char patch_counts;         /* with the same minor, the patch level must not be lower */
};

static const struct version_rule version_rules[] = {
    /* name         recorded link best  same_minor patch_counts */
    {"default",     1,       0,   1,    0,         0}, /* without a rule of its own: `exact`, else `sun` */
    {"exact",       1,       0,   0,    0,         0},
    {"sun",         0,       0,   1,    0,         0},
    {"exact-minor", 0,       0,   1,    1,         0},
    {"linux",       0,       1,   0,    0,         1},
};

static const struct version_rule *version_rule; /* set before any library is looked for */

/* The rule called `name`, from the program or its environment; one that is not in the table is fatal. No name: default. */
static const struct version_rule *rule_named(const char *name) {
    if (!name) return version_rules;
    for (unsigned i = 0; i < sizeof version_rules / sizeof *version_rules; i++)
        if (same_string(version_rules[i].name, name)) return &version_rules[i];
    begin_refusal("");
    put(2, "Unknown version rule: "), put(2, name);
    end_refusal();
}

static int rule_admits(unsigned major, unsigned minor, unsigned patch, const struct uselib_needs *needs) {
    if (major != needs->major || minor < needs->minor) return 0;
    if (minor == needs->minor) return !version_rule->patch_counts || patch >= needs->patch;
    return !version_rule->same_minor;
}

/* The library's own header decides, not the name it was found by. A later release never has fewer slots. */
static void check_version(const char *where, const struct uselib_library *header, const struct uselib_needs *needs) {
    const char *what = "Incompatible version.";
    if (header->base != needs->base)
        what = "Wrong address: the library was made for another base.";
    else if (rule_admits(header->major, header->minor, header->patch, needs)) {
        if (header->slot_count >= needs->slot_count) return;
        what = "Incompatible version: it has fewer functions.";
    }
    begin_refusal(where);
    put(2, what), put(2, " (is "), put_version(2, header->major, header->minor, header->patch);
    put(2, ", needs "), put_version(2, needs->major, needs->minor, needs->patch), put(2, ")");
    end_refusal();
}

struct version {
    unsigned major, minor, patch;
};

/* One number of a version: decimal, at most 65535, without leading zeros, so that no version has two names. Sets *number
 * and returns what follows it; 0 if there is none. */
static const char *version_number(const char *p, unsigned *number) {
    const char *first = p;
    *number = 0;
    while (*p >= '0' && *p <= '9' && *number <= 65535) *number = *number * 10 + (unsigned)(*p++ - '0');
    return p == first || *number > 65535 || (*first == '0' && p - first > 1) ? 0 : p;
}

/* Is `file_name` NAME.MAJOR.MINOR.PATCH? If so, *version gets the text after NAME. */
static int version_of(const char *file_name, const char *name, struct version *version) {
    while (*name && *file_name == *name) file_name++, name++;
    return !*name && *file_name == '.' && (file_name = version_number(file_name + 1, &version->major)) &&
           *file_name == '.' && (file_name = version_number(file_name + 1, &version->minor)) && *file_name == '.' &&
           (file_name = version_number(file_name + 1, &version->patch)) && !*file_name;
}

static int compare_versions(const struct version *a, const struct version *b) {
    if (a->major != b->major) return a->major < b->major ? -1 : 1;
    if (a->minor != b->minor) return a->minor < b->minor ? -1 : 1;
    return a->patch == b->patch ? 0 : a->patch < b->patch ? -1 : 1;
}
