#ifdef SWAPPED
struct point { int y, x; };
#else
struct point { int x, y; };
#endif
int point_x(const struct point *p);
int point_y(const struct point *p);
