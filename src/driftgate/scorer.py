"""A model as a callable, for the engines that people bring: Ray Data's `map_batches`, Spark's `mapInPandas`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from driftgate.edges.limits import SCORING_TOKEN_BUDGET, THRESHOLD, TOKEN_BUDGET
from driftgate.errors import ArtifactError, CorpusError, OptionError
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.texts import name_rows
from driftgate.predict.score_layout import SCORE, Layout
from driftgate.run.device import RunSettings, parse_device

_LABELS, _REASON = "labels", "rejected"


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores batches of texts: columns in, the same columns and the scores out.

    It is small and can be pickled, since it holds no model. Each process loads the model at its first batch and keeps it, and
    asks it the golden vectors that lie beside its file, where there are any, before anything is scored.

    Args:
        model, backend, revision: as `driftgate predict MODEL --backend B --revision R` takes them. A path has to be valid on
            every machine.
        text_column: of the texts. `pair_column`: of the second texts of pairs; empty: rows are single texts.
        threads: intra-op threads of each process.
        device: cpu, cuda or cuda:N.
        thresholds: of each label, for decisions; None for the encoder's own, else 0.5.
        logits: whether they stand beside the probabilities, as `logit:LABEL`.
        token_budget: padded tokens of a batch of the model.
        reject: rows that cannot be scored (empty texts, missing ones, numbers) have the reason in the column `rejected`, NaN as
            scores and no labels. Otherwise they are an error.
        require_golden_vectors: refuse a model that has none.
    """

    model: str
    backend: str | None = None
    text_column: str = "text"
    pair_column: str = ""
    threads: int = 1
    device: str = "cpu"
    thresholds: tuple[float, ...] | None = None
    logits: bool = False
    token_budget: int = SCORING_TOKEN_BUDGET
    reject: bool = False
    require_golden_vectors: bool = False
    revision: str | None = None

    def __post_init__(self) -> None:
        RunSettings(self.threads, parse_device(self.device))
        TOKEN_BUDGET.require(self.token_budget)
        for threshold in self.thresholds or ():
            THRESHOLD.require(threshold)
        if self.pair_column == self.text_column:
            raise OptionError(f"pair_column {self.pair_column!r}: the texts of a pair are in two columns")

    def __call__(self, batch: Any) -> Any:
        """Score one batch.

        Args:
            batch: a mapping from column to values, such as the NumPy batches of Ray, or a pandas DataFrame.

        Returns:
            what was given, a dict or a DataFrame, with more columns: `labels`, the decided ones, separated as
            `driftgate predict` separates them; the probability of each label, float32, (rows,); with `logits` those too; with
            `reject` the column `rejected`, which is empty for rows with scores. Of an encoder of one score, `score` alone.

        Raises:
            CorpusError: no such column, rows that cannot be scored. OptionError: a column is called as one of ours.
            ArtifactError: the model does not answer its golden vectors as it should. DriftgateError: it cannot be loaded.
            NonFiniteLogitsError: NaN or infinity, with the rows of the batch.
        """
        text_columns = [self.text_column, *([self.pair_column] if self.pair_column else [])]
        scores = self._score(*_load(self), [_column(batch, name) for name in text_columns])
        doubled = sorted(set(batch) & set(scores))
        if doubled:
            raise OptionError(f"column {doubled[0]!r}: a column of the scores has that name; rename the batch's own")
        return dict(batch) | scores if isinstance(batch, Mapping) else batch.assign(**scores)

    def each(self, batches: Any) -> Iterator[Any]:
        """Score batches one after the other, as `mapInPandas` hands them over.

        Args:
            batches: an iterable of what a call takes.

        Raises:
            DriftgateError: as a call does.
        """
        yield from map(self, batches)

    def _score(self, answerer: Any, layout: Layout, columns: list[Sequence[Any]]) -> dict[str, Any]:
        """Columns of scores, of as many rows as the batch has."""
        from driftgate.predict.answerer import answer_rows
        from driftgate.predict.reading.rows import Row, find_fault

        rows, reasons = [], [""] * len(columns[0])
        for number, parts in enumerate(zip(*columns, strict=True)):
            fault = next(filter(None, (find_fault(_plain(part), None, "utf-8") for part in parts)), None)
            if fault is None:
                rows.append(Row(number, parts[0] if len(parts) == 1 else (parts[0], parts[1])))
            else:
                reasons[number] = str(fault[0])
        bad = [number for number, reason in enumerate(reasons) if reason]
        if bad and not self.reject:
            raise CorpusError(
                f"rows {name_rows([str(number) for number in bad])} of the batch, counted from 0, cannot be scored "
                f"({reasons[bad[0]]}); Scorer(..., reject=True) marks such rows in the column {_REASON!r} instead"
            )
        answered = answer_rows(rows, answerer, BudgetPlan(self.token_budget), len(layout.labels))
        found = _spread(layout, answered.numbers, answered.logits, len(reasons))
        return found | ({_REASON: np.array(reasons, dtype=object)} if self.reject else {})


@lru_cache(maxsize=1)
def _load(scorer: Scorer) -> tuple[Any, Layout]:
    """Once a process, whichever copy of the scorer asks."""
    from driftgate.builder.models import find_model
    from driftgate.pipeline import choose_backends, prepare_backend
    from driftgate.predict.answerer import open_answerer

    found = find_model(scorer.model, scorer.backend, revision=scorer.revision)
    settings = RunSettings(scorer.threads, parse_device(scorer.device))
    (spec,) = choose_backends(found.backend, device=settings.device.kind)
    artifact = prepare_backend(found.encoder, spec).artifact
    _check_golden_vectors(scorer, artifact.model if artifact else None, settings)
    return open_answerer(found.encoder, found.backend, settings), _lay_out(scorer, found.encoder)


def _check_golden_vectors(scorer: Scorer, file: Any, settings: RunSettings) -> None:
    from driftgate.verify.check_model import require_verified

    verified = file is not None and require_verified(file, settings)
    if scorer.require_golden_vectors and not verified:
        raise ArtifactError(
            f"{scorer.model}: expected golden vectors (test_data_set_0 and so on) beside its ONNX file, found none; "
            "`driftgate build` writes them"
        )


def _lay_out(scorer: Scorer, encoder: Encoder) -> Layout:
    labels = len(encoder.labels)
    if scorer.thresholds is not None and len(scorer.thresholds) != labels:
        raise OptionError(f"expected {labels} thresholds, one for each label, found {len(scorer.thresholds)}")
    return Layout(
        encoder.labels,
        encoder.problem_type is ProblemType.MULTI_LABEL,
        scorer.thresholds or encoder.thresholds or (0.5,) * labels,
        logits=scorer.logits,
        one_score=encoder.gives_score,
    )


def _spread(layout: Layout, numbers: Sequence[int], logits: Any, rows: int) -> dict[str, Any]:
    """Scores to columns of `rows` rows; rows without a score are NaN and None."""
    given = list(layout.scores(numbers, [None] * len(numbers), logits))
    at = list(numbers)

    def column(values: list[float]) -> Any:
        filled = np.full(rows, np.nan, dtype=np.float32)
        filled[at] = values
        return filled

    if layout.one_score:
        return {SCORE: column([one.score or 0.0 for one in given])}
    labels = np.full(rows, None, dtype=object)
    labels[at] = [layout.separator.join(one.decided) for one in given]
    columns = {_LABELS: labels}
    for place, name in enumerate(layout.probability_columns):
        columns[name] = column([one.probabilities[place] for one in given])
    for place, name in enumerate(layout.logit_columns):
        columns[name] = column([(one.logits or [])[place] for one in given])
    return columns


def _column(batch: Any, name: str) -> Sequence[Any]:
    if name not in batch:
        raise CorpusError(f"expected a column {name!r}, found {', '.join(map(repr, batch)) or 'none'}")
    return list(batch[name])


def _plain(value: Any) -> Any:
    """A missing text as pandas and NumPy have it is None; their strings are strings."""
    return None if isinstance(value, float) and np.isnan(value) else value
