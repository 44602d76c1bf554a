"""The static ABI check (chkshlib): facts of two versions -> rules as rows -> findings -> a verdict.

facts.py, types.py   the contract: what is known of a library or program, whatever file it came from
reading.py           a file of any kind -> Facts
check.py             two Facts (and programs) -> Report
findings.py          the contract: findings, verdicts, the report
rules/               one file a rule: its words, its severity, an example pair that tests run
"""
