__attribute__((section("numbers"), used)) static const int b[2] = {10, 12};
