#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char path[4096];
    return printf("%s\n", getcwd(path, sizeof path)) < 0;
}
