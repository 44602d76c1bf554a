void hello(void);

int main(void)
{
	hello(); /* the program does not know that there is a world() */
	return 0;
}
