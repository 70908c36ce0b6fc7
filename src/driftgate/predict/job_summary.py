"""What a job did, in a few lines."""

from dataclasses import dataclass

from driftgate.edges.spelling import option
from driftgate.predict.journal import Counts
from driftgate.predict.progress import clock


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a job.

    Args:
        counts: of the whole job, the interrupted run's rows included.
        resumed_rows: what an interrupted run had done.
        seconds: of this run, the model loaded.
        output: where the scores are.
        rejects: where the rejected rows are; empty where there are none, or no file was named for those of a pipe.
        pairs: whether rows are pairs of texts.
    """

    counts: Counts
    resumed_rows: int
    seconds: float
    output: str
    rejects: str
    pairs: bool = False

    @property
    def rows_per_second(self) -> float:
        """Of this run, rejected rows included."""
        return (self.counts.rows - self.resumed_rows) / max(self.seconds, 1e-9)

    @property
    def exit_code(self) -> int:
        """0, or 1 where every row was rejected: a column or an encoding is wrong, and the output is empty."""
        return int(self.counts.answered == 0)

    def lines(self) -> list[str]:
        """To print."""
        counts = self.counts
        before = f" ({self.resumed_rows:,} of them by the interrupted run)" if self.resumed_rows else ""
        texts = "pairs of texts" if self.pairs else "texts"
        found = [
            f"{counts.answered:,} of {counts.rows:,} rows{before} -> {self.output}",
            f"{self.rows_per_second:,.0f} rows/s, {clock(self.seconds)} ({self.seconds:.1f} s)",
            f"{counts.tokens:,} tokens; {counts.truncated:,} {texts} were longer than the model's limit and cut",
        ]
        if counts.all_rejected:
            reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in sorted(counts.rejected.items()))
            where = f" -> {self.rejects}" if self.rejects else f" (name a file for them with {option('rejects')})"
            found.append(f"{counts.all_rejected:,} rows rejected ({reasons}){where}")
        return found
