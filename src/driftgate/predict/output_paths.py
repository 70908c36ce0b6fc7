"""Every file that a job writes, in one place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The output's final name, through links, and what stands beside it until the job is done."""

    output: Path
    rejects: Path

    @property
    def partial(self) -> Path:
        """Rows until the job is done."""
        return self.output.with_name(f"{self.output.name}.partial")

    @property
    def rejects_partial(self) -> Path:
        """Rejected rows until the job is done."""
        return self.rejects.with_name(f"{self.rejects.name}.partial")

    @property
    def converted(self) -> Path:
        """The finished file, where rows have to be converted."""
        return self.output.with_name(f"{self.output.name}.converted")

    @property
    def journal(self) -> Path:
        """How far the job is."""
        return self.output.with_name(f"{self.output.name}.journal.json")

    @property
    def journal_partial(self) -> Path:
        """The next journal, until it is whole."""
        return self.output.with_name(f"{self.journal.name}.new")

    @property
    def locks(self) -> tuple[Path, ...]:
        """Held by the process that writes; two jobs that share one of the two files exclude each other."""
        return tuple(path.with_name(f"{path.name}.lock") for path in (self.output, self.rejects))

    @property
    def unfinished(self) -> tuple[Path, ...]:
        """What an interrupted run leaves."""
        return (self.partial, self.rejects_partial, self.journal)

    @property
    def temporary(self) -> tuple[Path, ...]:
        """What a run that was killed within one step may leave as well; nobody goes back to it."""
        return (self.converted, self.journal_partial)

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file that a job writes, at any time."""
        return (self.output, self.rejects, *self.unfinished, *self.temporary, *self.locks)
