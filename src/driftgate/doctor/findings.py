"""What a check has to say."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters, worst first."""

    PROBLEM = "problem"
    """Something fails, answers can be wrong, or a model is not what it says."""
    WARNING = "warning"
    """Slower or bigger than it need be here, or not the same everywhere."""
    NOTE = "note"
    """Worth knowing before the numbers are trusted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a machine or a model.

    Args:
        id: stable, for scripts: lower-case words joined by hyphens.
        subject: what it is about: a part of the machine ("processor", "cores", "software", ...) or a model's file.
        found: with the values.
        matters: why.
        advice: what to do.
    """

    id: str
    severity: Severity
    subject: str
    found: str
    matters: str
    advice: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Makes the findings about one thing, named as `Finding.subject` says."""

    name: str

    def problem(self, key: str, found: str, matters: str, advice: str) -> Finding:
        """Such a finding; `key` is its id."""
        return Finding(key, Severity.PROBLEM, self.name, found, matters, advice)

    def warning(self, key: str, found: str, matters: str, advice: str) -> Finding:
        """Such a finding; `key` is its id."""
        return Finding(key, Severity.WARNING, self.name, found, matters, advice)

    def note(self, key: str, found: str, matters: str, advice: str) -> Finding:
        """Such a finding; `key` is its id."""
        return Finding(key, Severity.NOTE, self.name, found, matters, advice)


def megabytes(size_bytes: float) -> str:
    """Bytes for people: "12.3 MB", "1.5 GB", "8.2 kB"."""
    if size_bytes >= 1e9:  # noqa: PLR2004 - the next unit
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"  # noqa: PLR2004 - the next unit
