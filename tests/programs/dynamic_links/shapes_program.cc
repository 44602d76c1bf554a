#include "shapes.h"
#include <dlfcn.h>
#include <iostream>
#include <sstream>
#include <thread>
#include <typeinfo>

static void throws(int kind) {
    switch (kind) {
    case 0: throw Wrapped<int>(41);
    case 1: throw Problem("from the program", 1);
    case 2: throw std::out_of_range("range");
    case 3: throw 5;
    default: std::string().at(9);
    }
}
int main(int, char **arguments) {
    std::string log;
    for (int kind = 0; kind < 5; kind++) {
        try {
            Guard guard{&log, "[program left]"};
            call_back(throws, kind, log);
        } catch (const Problem &problem) {
            log += std::string("[problem ") + problem.what() + " " + std::to_string(problem.code) + "]";
        } catch (const std::out_of_range &) {
            log += "[range]";
        } catch (int number) {
            log += "[" + std::to_string(number) + "]";
        }
        std::cout << log << "\n";
        log.clear();
    }
    Shape *square = make_square(5), *twin = square->twin();
    std::cout << square->area() << " " << twin->area() << " " << (square->*measure)() << " " << (typeid(*square) == typeid(Square)) << "\n";
    std::cout << dynamic_cast<Square *>(twin)->side << " " << dynamic_cast<Named *>(twin)->name() << "\n";
    void *handle = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!handle) return std::cout << dlerror() << "\n", 1;
    plugin_entry plugin = reinterpret_cast<plugin_entry>(dlsym(handle, "plugin"));
    Named *named = plugin(square, log);
    std::cout << log << named->name() << "\n";
    try {
        plugin(nullptr, log);
    } catch (...) {
        std::cout << describe(std::current_exception()) << "\n";
    }
    std::cout << describe(std::make_exception_ptr(Wrapped<long>(3))) << "; " << describe(std::make_exception_ptr(3L)) << "\n";
    std::string seen;
    std::thread([&] { seen = per_thread + "," + std::to_string(Counter<int>::count); }).join();
    std::cout << per_thread << " " << seen << " " << one_for_all() << "\n";
    std::ostringstream text;
    text << 1.5 << " " << true << std::endl;
    std::cout << text.str() << std::flush;
    delete named;
    delete twin;
    delete square;
    return dlclose(handle);
}
