"""What a job is asked to do: which file, with which model, and where to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.edges.limits import (
    COMMIT_SECONDS,
    SCORING_TOKEN_BUDGET,
    THRESHOLD,
    TOKEN_BUDGET,
    TOP_LABELS,
    WINDOW_ROWS,
)
from driftgate.edges.spelling import option
from driftgate.edges.stores import is_url
from driftgate.errors import OptionError
from driftgate.inputs.corpus_files import require_other_column
from driftgate.inputs.encoder import Encoder
from driftgate.predict.output_paths import Paths
from driftgate.predict.reading.formats import is_pipe
from driftgate.predict.reading.part import Part
from driftgate.predict.reading.readers import ReadOptions
from driftgate.run.device import RunSettings, available_threads, core_limit

_MIN_WINDOW_ROWS, _MAX_WINDOW_ROWS = 512, 32_768


def choose_window_rows(token_budget: int) -> int:
    """Rows held and sorted at once, where nobody says how many."""
    return min(max(2 * token_budget, _MIN_WINDOW_ROWS), _MAX_WINDOW_ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How rows are read and cut into windows, by one job or by all jobs of a plan.

    Args:
        input_format: csv, tsv, jsonl, parquet or txt (--format); empty: by the name, jsonl for pipes.
        output_format: csv, tsv, jsonl or parquet (--output-format); likewise.
        text_column, id_column: a name, or a position from 0 where a CSV or TSV file has no header (--text-column,
            --id-column); empty: "text", and no ids.
        pair_column: of the second texts, likewise (--pair-column); empty: rows are single texts.
        encoding: of the input, but for Parquet (--encoding).
        rejects_with_texts: whether the file of rejected rows shows what was read of them.
        csv_safe: put an apostrophe before ids and labels that a spreadsheet would take for formulas (--csv-safe).
        token_budget: padded tokens of a batch.
    """

    input_format: str = ""
    output_format: str = ""
    text_column: str = ""
    pair_column: str = ""
    id_column: str = ""
    encoding: str = "utf-8"
    rejects_with_texts: bool = False
    csv_safe: bool = False
    token_budget: int = SCORING_TOKEN_BUDGET

    def of_input(self, name: str, *, full_digest: bool = False) -> ReadOptions:
        """How the rows of this input are read."""
        kept, pairs = self.rejects_with_texts, self.pair_column
        return ReadOptions(name, self.text_column, self.id_column, self.encoding, kept, pairs, full_digest)


@dataclass(frozen=True, slots=True)
class PredictionJob(Reading):
    """What to score, with which model, and where to.

    Args:
        encoder, backend: the model, as `driftgate.builder.models.Model` has them.
        input, output: files, or "-" for standard input and output. Neither may be the other.
        settings: threads of each worker, and device; None for the CPU, and all of its cores among the workers.
        rejects: file for the rows that cannot be scored (--rejects); empty: OUTPUT.rejects.jsonl, none for a pipe.
        resume: continue an interrupted run, or start where there is none (--resume).
        overwrite: replace what is there, interrupted runs included (--overwrite).
        top: write the most probable labels only; 0 writes all, a column each.
        logits: write them beside the probabilities.
        thresholds: of each label, for decisions; None for the encoder's own, else 0.5.
        window_rows: rows held and sorted at once; 0 for twice as many as the token budget has tokens. More pad less (1,024 rows
            at a budget of 512 pad 1.3% more than all of 10,000 Reddit comments), but a kill costs more.
        workers: processes that answer windows at the same time (--workers); 1 for this process alone, 0 for as many as turn out
            to be worth it. What is written is the same for any number of them.
        full_digest: tell the input from another by all of its bytes, and not by parts (--full-digest); it is read twice more.
        part: the rows of the input to score; None for all of them.
        machine: instruction sets that the answers depend on; a run is resumed with the same only. Empty: with any.
        precision: the backend's class of arithmetic, which seals of shards name; empty where nobody knows it.
        required_identity: model and options that the job must have, as `Summary.identity` has them; None for any.
        commit_seconds: how much work a kill may cost, besides the window at hand.
    """

    encoder: Encoder
    backend: str
    input: str
    output: str
    settings: RunSettings | None = None
    rejects: str = ""
    resume: bool = False
    overwrite: bool = False
    top: int = 0
    logits: bool = False
    thresholds: tuple[float, ...] | None = None
    window_rows: int = 0
    commit_seconds: float = 1.0
    workers: int = 1
    full_digest: bool = False
    part: Part | None = None
    machine: str = ""
    precision: str = ""
    required_identity: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        core_limit("workers").require(self.workers or 1)
        if self.workers > 1 and self.settings is not None and self.settings.device.kind != "cpu":
            raise OptionError(f"{option('workers', self.workers)}: workers share the cores of the CPU; a GPU has one")
        labels = len(self.encoder.labels)
        TOKEN_BUDGET.require(self.token_budget)
        WINDOW_ROWS.require(self.window_rows)
        COMMIT_SECONDS.require(self.commit_seconds)
        TOP_LABELS.require(self.top)
        if self.thresholds is not None and len(self.thresholds) != labels:
            raise OptionError(f"expected {labels} thresholds, one for each label, found {len(self.thresholds)}")
        require_other_column(self.text_column, self.pair_column)
        for threshold in self.thresholds or ():
            THRESHOLD.require(threshold)
        if is_url(self.output):
            raise OptionError(
                f"{option('output_file', self.output)}: expected a file on this machine; outputs of shards can be at URLs"
            )
        if self.rejects and Path(self.rejects).resolve() == Path(self.output).resolve():
            raise OptionError(f"{option('rejects')} {self.rejects}: scores and rejected rows need a file each")

    @property
    def paths(self) -> Paths | None:
        """Files that are written; None where the output is a pipe."""
        if is_pipe(self.output):
            return None
        return Paths(Path(self.output).resolve(), Path(self.rejects or f"{self.output}.rejects.jsonl").resolve())

    @property
    def run_settings(self) -> RunSettings:
        """Of each worker; of one, where their number is not known yet."""
        return self.settings or RunSettings(max(available_threads() // max(self.workers, 1), 1))

    @property
    def rows_at_once(self) -> int:
        """Rows of a window."""
        return self.window_rows or choose_window_rows(self.token_budget)

    @property
    def written(self) -> list[Path]:
        """Every file that the job writes, at any time."""
        if self.paths is None:
            return [Path(self.rejects)] if self.rejects else []
        return list(self.paths.all)
