int taken_for_taken(void);
int taken(void) { return taken_for_taken(); }
