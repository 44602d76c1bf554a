"""`uselib trace PROG`: calls shown while the program runs."""
