"""The fixtures that property tests are written with."""

from collections.abc import Iterator
from typing import Any

import pytest

from driftgate.inputs.tokens import load_tokenizer
from driftgate.pipeline import Built
from driftgate.plugin.fixtures import suite_bounds
from driftgate.plugin.hold import Hold
from driftgate.plugin.options import reported
from driftgate.plugin.property_answers import Answers
from driftgate.plugin.session import DriftgateSession
from driftgate.run.backend import Backend


@pytest.fixture(scope="session")
def reference_answers(driftgate: DriftgateSession) -> Answers:
    """The reference's logits on generated texts, computed once for all backends."""
    with reported():
        from driftgate.run.torch_backend import open_reference

        return Answers(open_reference(driftgate.encoder, driftgate.options.settings), len(driftgate.encoder.labels))


@pytest.fixture(scope="session")
def tokenizer(driftgate: DriftgateSession) -> Any:
    """The encoder's own transformers tokenizer: the one that `tokenize` uses, not a copy."""
    with reported():
        return load_tokenizer(driftgate.encoder)


@pytest.fixture(scope="session")
def pair_tokenizer(tokenizer: Any) -> Any:
    """The same, of an encoder that is asked about pairs; tests that take it are collected with `--driftgate-pair-column` only."""
    return tokenizer


@pytest.fixture(scope="module")
def hold(
    driftgate: DriftgateSession,
    built: Built,
    backend: Backend,
    reference_answers: Answers,
    request: pytest.FixtureRequest,
) -> Iterator[Hold]:
    """Keeps the backend to its guarantees and bounds. Of a module's scope, for one fixture serves many examples."""
    with reported():
        corpus = driftgate.corpus if driftgate.options.corpus else driftgate.throughput_corpus("normal")
        bounds = suite_bounds(driftgate, request)
    answers = Answers(backend, len(driftgate.encoder.labels))
    held = Hold(driftgate, built, answers, reference_answers, corpus, bounds)
    yield held
    held.record_violations()
