int open_db(void);
int close_db(int handle);
int shut(int handle);
extern int level;
