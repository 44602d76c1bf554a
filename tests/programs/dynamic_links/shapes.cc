#include "shapes.h"
Shape::~Shape() {}
Problem::~Problem() {}
int Square::area() const { return side * side; }
Square *Square::twin() const { return new Square(side + 1); }
thread_local std::string per_thread = "fresh";
int (Shape::*const measure)() const = &Shape::area;
Shape *make_square(int side) {
    Counter<int>::count++;
    one_for_all()++;
    return new Square(side);
}
void call_back(void (*function)(int), int argument, std::string &log) {
    Guard guard{&log, "[library left]"};
    try {
        function(argument);
    } catch (const Wrapped<int> &wrapped) {
        log += "[library caught " + std::to_string(wrapped.value) + "]";
        throw Problem("from the library", wrapped.value + 1);
    }
}
std::string describe(std::exception_ptr problem) {
    try {
        std::rethrow_exception(problem);
    } catch (const Problem &found) {
        return std::string("problem ") + found.what() + " " + std::to_string(found.code);
    } catch (const std::exception &found) {
        return std::string("exception ") + found.what();
    } catch (...) {
        return "something";
    }
}
