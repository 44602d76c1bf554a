#include "shapes.h"
struct Circle : Named {
    const char *name() const override { return "circle"; }
};
extern "C" Named *plugin(Shape *shape, std::string &log) {
    Counter<int>::count += 10;
    one_for_all() += 10;
    per_thread += "+plugin";
    if (Square *square = dynamic_cast<Square *>(shape))
        log += "[plugin sees a square of " + std::to_string(square->side) + "]";
    if (Named *named = dynamic_cast<Named *>(shape)) log += std::string("[") + named->name() + "]";
    try {
        call_back([](int n) { throw Wrapped<int>(n); }, 7, log);
    } catch (const std::runtime_error &error) {
        log += std::string("[plugin caught ") + error.what() + "]";
    }
    if (!shape) throw Problem("no shape", 3);
    return new Circle;
}
