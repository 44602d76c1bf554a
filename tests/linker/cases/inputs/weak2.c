int replaced(void) { return 22; }
__attribute__((weak)) int kept(void) { return 21; }
