/* Messages of start-up: `PROG: can't load library 'PATH'`, newline, tab, the reason; exit status 128 (Linux libc 4). */

static char output[512];
static word output_size;

static void flush(int fd) {
    SYSCALL(SYS_WRITE, fd, output, output_size, 0, 0, 0);
    output_size = 0;
}

static void put(int fd, const char *s) {
    for (; *s; s++) {
        if (output_size == sizeof output) flush(fd);
        output[output_size++] = *s;
    }
}

static void put_number(int fd, unsigned n) {
    char digits[12], *p = digits + sizeof digits;
    *--p = 0;
    do *--p = (char)('0' + n % 10);
    while (n /= 10);
    put(fd, p);
}

static void put_version(int fd, unsigned major, unsigned minor, unsigned patch) {
    put_number(fd, major), put(fd, "."), put_number(fd, minor), put(fd, "."), put_number(fd, patch);
}

static void begin_refusal(const char *path) {
    put(2, program_name), put(2, ": can't load library '"), put(2, path), put(2, "'\n\t");
}

static void end_refusal(void) __attribute__((noreturn));
static void end_refusal(void) {
    put(2, "\n");
    flush(2);
    exit_now(128);
}

static void refuse(const char *path, const char *reason) __attribute__((noreturn));
static void refuse(const char *path, const char *reason) {
    begin_refusal(path);
    put(2, reason);
    end_refusal();
}

/* The historical words for the kernel's errors. */
static void refuse_error(const char *path, long error) __attribute__((noreturn));
static void refuse_error(const char *path, long error) {
    switch (error) {
    case -E_NOENT:
    case -E_NOTDIR: refuse(path, "No such library.");
    case -E_ACCES:
    case -E_PERM: refuse(path, "Permission denied.");
    case -E_NOEXEC: refuse(path, "Exec format error.");
    case -E_EXIST: refuse(path, "Address range is occupied.");
    case -E_NOMEM: refuse(path, "Out of memory.");
    case -E_INVAL: refuse(path, "Too many libraries.");
    default:
        begin_refusal(path);
        put(2, "Unspecified error. (errno "), put_number(2, (unsigned)-error), put(2, ")");
        end_refusal();
    }
}
