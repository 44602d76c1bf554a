"""The rule that a difference between two types falls under, by where the type stands: a parameter, a result, a member, exported data."""

from __future__ import annotations

_TABLE = """
    difference      parameter                 result                 member                  data
    size            parameter-retyped         result-retyped         member-retyped          data-retyped
    type            parameter-retyped         result-retyped         member-retyped          data-retyped
    length          parameter-retyped         result-retyped         member-array-length     data-retyped
    signedness      parameter-signedness      result-signedness      member-signedness       data-signedness
    target          parameter-target-changed  result-target-changed  member-target-changed   data-target-changed
    levels          parameter-target-changed  result-target-changed  member-target-changed   data-target-changed
    const-added     parameter-const-added     result-const-added     qualifier-changed       qualifier-changed
    const-removed   parameter-const-removed   qualifier-changed      qualifier-changed       qualifier-changed
    qualifier       qualifier-changed         qualifier-changed      qualifier-changed       qualifier-changed
    callback        callback-changed          callback-changed       callback-changed        callback-changed
    name            type-renamed              type-renamed           type-renamed            type-renamed
    representation  same-representation       same-representation    same-representation     same-representation
    handle          handle-type-changed       handle-type-changed    handle-type-changed     handle-type-changed
"""
_ROWS = [line.split() for line in _TABLE.strip().splitlines()[1:]]
PARAMETER, RESULT, MEMBER, DATA = ({row[0]: row[column] for row in _ROWS} for column in (1, 2, 3, 4))
