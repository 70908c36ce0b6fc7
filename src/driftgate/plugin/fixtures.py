"""The fixtures that suites are written with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.judge.bounds import Bounds, MetricVerdict, Outcome, hold_to_bound
from driftgate.judge.confidence.levels import exact_limits
from driftgate.judge.parts import Part
from driftgate.pipeline import Built, bounds_keys
from driftgate.plugin.options import SESSION, reported
from driftgate.plugin.session import DriftgateSession
from driftgate.pull_request.junit import list_properties
from driftgate.results.accuracy_baseline import AccuracyBaseline
from driftgate.results.record import Results
from driftgate.results.unshown import explain_unshown
from driftgate.run.backend import Backend

if TYPE_CHECKING:  # scikit-learn is slow to import, and every pytest run of every project imports the plugin
    from driftgate.explain.ledger import Ledger
    from driftgate.judge.judgement import Judgement

Gate = Callable[..., None]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A backend's answers on the corpus and the reference's: logits, float32, (rows, labels)."""

    backend: str
    reference: Logits
    logits: Logits
    encoder: Encoder
    corpus: Corpus
    multi_label: bool


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
    with reported(), driftgate.announce():
        return driftgate.assessor.reference


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
    """The backend's logits on the corpus and the reference's, computed once a session."""
    with reported(), driftgate.announce():
        return Predictions(
            backend_spec.name,
            driftgate.assessor.reference,
            driftgate.assessor.logits(backend_spec),
            driftgate.encoder,
            driftgate.corpus,
            driftgate.multi_label,
        )


@pytest.fixture(scope="session")
def judgement(driftgate: DriftgateSession, backend_spec: BackendSpec, backend: Backend) -> "Judgement":  # noqa: ARG001
    """The backend before its judge: `judgement.measure(DRIFT)` measures a part when it is first asked for."""
    with reported():
        return driftgate.judgement(backend_spec)


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
    from driftgate.explain.ledger import measure_ledger

    entry = driftgate.results.of(backend_spec.name)
    if not backend_spec.steps:
        entry.no_ledger = "driftgate builds nothing for it"
        pytest.skip(f"{backend_spec.name}: no ledger, {entry.no_ledger}")
    with reported(), driftgate.announce():
        built = driftgate.built(backend_spec)  # says what is built, and builds anew where that was asked for
        found = measure_ledger(driftgate.assessor, built.spec)
    entry.stages = found.stages
    return found


@pytest.fixture
def gate(driftgate: DriftgateSession, built: Built, request: pytest.FixtureRequest) -> Gate:
    """`gate({metric: value}, detail="")`: fail, with bound, value and reason, where a bound is broken or missing."""

    def hold(values: Mapping[str, float], detail: str = "") -> None:
        __tracebackhide__ = True
        _require(driftgate, request, _hold(driftgate, request, built, values), detail)

    return hold


@pytest.fixture
def gate_all(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> Gate:
    """`gate_all({backend: {metric: value}})`: the same for several backends at once."""

    def hold(values_by_backend: Mapping[str, Mapping[str, float]]) -> None:
        __tracebackhide__ = True
        specs = [spec for spec in driftgate.options.backends if spec.name in values_by_backend]
        held = [_hold(driftgate, request, driftgate.built(spec), values_by_backend[spec.name]) for spec in specs]
        _require(driftgate, request, [verdict for verdicts in held for verdict in verdicts])

    return hold


@pytest.fixture
def gate_part(driftgate: DriftgateSession, judgement: "Judgement", request: pytest.FixtureRequest) -> Gate:
    """`gate_part(DRIFT, ..., detail="")`: measure parts of the judgement, and hold every gated metric of them to its bound.

    Skipped, with the reason, where the corpus has nothing to measure them by, or too few rows to show that a bound is kept;
    `lacking`, a function, gives a more exact reason. A detail may be a function, asked for on failure.
    """

    def hold(
        *parts: "Part[Any]", detail: str | Callable[[], str] = "", lacking: Callable[[], str] | None = None
    ) -> None:
        __tracebackhide__ = True
        with reported(), driftgate.announce():
            verdicts = judgement.judge(suite_bounds(driftgate, request), parts)
        if not verdicts:
            scores = driftgate.encoder.gives_score
            lacked = {part.needs for part in parts if part.needs and part.suits(gives_score=scores)}
            needs = " and ".join(sorted(lacked))
            reason = f"corpus {driftgate.corpus.name} has no {needs}"
            if not needs:
                reason = f"not measured for encoders that give a score, as {driftgate.encoder.name} does"
            elif lacking and not scores:
                reason = lacking()
            pytest.skip(f"{judgement.backend}: not judged: {reason}")
        _require(driftgate, request, verdicts, detail)

    return hold


def suite_bounds(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> Bounds:
    """What the tests beside a `bounds.toml` are held to."""
    return driftgate.bounds(request.path.parent / "bounds.toml")


def _hold(
    driftgate: DriftgateSession, request: pytest.FixtureRequest, built: Built, values: Mapping[str, float]
) -> list[MetricVerdict]:
    __tracebackhide__ = True
    name = built.spec.name
    keys = bounds_keys(built.spec, driftgate.options.settings, multi_label=driftgate.multi_label)
    with reported():
        bounds = suite_bounds(driftgate, request)
        return [hold_to_bound(bounds, name, keys, metric, exact_limits(value)) for metric, value in values.items()]


def _require(
    driftgate: DriftgateSession,
    request: pytest.FixtureRequest,
    verdicts: Sequence[MetricVerdict],
    detail: str | Callable[[], str] = "",
) -> None:
    """Keep the verdicts; fail where one of them is a failure, and skip where one is not shown."""
    __tracebackhide__ = True
    driftgate.results.add_verdicts(verdicts)
    request.node.user_properties.extend(found for verdict in verdicts for found in list_properties(verdict))
    failures = [verdict for verdict in verdicts if verdict.verdict is Outcome.FAIL]
    if failures:
        where = f"encoder {driftgate.encoder.name}, corpus {driftgate.corpus.name} ({len(driftgate.corpus)} rows)"
        lines = [f"{len(failures)} broken bound(s) on {where}:", *(f"  {failure}" for failure in failures)]
        said = detail() if callable(detail) else detail
        pytest.fail("\n".join([*lines, *([said] if said else [])]), pytrace=False)
    unshown = [explain_unshown(verdict) for verdict in verdicts if verdict.verdict is Outcome.NOT_SHOWN]
    if unshown:
        pytest.skip("\n".join(unshown))
