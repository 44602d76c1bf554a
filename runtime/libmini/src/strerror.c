/* The usual texts for errors and signals. */
#include <errno.h>
#include <string.h>

static const struct { int error; const char *text; } errors[] = {
    {0, "Success"}, {EPERM, "Operation not permitted"}, {ENOENT, "No such file or directory"},
    {ESRCH, "No such process"}, {EINTR, "Interrupted system call"}, {EIO, "Input/output error"},
    {ENXIO, "No such device or address"}, {E2BIG, "Argument list too long"}, {ENOEXEC, "Exec format error"},
    {EBADF, "Bad file descriptor"}, {ECHILD, "No child processes"}, {EAGAIN, "Resource temporarily unavailable"},
    {ENOMEM, "Cannot allocate memory"}, {EACCES, "Permission denied"}, {EFAULT, "Bad address"},
    {EBUSY, "Device or resource busy"}, {EEXIST, "File exists"}, {EXDEV, "Invalid cross-device link"},
    {ENODEV, "No such device"}, {ENOTDIR, "Not a directory"}, {EISDIR, "Is a directory"},
    {EINVAL, "Invalid argument"}, {ENFILE, "Too many open files in system"}, {EMFILE, "Too many open files"},
    {ENOTTY, "Inappropriate ioctl for device"}, {ETXTBSY, "Text file busy"}, {EFBIG, "File too large"},
    {ENOSPC, "No space left on device"}, {ESPIPE, "Illegal seek"}, {EROFS, "Read-only file system"},
    {EMLINK, "Too many links"}, {EPIPE, "Broken pipe"}, {EDOM, "Numerical argument out of domain"},
    {ERANGE, "Numerical result out of range"}, {EDEADLK, "Resource deadlock avoided"},
    {ENAMETOOLONG, "File name too long"}, {ENOSYS, "Function not implemented"},
    {ENOTEMPTY, "Directory not empty"}, {ELOOP, "Too many levels of symbolic links"},
    {EOVERFLOW, "Value too large for defined data type"},
    {ELIBACC, "Can not access a needed shared library"}, {ELIBBAD, "Accessing a corrupted shared library"},
    {ELIBSCN, ".lib section in a.out corrupted"}, {ELIBMAX, "Attempting to link in too many shared libraries"},
    {ELIBEXEC, "Cannot exec a shared library directly"}, {ENOTSUP, "Operation not supported"},
    {ETIMEDOUT, "Connection timed out"},
};

char *strerror(int error) {
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error) return (char *)errors[i].text;
    return (char *)"Unknown error";
}

char *strsignal(int number) {
    static const char *const names[] = {
        "Unknown signal", "Hangup", "Interrupt", "Quit", "Illegal instruction", "Trace/breakpoint trap", "Aborted",
        "Bus error", "Floating point exception", "Killed", "User defined signal 1", "Segmentation fault",
        "User defined signal 2", "Broken pipe", "Alarm clock", "Terminated"};
    return (char *)names[number > 0 && number < 16 ? number : 0];
}
