"""What the answers to a sample of rows are if some products of a graph are exact: one variant of the graph after the other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import FloatArray, Logits
from driftgate.explain.alignment import Activations, Deviation, real_tokens
from driftgate.explain.explanation import Effect
from driftgate.explain.inspection import Feed, GraphTensors, keep_sites
from driftgate.explain.matching import Match, make_exact
from driftgate.explain.reference_calls import WatchedReference
from driftgate.explain.sessions import GraphSession
from driftgate.inputs.batches import TokenBatch
from driftgate.judge.evidence import Head
from driftgate.judge.probabilities import decide
from driftgate.onnx_graph.graph_variants import with_outputs
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
        model: onnx.ModelProto with its weights in memory.
        batches: of the sampled rows, whose `rows` count from 0 among them.
        sites: where activations are compared.
    """

    def __init__(
        self,
        model: Any,
        reference: WatchedReference,
        tensors: GraphTensors,
        feed: Feed,
        batches: Sequence[TokenBatch],
        weights: FloatArray,
        head: Head,
        threads: int,
        name: str,
        sites: Sequence[int],
    ) -> None:
        self._model = model
        self._tensors = tensors
        self._feed = feed
        self._batches = batches
        self._weights = weights
        self._head = head
        self._threads = threads
        self._name = name
        self._sites = [site for site in sites if site in tensors.names]
        self._activations: list[dict[int, Activations]] = []
        logits = []
        for batch in batches:
            answers = reference.answer(batch)
            logits.append((batch.rows, answers.logits))
            self._activations.append(keep_sites(answers, self._sites))
        self._reference = gather_rows("reference", logits)
        self._probabilities = head.probabilities(self._reference)

    def ask(self, exact: Collection[Match], sites: Collection[int] = (), *, by_token: bool = False) -> Trial:
        """The answers if these products are exact, and the errors at these sites."""
        variant = make_exact(self._model, exact)
        watched = [site for site in self._sites if site in sites]
        names = [self._tensors.names[site] for site in watched]
        session = GraphSession(with_outputs(variant, names), self._threads, self._name)
        answers, errors = [], dict.fromkeys(watched, Deviation())
        token_errors: dict[int, list[FloatArray]] = {site: [np.zeros(0)] * len(self._weights) for site in watched}
        for batch, expected in zip(self._batches, self._activations, strict=True):
            logits, found = session.answer(self._feed(batch))
            answers.append((batch.rows, Logits(logits.astype(np.float32))))
            tokens = batch.attention_mask.astype(bool)
            for site in watched:
                compared = self._tensors.compare(site, found[self._tensors.names[site]], expected[site])
                if compared is None:
                    continue
                errors[site] += Deviation.of(compared, expected[site], tokens)
                if by_token and compared.ndim == tokens.ndim + 1:
                    for place, row in enumerate(batch.rows):
                        token_errors[site][row] = _token_errors(compared, expected[site], tokens, place)
        return self._describe(gather_rows(self._name, answers), errors, token_errors)

    def _describe(
        self, logits: Logits, errors: dict[int, Deviation], token_errors: dict[int, list[FloatArray]]
    ) -> Trial:
        drift = largest_drift(self._head, self._reference, logits)
        effect = Effect(float(drift @ self._weights), count_flips(self._head, self._reference, logits))
        return Trial(effect, drift, errors, token_errors)


def _token_errors(found: Activations, reference: Activations, tokens: NDArray[np.bool_], place: int) -> FloatArray:
    own = tokens[place : place + 1]
    difference = real_tokens(found[place : place + 1] - reference[place : place + 1], own)
    size = np.linalg.norm(real_tokens(reference[place : place + 1], own), axis=1)
    return np.asarray(np.linalg.norm(difference, axis=1) / np.where(size, size, 1), np.float64)


def largest_drift(head: Head, reference: Logits, found: Logits) -> FloatArray:
    """Each row's largest |probability difference|, float64, (rows,)."""
    difference = head.probabilities(reference) - head.probabilities(found)
    return np.asarray(np.abs(difference).max(axis=1), np.float64)


def count_flips(head: Head, reference: Logits, found: Logits) -> int:
    """Decisions that differ under the policy that decides, the encoder's own thresholds where it has them.

    Logits are float32, (rows, labels).
    """
    thresholds = list(head.policies.values())[-1]
    sides = (
        decide(head.probabilities(logits), thresholds, multi_label=head.multi_label) for logits in (reference, found)
    )
    first, second = sides
    if head.multi_label:
        return int((first != second).sum())
    return int((first != second).any(axis=1).sum())
