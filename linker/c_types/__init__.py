"""C declarations: text, syntax trees, types and layout. Shared by the tracer (prototypes) and the ABI check (public headers).

    headers     C text as people write it -> C that pycparser reads, and what was said beside C
    words       which words are names of types
    syntax, constants   pycparser's trees: questions, constant expressions
    types       a type model of finite trees, for decoding values
    layout      the data models of the two machines; structure layout

Nothing is imported here: pycparser costs its import only where it is used.
"""
