int weak_taken = 1;
__attribute__((weak)) int by_weak = 1;
