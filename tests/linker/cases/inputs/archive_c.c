int never_taken(void) { return 1; }
int weak_only(void) { return 1; }
