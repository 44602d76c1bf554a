"""Two versions of a library, and programs with a library -> a report.

    files.py               paths -> report: reads the files and headers; what chkshlib and the pytest plugin call
    check.py               two Facts -> Report: all comparisons, the verdict, the programs
    check_program.py       a program and libraries -> Report; program_view.py: a library as a program was linked with it
    context.py             what the comparisons share: both sides, the pairs of types, the findings

    compare_functions.py, compare_data.py, compare_slots.py, compare_versions.py, compare_constants.py, compare_declared.py
                           one comparison each: tells findings by rule id
    compare_types.py, compare_signatures.py   two types, two function types -> differences (type_differences.py, the contract)
    difference_rules.py    difference x place of the type -> rule id
    exported_types.py      which records exports lead to, whether programs see their members, who allocates them
    compare_records.py, compare_enums.py      the members of two records or enumerations -> changes (layout_changes.py, the contract)
    name_heuristics.py     the meaning of names
    affected.py            findings -> effects on one program

To add a rule: its TOML file in ../rules, and one `check.tell("the-id", ...)` in the comparison that finds it.
"""
