int by_datum = 42;
