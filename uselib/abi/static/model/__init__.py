"""The contracts of the static check; imports no other room of it.

facts.py         what is known of a library or program    unqualified.py  types without typedefs and qualifiers
findings.py      rule, finding, report, verdict           fields.py       the members of a record
outcome.py       the verdict of findings; a report judged again
"""
