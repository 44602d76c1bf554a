#include "point.h"

int point_x(const struct point *p) { return p->x; }
int point_y(const struct point *p) { return p->y; }
