"""C declarations: text, syntax trees, types and layout. The one model of C types, for the ABI check and the tracer.

    types           the graph of types: rows that refer to one another by number
    spelling        a row -> C
    directives      C text without comments and preprocessor lines
    annotated       C text as people write it -> C that pycparser reads, and annotations
    preprocess      headers -> one text, by the compiler's preprocessor or without one
    units           that text -> its top-level declarations
    attributes      GNU attributes of a declaration, as markers
    words           which words are names of types
    parse, syntax   pycparser: texts -> trees; questions about trees
    constants       constant expressions
    type_names      which declaration declares which tag or type name
    declared_types  declarations -> rows (with rows, base_types, builtin_types)
    layout          where the members of a structure lie

Nothing is imported here: pycparser costs its import only where it is used.
"""
