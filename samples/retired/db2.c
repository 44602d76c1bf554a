/* libdb 1.1.0: close_db is retired, shut is called end_db now, depth is new */
#include "db.h"

int depth = 40;
int level = 3;

int end_db(int handle)
{
	return handle + depth - 40;
}

int open_db(void)
{
	return level;
}
