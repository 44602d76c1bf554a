"""DWARF 2 to 5 -> the types that a library's interface reaches (uselib.linker.c_types.types), read lazily.

constants.py      the numbers of the standard that are used here
sections.py       where the debug sections are: in the file, compressed, or in a file beside it
abbreviations.py  abbreviation -> how to skip an entry, and how to decode what is wanted of it
units.py          units, entries, attributes
lines.py          headers of line tables: file names
line_programs.py  address -> file and line, for the tracer; object_lines.py: the same for an object file, for ld's messages
index.py          names of functions, variables and types at the outer level of each unit
numbers.py        numbers that entries give in several ways
graph.py          entries -> rows of Types, one row a type however many units declare it
origins.py        bodies whose parameters stand in another entry
identity.py       whether two units mean the same record
containment.py    what types hold by value: sizes, records that contain themselves
conventions.py    calling conventions of i386, which gcc does not record
interface.py      exported names -> their types; what a program declares and knows
functions.py      one function at a time, for the tracer

A static check reads megabytes of debug information to answer questions about a few hundred names, so only entries that a name leads to are
decoded, and of most entries only the length is read. Damage never raises: the name concerned has no type, or a type has an Unknown in it, and
a sentence for the report says which.
"""
