"""The static ABI check (chkshlib): facts of two versions -> comparisons -> findings, each of a rule -> a verdict.

    readers/ headers/   a file with its debug information (linker/dwarf), its headers -> facts
    model/         the contracts: what is known of a library or program (facts.py), findings and the report (findings.py, outcome.py)
    comparison/    two Facts (and programs) -> Report
    rules/         one file for each rule: its words, its severity, an example pair that tests build and run
    policy/        findings that a project accepts: suppressions, baseline
    report/        a report as text, JSON, SARIF, JUnit, Markdown

To add an ABI rule: rules/ID.toml, and one `check.tell("ID", ...)` in the comparison that finds it (comparison/compare_*.py).
"""
