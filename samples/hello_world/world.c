const char *world(void)
{
	return "world";
}
