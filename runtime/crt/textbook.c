/*
 * Start-up of programs in the textbook's format (project 9-2): maps the libraries that _SHARED_LIBRARIES names, then calls main.
 * It looks for each in LD_LIBRARY_PATH (not for set-user-ID programs), then in /shlib. Compile with -m32 -fno-pic -ffreestanding.
 */

enum { EXIT = 1, WRITE = 4, USELIB = 86 };
enum { AT_SECURE_ = 23, ENOENT_ = 2, ENOEXEC_ = 8, EACCES_ = 13, EEXIST_ = 17 };

extern const char _SHARED_LIBRARIES[];
int main(int argc, char **argv, char **envp);

__asm__(".text\n"
        ".globl _start\n"
        "_start: xor %ebp, %ebp\n"
        "        mov %esp, %eax\n"
        "        and $-16, %esp\n"
        "        sub $12, %esp\n"
        "        push %eax\n"
        "        call start_c\n");

static int call(int number, unsigned a, unsigned b, unsigned c) {
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static void end(int status) {
	for (;;)
		call(EXIT, status, 0, 0);
}

static unsigned length(const char *s) {
	unsigned n = 0;
	while (s[n])
		n++;
	return n;
}

static void put(const char *s) {
	call(WRITE, 2, (unsigned)s, length(s));
}

static const char *reason(int number) {
	switch (number) {
	case ENOENT_: return "No such library.";
	case EACCES_: return "Permission denied.";
	case ENOEXEC_: return "Exec format error.";
	case EEXIST_: return "Address range is occupied.";
	default: return "Unspecified error.";
	}
}

static char path[4096];

/* uselib(2) on DIRECTORY/NAME; the directory ends at a colon or NUL. */
static int load(const char *directory, const char *name) {
	unsigned n = 0;
	while (*directory && *directory != ':' && n < sizeof path - 2)
		path[n++] = *directory++;
	path[n++] = '/';
	while (*name && n < sizeof path - 1)
		path[n++] = *name++;
	path[n] = 0;
	return call(USELIB, (unsigned)path, 0, 0);
}

__attribute__((used)) void start_c(unsigned *stack) {
	int argc = stack[0], secure = 0;
	char **argv = (char **)(stack + 1), **envp = argv + argc + 1, **e;
	const char *search = 0;
	for (e = envp; *e; e++)
		;
	for (unsigned *a = (unsigned *)(e + 1); a[0]; a += 2)
		if (a[0] == AT_SECURE_)
			secure = a[1];
	for (e = envp; *e; e++) {
		const char *wanted = "LD_LIBRARY_PATH=", *have = *e;
		while (*wanted && *wanted == *have)
			wanted++, have++;
		if (!*wanted && !secure)
			search = have;
	}
	for (const char *name = _SHARED_LIBRARIES; *name; name += length(name) + 1) {
		int result = -ENOENT_;
		for (const char *d = search; d && *d && result == -ENOENT_;) {
			result = load(d, name);
			while (*d && *d != ':')
				d++;
			if (*d)
				d++;
		}
		if (result == -ENOENT_)
			result = load("/shlib", name);
		if (result < 0) {
			put(argv[0]);
			put(": can't load library '");
			put(path);
			put("'\n\t");
			put(reason(-result));
			put("\n");
			end(128);
		}
	}
	end(main(argc, argv, envp));
}
