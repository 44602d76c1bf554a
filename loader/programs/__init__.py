"""exec: a program file of any format -> an address space; uselib(2)."""
