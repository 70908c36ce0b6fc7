"""From facts to findings, and from a question to a report."""

from driftgate.doctor.checks.check_graph import check_graphs
from driftgate.doctor.checks.check_machine import check_machine
from driftgate.doctor.checks.check_software import check_software
from driftgate.doctor.checks.check_source import check_sources
from driftgate.doctor.checks.check_storage import check_storage
from driftgate.doctor.facts import Facts
from driftgate.doctor.findings import Finding, Severity

_CHECKS = (check_graphs, check_sources, check_software, check_machine, check_storage)
_ORDER = {severity: place for place, severity in enumerate(Severity)}


def examine(facts: Facts) -> list[Finding]:
    """Everything that is to be said about `facts`, the worst first."""
    found = [finding for check in _CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])
