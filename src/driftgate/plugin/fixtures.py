"""The fixtures that suites are written with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from driftgate.arrays import BoolArray, Decisions, FloatArray, Logits, Probabilities
from driftgate.backends import BackendSpec
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.judge.bounds import check, policy_metric
from driftgate.judge.probabilities import decide, to_probabilities
from driftgate.pipeline import Built, bounds_keys, decision_policies
from driftgate.plugin.keys import SESSION
from driftgate.plugin.session import DriftgateSession, reported
from driftgate.report.baseline import AccuracyBaseline
from driftgate.report.record import Results
from driftgate.run.backend import Backend

if TYPE_CHECKING:  # scikit-learn is slow to import, and every pytest run of every project imports the plugin
    from driftgate.ledger import Ledger

Gate = Callable[..., None]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A backend's answers on the corpus beside the reference's: logits, float32, (rows, labels)."""

    backend: str
    reference: Logits
    logits: Logits
    encoder: Encoder
    corpus: Corpus
    multi_label: bool

    @property
    def policies(self) -> dict[str, FloatArray | float]:
        """Decision thresholds by name: 0.5, and the encoder's own where it has them."""
        return decision_policies(self.encoder)

    @staticmethod
    def metric(name: str, policy: str) -> str:
        """What bounds call a metric under a policy: `flip_rate_at_0_5`."""
        return policy_metric(name, policy)

    @property
    def near_thresholds(self) -> dict[str, BoolArray]:
        """The tenth of the rows whose decisions are closest, as a slice."""
        from driftgate.judge.slices import closest_decisions

        return {"closest decisions": closest_decisions(self.reference, 0.5, multi_label=self.multi_label)}

    def probabilities(self, logits: Logits) -> Probabilities:
        return to_probabilities(logits, multi_label=self.multi_label)

    def decisions(self, logits: Logits, thresholds: FloatArray | float) -> Decisions:
        return decide(self.probabilities(logits), thresholds, multi_label=self.multi_label)


@pytest.fixture(scope="session")
def driftgate(request: pytest.FixtureRequest) -> DriftgateSession:
    """The run itself: options, results, everything that is made once."""
    return request.config.stash[SESSION]


@pytest.fixture(scope="session")
def encoder(driftgate: DriftgateSession) -> Encoder:
    """The encoder under judgement."""
    with reported():
        return driftgate.encoder


@pytest.fixture(scope="session")
def corpus(driftgate: DriftgateSession) -> Corpus:
    """The texts it is judged on."""
    with reported():
        return driftgate.corpus


@pytest.fixture(scope="session")
def reference(driftgate: DriftgateSession) -> Logits:
    """The reference's logits on the corpus, float32, (rows, labels)."""
    with reported():
        return driftgate.reference_logits


@pytest.fixture(scope="session")
def backend_spec(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> BackendSpec:  # noqa: ARG001 - ours
    """One backend of `--backends` after the other."""
    spec: BackendSpec = request.param
    return spec


@pytest.fixture(scope="session")
def backend(driftgate: DriftgateSession, backend_spec: BackendSpec) -> Backend:
    """The backend, built or taken from the cache, and loaded, once a session."""
    with reported():
        return driftgate.backend(backend_spec)


@pytest.fixture(scope="session")
def built(driftgate: DriftgateSession, backend_spec: BackendSpec, backend: Backend) -> Built:  # noqa: ARG001 - opened first
    """What the backend was built from; its spec carries the class that bounds are looked up by."""
    return driftgate.built(backend_spec)


@pytest.fixture(scope="session")
def predictions(driftgate: DriftgateSession, backend_spec: BackendSpec, backend: Backend) -> Predictions:  # noqa: ARG001
    """The backend's logits on the corpus beside the reference's, computed once a session."""
    with reported():
        return Predictions(
            backend_spec.name,
            driftgate.reference_logits,
            driftgate.logits(backend_spec),
            driftgate.encoder,
            driftgate.corpus,
            driftgate.multi_label,
        )


@pytest.fixture(scope="session")
def results(driftgate: DriftgateSession) -> Results:
    """Where a test leaves what it measured; becomes `results.json`."""
    return driftgate.results


@pytest.fixture(scope="session")
def past(driftgate: DriftgateSession) -> AccuracyBaseline:
    """The accuracy baseline of `--accuracy-baseline`; without one yet, its tests are skipped."""
    if driftgate.past is None:
        pytest.skip(
            f"no accuracy baseline to compare with; a run that passes is saved to {driftgate.options.accuracy_baseline}"
        )
    return driftgate.past


@pytest.fixture(scope="session")
def ledger(driftgate: DriftgateSession, backend_spec: BackendSpec) -> "Ledger":
    """What each build step costs, with `--ledger` only; a backend that is not built is skipped and said to be."""
    from driftgate.ledger import ReferenceAnswers, measure_ledger

    if not backend_spec.steps:
        reason = "driftgate builds nothing for it"
        driftgate.results.of(backend_spec.name).ledger = {"left_out": reason}
        pytest.skip(f"{backend_spec.name}: no ledger, {reason}")
    with reported():
        driftgate.built(backend_spec)  # says what is built, and builds anew where that was asked for
        tokens = driftgate.tokens(driftgate.corpus)
        reference = ReferenceAnswers(
            driftgate.encoder, driftgate.corpus, tokens, driftgate.plan, driftgate.reference_logits, *driftgate.exact
        )
        return measure_ledger(reference, driftgate.built(backend_spec).spec, driftgate.options.settings)


@pytest.fixture
def gate(driftgate: DriftgateSession, built: Built, request: pytest.FixtureRequest) -> Gate:
    """`gate({metric: value}, detail="")`: fail, with bound, value and reason, where a bound is broken or missing."""

    def hold(values: Mapping[str, float], detail: str = "") -> None:
        __tracebackhide__ = True
        _hold(driftgate, request, {built.spec.name: values}, detail)

    return hold


@pytest.fixture
def gate_all(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> Gate:
    """`gate_all({backend: {metric: value}})`: the same for several backends at once."""

    def hold(values_by_backend: Mapping[str, Mapping[str, float]]) -> None:
        __tracebackhide__ = True
        _hold(driftgate, request, values_by_backend, "")

    return hold


def _hold(
    driftgate: DriftgateSession,
    request: pytest.FixtureRequest,
    values_by_backend: Mapping[str, Mapping[str, float]],
    detail: str,
) -> None:
    __tracebackhide__ = True
    specs = {
        spec.name: driftgate.built(spec).spec for spec in driftgate.options.backends if spec.name in values_by_backend
    }
    with reported():
        bounds = driftgate.bounds(request.path.parent / "bounds.toml")
        violations = [
            violation
            for name, values in values_by_backend.items()
            for violation in check(bounds, name, bounds_keys(specs[name], driftgate.options.settings), values)
        ]
    for name, values in values_by_backend.items():
        driftgate.results.of(name).verdicts += len(values)
    driftgate.results.add_violations(violations)
    if violations:
        where = f"encoder {driftgate.encoder.name}, corpus {driftgate.corpus.name} ({len(driftgate.corpus)} rows)"
        lines = [f"{len(violations)} broken bound(s) on {where}:", *(f"  {violation}" for violation in violations)]
        pytest.fail("\n".join([*lines, *([detail] if detail else [])]), pytrace=False)
