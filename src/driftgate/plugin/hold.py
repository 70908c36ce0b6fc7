"""Keeping one backend to what it declares, example after example.

Hypothesis is imported where it is used: every pytest run of every project imports this module.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Guarantee, Invariance
from driftgate.errors import DriftgateError
from driftgate.inputs.batches import TokenBatch, pad_rows
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.texts import Text
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.bounds import Bounds, Outcome, hold_to_bound
from driftgate.judge.confidence.levels import exact_limits
from driftgate.judge.metric_types import CHANGES, GENERATED
from driftgate.pipeline import Built, bounds_keys
from driftgate.plugin.options import reported
from driftgate.plugin.property_answers import Answers, Failure, Searched
from driftgate.plugin.session import DriftgateSession

if TYPE_CHECKING:
    from driftgate.strategies import CorpusText

SHORT_TOKENS = 20
"""Properties hold at any length; short rows are tried many times in the time of one long one. Some examples go to the limit."""
SHRINK_SECONDS = 20.0
"""How long a counterexample is made smaller on a model."""

Answer = Callable[[], Logits]


class Hold:
    """Keeps one backend to its guarantees and bounds, and says what it saw."""

    def __init__(
        self,
        session: DriftgateSession,
        built: Built,
        answers: Answers,
        reference: Answers,
        corpus: Corpus,
        bounds: Bounds,
    ) -> None:
        self.encoder: Encoder = session.encoder
        self.spec: BackendSpec = built.spec
        self.backend = answers.backend
        self.multi_label = session.multi_label
        self.rows: tuple[Text, ...] = corpus.texts
        self._hides_texts = corpus.private and not session.options.show_texts
        self._session = session
        self._answers = answers
        self._reference = reference
        self._bounds = bounds
        self._keys = bounds_keys(built.spec, session.options.settings, multi_label=session.multi_label)
        self._property = ""
        self._measured: defaultdict[str, Searched] = defaultdict(Searched)
        self._failures: dict[str, Failure] = {}

    def __repr__(self) -> str:
        return f"<hold {self.spec.name}>"

    def tokens(self, texts: "Sequence[Text | CorpusText]", max_tokens: int = SHORT_TOKENS) -> TokenizedTexts:
        """Tokenize texts, pairs and references to corpus rows, cut at `max_tokens` or the encoder's own limit."""
        __tracebackhide__ = True
        from driftgate.strategies import resolve

        cut = replace(self.encoder, max_tokens=min(max_tokens, self.encoder.max_tokens))
        try:
            return tokenize(cut, [resolve(text, self.rows) for text in texts])
        except Exception as error:
            if not self._hides_texts:
                raise
            # A tokenizer's traceback shows what it was given.
            raise AssertionError(f"{self.encoder.name}: its tokenizer failed with {type(error).__name__}") from None

    def batch(self, texts: "Sequence[Text | CorpusText]", max_tokens: int = SHORT_TOKENS) -> TokenBatch:
        """The texts as one batch, padded to the longest."""
        __tracebackhide__ = True
        return pad_rows(self.tokens(texts, max_tokens), range(len(texts)))

    def batches(self, tokens: TokenizedTexts) -> list[TokenBatch]:
        """The texts as one batch, or as one a row where the backend refuses mixed batches."""
        __tracebackhide__ = True
        groups = [range(len(tokens))] if self.takes_batches else [[row] for row in range(len(tokens))]
        return [pad_rows(tokens, rows) for rows in groups]

    def with_segments(self, batch: TokenBatch) -> TokenBatch:
        """The batch with segments of zeros where the encoder's tokenizer gives segments, else without."""
        given = self.tokens([""]).token_type_ids is not None
        return replace(batch, token_type_ids=np.zeros_like(batch.input_ids) if given else None)

    def answer(self, batch: TokenBatch) -> Logits:
        """The backend's logits, float32, (batch, labels), finite; remembered."""
        __tracebackhide__ = True
        return self._answers.of(batch)

    def answer_anew(self, batch: TokenBatch) -> Logits:
        """The same, computed even if it was asked before."""
        __tracebackhide__ = True
        return self._answers.anew(batch)

    def answer_in_batches(self, tokens: TokenizedTexts, rows_per_batch: int) -> Logits:
        """Logits of every row, so many in a batch, each batch padded to its own longest row."""
        __tracebackhide__ = True
        starts = range(0, len(tokens), rows_per_batch)
        batches = [pad_rows(tokens, range(len(tokens))[start : start + rows_per_batch]) for start in starts]
        return Logits(np.concatenate([self.answer(batch) for batch in batches]))

    def answer_unless_refused(self, batch: TokenBatch) -> Logits | None:
        """The backend's logits, or None where it refuses such a batch with an error of ours, which is counted."""
        __tracebackhide__ = True
        try:
            return self.answer(batch)
        except DriftgateError:
            self._measured[self._property].refusals += 1
            return None

    @property
    def takes_batches(self) -> bool:
        """Whether rows of different lengths may share a batch; if not, every row is asked alone."""
        refused = (Invariance.COMPOSITION, Invariance.PADDING)
        return all(self.spec.guarantee(invariance) is not Guarantee.REFUSED for invariance in refused)

    def same(self, invariance: Invariance, expected: Answer, found: Answer) -> None:
        """Compare two ways to ask, as the backend's guarantee says: equal bits, within a bound, or refused.

        Raises:
            AssertionError: with backend, invariance, measured change, and the bound with its reason.
        """
        __tracebackhide__ = True
        guarantee = self.spec.guarantee(invariance)
        if guarantee is Guarantee.REFUSED:
            self._refused(invariance, expected, found)
            return
        before, after = expected(), found()
        changes = self._changes(before, after)
        if guarantee is Guarantee.BOUNDED:
            self._within(f"change_{invariance.replace('-', '_')}", changes, f"invariance {str(invariance)!r}")
        elif before.tobytes() != after.tobytes():
            raise AssertionError(
                f"{self.spec.name}: invariance {str(invariance)!r} is declared exact, and logits moved by up to {changes[0]:.3g}"
            )

    def agrees(self, tokens: TokenizedTexts) -> None:
        """Hold the backend's drift from the reference to its bounds. The search goes towards texts that drift more."""
        __tracebackhide__ = True
        self._agrees(self.batches(tokens))

    def agrees_on(self, batch: TokenBatch) -> None:
        """The same for one batch as it is."""
        __tracebackhide__ = True
        self._agrees([batch])

    def _agrees(self, batches: Sequence[TokenBatch]) -> None:
        __tracebackhide__ = True
        from hypothesis import target

        expected = Logits(np.concatenate([self._reference.of(batch) for batch in batches]))
        found = Logits(np.concatenate([self.answer(batch) for batch in batches]))
        changes = self._changes(expected, found)
        target(changes[0], label="largest logit drift")
        self._within(GENERATED, changes, "differential drift from the reference")

    def reference(self, batch: TokenBatch) -> Logits:
        """The reference's logits, float32, (batch, labels)."""
        __tracebackhide__ = True
        return self._reference.of(batch)

    @contextmanager
    def example(self, name: str, values: Mapping[str, Any]) -> Iterator[None]:
        """One example of the property `name`: counted; a failure is given the line that repeats it."""
        __tracebackhide__ = True
        from hypothesis import reject
        from hypothesis.errors import HypothesisException

        line = f"@example({', '.join(f'{key}={value!r}' for key, value in values.items())})"
        failure = self._failures.get(name)
        if failure and line not in failure.examples and time.monotonic() - failure.since > SHRINK_SECONDS:
            reject()  # small enough: only counterexamples that are known run again, so that they are seen to repeat
        self._property = name
        measured = self._measured[name]
        measured.examples += 1
        try:
            yield
        except HypothesisException:
            raise
        except Exception as error:
            self._failures.setdefault(name, Failure(time.monotonic())).examples.add(line)
            error.add_note(f"To try this first from now on, put this line above the test:\n{line}")
            raise
        finally:
            # Written each time: a run that is stopped has what it saw until then.
            self._session.results.of(self.spec.name).properties[name] = measured

    def record_violations(self) -> None:
        """Leave the last broken bound of each property, its smallest counterexample's, in the results."""
        self._session.results.add_violations([one.broken for one in self._failures.values() if one.broken])

    def _changes(self, before: Logits, after: Logits) -> tuple[float, float]:
        from driftgate.judge.probabilities import to_probabilities

        if before.shape != after.shape:
            raise AssertionError(f"{self.spec.name}: logits of shape {before.shape}, then of {after.shape}")
        logit = np.abs(before.astype(np.float64) - after.astype(np.float64)).max(initial=0.0)
        one, other = (to_probabilities(logits, multi_label=self.multi_label) for logits in (before, after))
        probability = np.abs(one - other).max(initial=0.0)
        changes = float(logit), float(probability)
        self._measured[self._property].see(*changes)
        return changes

    def _within(self, name: str, changes: tuple[float, float], claim: str) -> None:
        __tracebackhide__ = True
        for metric, change in zip(CHANGES[name], changes, strict=True):
            with reported():
                verdict = hold_to_bound(self._bounds, self.spec.name, self._keys, metric.name, exact_limits(change))
            self._session.results.of(self.spec.name).keep_worst(verdict)
            if verdict.verdict is Outcome.FAIL:
                self._failures.setdefault(self._property, Failure(time.monotonic())).broken = verdict
                raise AssertionError(f"{self.spec.name}: {claim}: {verdict.bound.describe(verdict.limits)}")

    def _refused(self, invariance: Invariance, expected: Answer, found: Answer) -> None:
        __tracebackhide__ = True
        try:
            _ = expected(), found()
        except DriftgateError:
            self._measured[self._property].refusals += 1
            return
        raise AssertionError(
            f"{self.spec.name}: invariance {str(invariance)!r} is declared refused, and the backend answered; "
            "it should raise a DriftgateError"
        )
