"""What the answers to a sample of rows are if some products of a graph are exact: one variant of the graph after the other."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import BoolArray, FloatArray, Logits
from driftgate.explain.alignment import Activations, Deviation, real_tokens
from driftgate.explain.explanation import Effect
from driftgate.explain.inspection import Subject
from driftgate.explain.matching import Match
from driftgate.inputs.batches import BudgetPlan, make_batches
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.flips import Flips, count_flips
from driftgate.run.backend import gather_rows

LARGEST_ROWS = 60
RANDOM_ROWS = 60
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class SampledRows:
    """The rows with the largest drift, and others drawn at random; together they estimate the mean over the corpus.

    Args:
        rows: of the corpus. `weights`: what each stands for, summing to 1, float64, (those rows,).
    """

    rows: tuple[int, ...]
    weights: FloatArray

    @classmethod
    def draw(cls, drift: FloatArray) -> "SampledRows":
        """By each row's drift, float64, (rows,); the random ones with a fixed seed."""
        order = np.argsort(-drift, kind="stable")
        largest, rest = order[:LARGEST_ROWS], order[LARGEST_ROWS:]
        drawn = np.random.default_rng(_SEED).permutation(rest)[:RANDOM_ROWS]
        weights = [np.full(len(largest), 1 / len(drift))]
        if len(drawn):
            weights.append(np.full(len(drawn), len(rest) / len(drift) / len(drawn)))
        return cls((*largest.tolist(), *drawn.tolist()), np.concatenate(weights))

    @classmethod
    def draw_evenly(cls, rows: int, count: int) -> "SampledRows":
        """`count` of the rows of a corpus, all alike, with a fixed seed; all of them where there are no more."""
        drawn = np.random.default_rng(_SEED).permutation(rows)[:count]
        return cls(tuple(drawn.tolist()), np.full(len(drawn), 1 / len(drawn)))


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Answers of one variant to the sampled rows.

    Args:
        drift: each row's largest |probability difference|, float64, (sampled rows,).
        errors: deviation from the reference by site. `token_errors`: relative error of each token, float64, by site and row.
    """

    effect: Effect
    drift: FloatArray
    errors: dict[int, Deviation]
    token_errors: dict[int, list[FloatArray]]


class Trials:
    """Variants of one graph, asked about the same rows.

    Args:
        tokens: of the corpus. `sample`: which of its rows are asked about.
        sites: where activations are compared.
    """

    def __init__(
        self, subject: Subject, tokens: TokenizedTexts, sample: SampledRows, sites: Collection[int] = ()
    ) -> None:
        self._subject = subject
        self._weights = sample.weights
        self._sites = [site for site in sites if site in subject.tensors]
        self._batches = list(make_batches(tokens.take(sample.rows), BudgetPlan()))
        self._activations: list[dict[int, Activations]] = []
        logits = []
        for batch in self._batches:
            answers = subject.reference.answer(batch)
            logits.append((batch.rows, answers.logits))
            # At these sites only: all of a sample's would fill the memory.
            self._activations.append({site: answers.sites[site] for site in self._sites})
        self._reference = gather_rows("reference", logits)

    def ask(self, exact: Collection[Match], sites: Collection[int] = (), *, by_token: bool = False) -> Trial:
        """The answers if these products are exact, and the errors at these sites."""
        subject = self._subject
        watched = [site for site in self._sites if site in sites]
        session = subject.open(exact, watched)
        answers, errors = [], dict.fromkeys(watched, Deviation())
        token_errors: dict[int, list[FloatArray]] = {site: [np.zeros(0)] * len(self._weights) for site in watched}
        for batch, expected in zip(self._batches, self._activations, strict=True):
            logits, found = session.answer(subject.feed(batch))
            answers.append((batch.rows, logits))
            tokens = batch.attention_mask.astype(bool)
            for site in watched:
                compared = subject.compare(site, found, expected[site])
                if compared is None:
                    continue
                errors[site] += Deviation.of(compared, expected[site], tokens)
                if by_token and compared.ndim == tokens.ndim + 1:
                    for place, row in enumerate(batch.rows):
                        token_errors[site][row] = _token_errors(compared, expected[site], tokens, place)
        evidence = compare_logits(subject.head, self._reference, gather_rows(subject.name, answers))
        drift = evidence.largest_drift
        return Trial(Effect(float(drift @ self._weights), flips_of(evidence).total), drift, errors, token_errors)


def _token_errors(found: Activations, reference: Activations, tokens: BoolArray, place: int) -> FloatArray:
    own = tokens[place : place + 1]
    difference = real_tokens(found[place : place + 1] - reference[place : place + 1], own)
    size = np.linalg.norm(real_tokens(reference[place : place + 1], own), axis=1)
    return np.asarray(np.linalg.norm(difference, axis=1) / np.where(size, size, 1), np.float64)


def compare_logits(head: Head, reference: Logits, found: Logits) -> Evidence:
    """Answers of both sides to the same rows, float32, (rows, labels)."""
    return Evidence(head, None, lambda: reference, lambda: found)


def flips_of(evidence: Evidence) -> Flips:
    """Decisions that changed under the policy that decides, the encoder's own thresholds where it has them."""
    *_, decisions = evidence.decisions.values()
    return count_flips(*decisions, evidence.head.labels, multi_label=evidence.head.multi_label)


def removed_share(before: float, after: float) -> float:
    """What share of a drift is gone; negative where it grew."""
    return (before - after) / before if before else 0.0
