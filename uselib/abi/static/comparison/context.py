"""The data that all comparisons of one check share: the two sides, the pairs of types, and the findings so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from uselib.abi.static.comparison.compare_types import TypeComparer
from uselib.abi.static.comparison.exported_types import ExportedTypes
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.model.findings import Finding, Severity
from uselib.abi.static.rules import rule


class Comparison:
    """The comparisons of one check share it. Findings are added in any order; check.py puts them in order."""

    def __init__(self, old: Facts, new: Facts, knowledge: Mapping[str, bool] | None = None) -> None:
        self.old, self.new = old, new
        self.pairs = TypeComparer(old.types, new.types, old.machine)
        self.exported = ExportedTypes(self.pairs, old, new, knowledge or {})
        self.findings: list[Finding] = []
        self.unchecked: dict[str, None] = {}

    @property
    def fixed(self) -> bool:
        """Whether programs bind by address."""
        return self.old.fixed and self.new.fixed

    def tell(
        self,
        rule_id: str,
        subject: str,
        message: str,
        *,
        old: str = "",
        new: str = "",
        through: tuple[str, ...] = (),
        place: str = "",
        severity: Severity | None = None,
    ) -> None:
        """Adds a finding. severity: if it is another one than the rule's own, because of the circumstances."""
        row = rule(rule_id)
        if severity is not None and severity is not row.severity:
            row = replace(row, severity=severity)
        finding = Finding(row, subject, message, old, new, through, place)
        if finding not in self.findings[-8:]:
            self.findings.append(finding)

    def severity_for(self, name: str, severity: Severity) -> Severity:
        """At most RISK for a name that no public header declares: it is not part of the public interface."""
        public = self.old.public
        if public is None or name in public or name.split("@")[0] in public:
            return severity
        return min(severity, Severity.RISK)

    def place_of(self, address: int, new: bool) -> int:
        """The address relative to the library's base, so that a library that moved as a whole is one finding."""
        identity = (self.new if new else self.old).identity
        return address - identity.base if identity else address
