/* Runs the SQL of a file (argv[2]) on a database (argv[1]) and prints every row: a shell for SQLite in few lines. */
#include <stdio.h>
#include <stdlib.h>
#include "sqlite3.h"

static int row(void *ignored, int columns, char **values, char **names) {
    (void)ignored, (void)names;
    for (int i = 0; i < columns; i++) printf("%s%s", i ? "|" : "", values[i] ? values[i] : "NULL");
    putchar('\n');
    return 0;
}

int main(int argc, char **argv) {
    sqlite3 *database;
    static char sql[1 << 16];
    char *message = 0;
    FILE *file;
    if (argc != 3 || !(file = fopen(argv[2], "r"))) return 2;
    sql[fread(sql, 1, sizeof sql - 1, file)] = 0;
    fclose(file);
    printf("SQLite %s\n", sqlite3_libversion());
    if (sqlite3_open(argv[1], &database) != SQLITE_OK) return 1;
    if (sqlite3_exec(database, sql, row, 0, &message) != SQLITE_OK) printf("error: %s\n", message);
    printf("changes %d, memory %d\n", sqlite3_total_changes(database), sqlite3_memory_used() > 0);
    return sqlite3_close(database) == SQLITE_OK ? 0 : 1;
}
