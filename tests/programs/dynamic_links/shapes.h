/* Classes that three objects share: a library, a plugin that is loaded at run time, and the program. */
#pragma once
#include <exception>
#include <stdexcept>
#include <string>

struct Shape { /* key function `area` : its vtable and type_info are in the library */
    virtual ~Shape();
    virtual int area() const = 0;
    virtual Shape *twin() const = 0;
};
struct Named { /* no key function: vtable and type_info in every object that uses it */
    virtual ~Named() {}
    virtual const char *name() const { return "named"; }
};
struct Square : virtual Shape, Named {
    int side;
    explicit Square(int side) : side(side) {}
    int area() const override;
    Square *twin() const override; /* covariant: a thunk that adjusts the result */
};
struct Problem : std::runtime_error {
    int code;
    Problem(const std::string &text, int code) : std::runtime_error(text), code(code) {}
    ~Problem() override;
};
template <class T> struct Wrapped : std::exception {
    T value;
    explicit Wrapped(T value) : value(value) {}
    const char *what() const noexcept override { return "wrapped"; }
};
template <class T> struct Counter { static int count; }; /* STB_GNU_UNIQUE */
template <class T> int Counter<T>::count;
inline int &one_for_all() {
    static int value = 100;
    return value;
}
struct Guard {
    std::string *log;
    const char *text;
    ~Guard() { *log += text; }
};
extern thread_local std::string per_thread;
extern int (Shape::*const measure)() const;
Shape *make_square(int side);
void call_back(void (*function)(int), int argument, std::string &log);
std::string describe(std::exception_ptr problem);
typedef Named *(*plugin_entry)(Shape *, std::string &);
