/*
 * Start-up of a.out programs: what crt0.o and the C library's loader did in Linux until 1995 (docs/historical-systems.md), for programs that are
 * linked by `uselib ld -m i386linux` without a C library of that time. Compile with -m32 -fleading-underscore -fno-pic -ffreestanding.
 *
 *     entry       [esp] argc, [esp+4] argv, [esp+8] envp; the object must be linked first, so that its text begins the program's
 *     argc <= 0   the ldd mode: a line for each library, exit 0
 *     libraries   uselib(2) on /usr/lib/NAME, on ENOENT /lib/NAME, on ENOENT NAME; a message and status 128 if it fails
 *     versions    the word at the library's base against that of the program: classic ones equal; else major equal, low half at least
 *     fixups      the program's own definitions replace those of the libraries: see linker/historical/aout/program.py and library.py
 */

enum { EXIT = 1, WRITE = 4, USELIB = 86 };
enum { EPERM_ = 1, ENOENT_ = 2, ENOEXEC_ = 8, EACCES_ = 13, EINVAL_ = 22 };

typedef unsigned int word;

struct libentry { const char *name, *version_text; word address, version; };
struct place { word *cell, *address; };             /* within a library: the place holds what the cell held when it was linked */
struct fixup { word value; word *address; };         /* of the image: the symbols it redefines */
struct builtin { word count; struct place *lists[]; };
struct image_fixups { word count; struct fixup list[]; };   /* a pointer to struct builtin follows the last */
struct conflicts { word count; word *magic; struct image_fixups *fixups; struct conflicts ***libraries[]; };

/* set vectors: count, elements, 0 */
extern struct { word count; const struct libentry *dummy, *list[]; } _SHARED_LIBRARIES__ __asm__("___SHARED_LIBRARIES__");
extern struct conflicts conflicts __asm__("__SHARABLE_CONFLICTS__");

/* the first element of each vector is the start-up's own, as genuine crt0.o has it */
static const word no_library __asm__(".Lno_library") = 0;
static word magic = 0xfeeb1ed3;
__attribute__((section(".set_vector.___SHARED_LIBRARIES__"), used)) static const word *const first_library = &no_library;
__attribute__((section(".set_vector.__SHARABLE_CONFLICTS__"), used)) static word *const first_conflict = &magic;

char **environ;
int main(int argc, char **argv, char **envp);

__asm__(".text\n"
        ".globl __entry\n"
        "__entry: mov %esp, %eax\n"
        "         xor %ebp, %ebp\n"
        "         and $-16, %esp\n"
        "         sub $12, %esp\n"
        "         push %eax\n"
        "         call _start_c\n");

static int call(int number, word a, word b, word c) {
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static void end(int status) {
	for (;;)
		call(EXIT, status, 0, 0);
}

static word length(const char *s) {
	word n = 0;
	while (s[n])
		n++;
	return n;
}

static void put(int fd, const char *s) {
	call(WRITE, fd, (word)s, length(s));
}

static void refuse(const char *program, const char *path, const char *reason) {
	put(2, program);
	put(2, ": can't load library '");
	put(2, path);
	put(2, "'\n\t");
	put(2, reason);
	put(2, "\n");
	end(128);
}

static const char *reason_of(int number) {
	switch (number) {
	case EINVAL_: return "Too many libraries.";
	case ENOENT_: return "No such library.";
	case EACCES_: return "Permission denied.";
	case ENOEXEC_: return "Exec format error.";
	default: return "Unspecified error.";
	}
}

enum { CLASSIC = 0x10000000, MAJOR = 0x0fff0000, MINOR = 0xffff };

static int compatible(word there, word linked) {
	if (linked & CLASSIC)
		return there == linked;
	return (there & MAJOR) == (linked & MAJOR) && (there & MINOR) >= (linked & MINOR);
}

static void load(const char *program, const struct libentry *library) {
	static const char *const folders[] = {"/usr/lib", "/lib", ""};
	char path[256];
	int result = -ENOENT_;
	for (int i = 0; i < 3 && result == -ENOENT_; i++) {
		word n = 0;
		for (const char *s = folders[i]; *s; s++)
			path[n++] = *s;
		if (n && library->name[0] != '/')
			path[n++] = '/';
		for (const char *s = library->name; *s && n < sizeof path - 1; s++)
			path[n++] = *s;
		path[n] = 0;
		result = call(USELIB, (word)path, 0, 0);
	}
	if (result < 0)
		refuse(program, path, reason_of(-result));
	if (!compatible(*(const word *)library->address, library->version))
		refuse(program, path, "Incompatible version.");
}

static void corrupt(void) {
	put(2, "Corrupt fixup table.\n");
	end(128);
}

/* 1: True if this image has been through the step already; each step moves the magic on by one. */
static int entered(struct conflicts *image, word step) {
	if (*image->magic == 0xfeeb1ed3 + step + 1)
		return 1;
	if (*image->magic != 0xfeeb1ed3 + step)
		corrupt();
	++*image->magic;
	return 0;
}

/* The number of other images that an image refers to. Its set vector has it twice: in its count and by the 0 at its end. */
static int others(struct conflicts *image) {
	word n = 0;
	while (image->libraries[n])
		n++;
	if (image->count != n + 2)
		corrupt();
	return n;
}

static struct builtin *builtin_of(struct conflicts *image) {
	return *(struct builtin **)&image->fixups->list[image->fixups->count];
}

/* add: 0 takes the old address of each variable from the places that hold it, 1 adds the new one. */
static void places(struct conflicts *image, int add) {
	if (entered(image, 2 * add))
		return;
	for (int i = others(image) - 1; i >= 0; i--)
		places(**image->libraries[i], add);
	struct builtin *builtin = builtin_of(image);
	for (word i = 0; builtin && i < builtin->count; i++)
		for (struct place *p = builtin->lists[i]; p->cell; p++)
			*p->address += add ? *p->cell : -*p->cell;
}

static void resolve(struct conflicts *image) {
	if (entered(image, 1))
		return;
	for (int i = others(image) - 1; i >= 0; i--)
		resolve(**image->libraries[i]);
	const struct fixup *next = image->fixups->list, *end = next + image->fixups->count;
	for (; next < end && next->value; next++)
		*next->address = next->value;
	for (next++; next < end; next++) /* behind a pair of zeroes: from cell to cell */
		*next->address = *(const word *)next->value;
}

/* Back to the first magic, so that a program that dumps its memory into a file can be started from it. */
static void reset(struct conflicts *image) {
	if (*image->magic == 0xfeeb1ed3)
		return;
	if (*image->magic != 0xfeeb1ed6)
		corrupt();
	*image->magic = 0xfeeb1ed3;
	for (int i = others(image) - 1; i >= 0; i--)
		reset(**image->libraries[i]);
}

__attribute__((used)) void start_c(word *stack) {
	int argc = stack[0];
	char **argv = (char **)stack[1];
	environ = (char **)stack[2];
	if (argc <= 0) {
		for (const struct libentry **l = _SHARED_LIBRARIES__.list; *l; l++) {
			put(1, "\t");
			put(1, (*l)->name);
			put(1, " (");
			put(1, (*l)->version_text);
			put(1, ")\n");
		}
		end(0);
	}
	for (const struct libentry **l = _SHARED_LIBRARIES__.list; *l; l++)
		load(argv[0], *l);
	places(&conflicts, 0);
	resolve(&conflicts);
	places(&conflicts, 1);
	reset(&conflicts);
	end(main(argc, argv, environ));
}
