#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *one, const void *two) { return strcmp(*(char *const *)one, *(char *const *)two); }

int main(void)
{
    char line[64], *words[8];
    int count = 0;
    strcpy(line, "some words to be sorted");
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) words[count++] = word;
    qsort(words, (size_t)count, sizeof *words, compare);
    for (int i = 0; i < count; i++) {
        char *copy = malloc(strlen(words[i]) + 1);
        memcpy(copy, words[i], strlen(words[i]) + 1);
        copy[0] = (char)toupper(copy[0]);
        puts(copy);
        free(copy);
    }
    return atoi("0") + (getenv("NOSUCH") != NULL);
}
