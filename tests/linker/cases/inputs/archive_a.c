int taken_for_taken(void) { return 42; }
