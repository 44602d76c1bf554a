int secret_data = 2;
__attribute__((visibility("protected"))) int secret(void) { return 40; }
