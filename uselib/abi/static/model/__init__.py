"""The data types of the static check; this package imports no other part of it.

facts.py         what is known of a library or program    unqualified.py  types without typedefs and qualifiers
findings.py      rule, finding, report, verdict           fields.py       the members of a record
outcome.py       the verdict of findings; a report judged again
"""
