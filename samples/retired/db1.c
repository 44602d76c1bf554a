/* libdb 1.0.0 */
#include "db.h"

int level = 3;

int open_db(void)
{
	return level;
}

int close_db(int handle)
{
	return handle - level;
}

int shut(int handle)
{
	return handle;
}
