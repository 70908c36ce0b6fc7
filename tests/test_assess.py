"""One assessment: `driftgate.assessor`, `driftgate publish` and `pytest accuracy` say the same of the same rows."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from nested_pytest import copy_suite, run_pytest
from onnx import numpy_helper
from tiny_encoders import LABELS, SENTENCES, SINGLE_LABEL, make_encoder

import driftgate
from driftgate.arrays import LabelMatrix
from driftgate.assessor import Assessor, find_bounds
from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime, Step
from driftgate.errors import BoundsError
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.judge.assessment import Assessment
from driftgate.judge.bounds import MetricVerdict
from driftgate.judge.parts import AGREEMENT, DRIFT
from driftgate.pipeline import OpenBackends
from driftgate.plugin.options import SESSION
from driftgate.publish.acceptance import Trial
from driftgate.publish.publication import publish
from driftgate.run.device import RunSettings

ROOT = Path(__file__).parents[1]
ONE_THREAD = RunSettings(1)
ROWS = 120  # of one length, so that there is a slice that is large enough to be gated


def change_weight(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Path], None]:
    """A build step that changes the first square weight of a graph."""

    def step(source: Path, target: Path) -> None:
        model = onnx.load(source)
        square = (one for one in model.graph.initializer if len(one.dims) == 2 and one.dims[0] == one.dims[1])
        weight = next(square)
        weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)), weight.name))
        onnx.save(model, target)

    return step


def mutant(name: str, step: Callable[[Path, Path], None]) -> BackendSpec:
    return BackendSpec(name, Precision.FP32, Runtime.ONNXRUNTIME, ("export", Step(name, "1", step)))


MUTANTS = (
    mutant("scaled", change_weight(lambda weight: weight * np.float32(1.01))),
    mutant("dead", change_weight(np.zeros_like)),
)
SPECS = (REGISTRY["onnx-fp32"], REGISTRY["onnx-int8"], *MUTANTS)


class Plugin:
    """Mutants as backends of a nested run, and the verdicts that it ended with."""

    def __init__(self) -> None:
        self.verdicts: dict[str, list[MetricVerdict]] = {}

    def pytest_driftgate_backends(self) -> list[BackendSpec]:
        return list(MUTANTS)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        backends = session.config.stash[SESSION].results.backends
        self.verdicts = {name: list(entry.verdicts) for name, entry in backends.items()}


def make_labelled(folder: Path) -> tuple[Path, Path]:
    """A multi-label encoder with thresholds of its own, and rows with labels."""
    encoder = make_encoder(folder / "encoder")
    thresholds = {"thresholds": dict.fromkeys(LABELS, 0.4)}
    (encoder / "thresholds.json").write_text(json.dumps(thresholds), encoding="utf-8")
    rows = [{"text": f"{SENTENCES[row % len(SENTENCES)]} {row}", "labels": [LABELS[row % 4]]} for row in range(ROWS)]
    return encoder, write_rows(folder, rows)


def make_unlabelled(folder: Path) -> tuple[Path, Path]:
    """A single-label encoder, and a few texts."""
    encoder = make_encoder(folder / "encoder", problem_type=SINGLE_LABEL)
    return encoder, write_rows(folder, [{"text": text} for text in SENTENCES])


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


Judged = dict[str, dict[tuple[str, str], MetricVerdict]]


def by_metric(verdicts: dict[str, list[MetricVerdict]]) -> Judged:
    return {name: {(one.metric, one.policy): one for one in found} for name, found in verdicts.items()}


@pytest.fixture(scope="module")
def module_cache(shared_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        yield


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(make_labelled, id="labelled"),
        pytest.param(make_unlabelled, id="unlabelled", marks=pytest.mark.slow),
    ],
)
def judged(
    request: pytest.FixtureRequest, module_cache: None, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Judged, Judged]:
    """The verdicts of `pytest accuracy` and those of `driftgate publish`, on the same rows."""
    folder = tmp_path_factory.mktemp("project")
    path, rows = request.param(folder)
    copy_suite(folder, "accuracy")
    plugin = Plugin()
    names = ",".join(spec.name for spec in SPECS)
    given = [f"--encoder={path}", f"--corpus={rows}", f"--backends={names}", "--driftgate-threads=1"]
    code, output = run_pytest(
        folder, ["accuracy", *given, "-m", "not property", "-p", "no:cacheprovider"], shared_cache, [plugin]
    )
    assert code == 1, output
    encoder = load_encoder(path)
    corpus = load_corpus(rows, encoder)
    trial = Trial(corpus, find_bounds(None), ONE_THREAD)
    published = publish(encoder, SPECS, folder / "out", trial)
    assert published.folders == {}
    return by_metric(plugin.verdicts), by_metric({one.backend: list(one.verdicts) for one in published.assessments})


def test_build_and_suite_judge_the_same_metrics(judged: tuple[Judged, Judged]) -> None:
    suite, built = judged
    assert set(built) == {spec.name for spec in SPECS}
    assert {name: set(verdicts) for name, verdicts in suite.items()} == {name: set(own) for name, own in built.items()}
    assert {"error_ratio_to_float32", "largest_prevalence_shift", "padding_noise_max_abs_logit"} <= {
        metric for metric, _ in built["onnx-fp32"]
    }


def test_build_and_suite_say_the_same_of_good_builds_and_of_mutants(judged: tuple[Judged, Judged]) -> None:
    suite, built = judged
    for name, verdicts in suite.items():
        for key, verdict in verdicts.items():
            other = built[name][key]
            assert (other.verdict, other.bound) == (verdict.verdict, verdict.bound), (name, key)
            assert other.value == pytest.approx(verdict.value, rel=1e-3, abs=1e-9, nan_ok=True), (name, key)
    failed = {name for name, verdicts in built.items() if any(one.verdict == "fail" for one in verdicts.values())}
    assert "onnx-fp32" not in failed
    assert failed >= {spec.name for spec in MUTANTS}


# In Python


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


TEXTS = tuple(f"{sentence} {number}" for number in range(20) for sentence in SENTENCES)
CORPUS = Corpus("mine", TEXTS, tuple(map(str, range(len(TEXTS)))), labels=None)
FEW = Corpus("few", SENTENCES, tuple(map(str, range(len(SENTENCES)))), labels=None)


@pytest.fixture(scope="module")
def assessment(encoder: Encoder, module_cache: None) -> Assessment:
    return driftgate.assess(encoder, CORPUS, "onnx-fp32", settings=ONE_THREAD)


def test_a_good_build_passes_with_its_measurements(assessment: Assessment) -> None:
    assert assessment.passed
    assert (assessment.encoder, assessment.corpus, assessment.rows) == ("tiny-roberta", "mine", len(TEXTS))
    assert 0 <= assessment.backends["onnx-fp32"].measured.require(DRIFT).max_abs_logit < 1e-4
    assert len(assessment.verdicts) == len(assessment.backends["onnx-fp32"].verdicts) > 5


def labelled(texts: tuple[str, ...], *labels: str) -> Corpus:
    """Texts that have these labels in turn."""
    own = np.array([[label == labels[row % len(labels)] for label in LABELS] for row in range(len(texts))])
    return Corpus("labelled", texts, tuple(map(str, range(len(texts)))), LabelMatrix(own))


@pytest.mark.parametrize(
    "corpus",
    [
        pytest.param(FEW, id="a few rows"),
        pytest.param(replace(FEW, texts=FEW.texts[:1], row_ids=FEW.row_ids[:1]), id="one row"),
        pytest.param(replace(CORPUS, texts=TEXTS[:1] * len(TEXTS)), id="rows that are all equal"),
        pytest.param(replace(CORPUS, texts=SENTENCES * 20), id="a few rows, many times over"),
        pytest.param(labelled(TEXTS[:1], *LABELS), id="one row with a label"),
        pytest.param(labelled(TEXTS[:3], *LABELS), id="more labels than rows"),
        pytest.param(labelled(TEXTS[:1] * len(TEXTS), *LABELS), id="rows that are all equal, with labels"),
    ],
)
def test_too_few_different_texts_are_neither_passed_nor_failed(
    corpus: Corpus, encoder: Encoder, module_cache: None
) -> None:
    found = driftgate.assess(encoder, corpus, "onnx-fp32", settings=ONE_THREAD)
    assert (found.verdict(), found.passed) == ("not-shown", False)
    assert found.backends["onnx-fp32"].failures == ()
    (drift,) = (one for one in found.verdicts if one.metric == "mean_of_largest_probability_drift")
    assert (drift.verdict, drift.rows_needed) == ("not-shown", 99)


@pytest.mark.parametrize("labels", [LABELS[:1], LABELS[:3]], ids=["one label", "a label that never occurs"])
def test_labels_that_never_occur_are_said_to_show_nothing(
    labels: tuple[str, ...], encoder: Encoder, module_cache: None
) -> None:
    found = driftgate.assess(encoder, labelled(TEXTS, *labels), "onnx-fp32", settings=ONE_THREAD)
    assert found.passed  # drift decides
    assert found.backends["onnx-fp32"].failures == ()
    (macro,) = (one for one in found.verdicts if one.metric == "macro_f1_loss")
    assert macro.verdict == "not-shown"


def test_a_file_of_bounds_goes_before_the_suites(encoder: Encoder, module_cache: None, tmp_path: Path) -> None:
    own = tmp_path / "bounds.toml"
    own.write_text('[fp32.top1_disagreement]\nat_most = 0\nreason = "none"\nset_on = 2026-01-31\n', encoding="utf-8")
    found = driftgate.assess(encoder, CORPUS, "onnx-fp32", bounds=own, settings=ONE_THREAD)
    (verdict,) = [one for one in found.verdicts if one.metric == "top1_disagreement"]
    assert (verdict.limit, verdict.bound.reason) == (0, "none")


def test_a_mutant_does_not_pass(encoder: Encoder, module_cache: None) -> None:
    found = driftgate.assess(encoder, CORPUS, MUTANTS[:1], settings=ONE_THREAD)
    assert not found.passed
    assert "mean_of_largest_probability_drift" in {one.metric for one in found.backends["scaled"].failures}


def test_a_metric_without_a_bound_is_refused(encoder: Encoder, module_cache: None) -> None:
    with pytest.raises(BoundsError, match="no bound for 'max_abs_logit_drift'"):
        driftgate.assess(encoder, CORPUS, "onnx-fp32", bounds=({},), settings=ONE_THREAD)


def test_nothing_passes_because_nothing_was_judged(assessment: Assessment) -> None:
    assert not replace(assessment, backends={}).passed
    unjudged = replace(assessment.backends["onnx-fp32"], verdicts=())
    assert not replace(assessment, backends={**assessment.backends, "other": unjudged}).passed


def test_a_part_is_measured_without_what_only_others_need(encoder: Encoder, module_cache: None) -> None:
    assessor = Assessor(OpenBackends(encoder, ONE_THREAD), CORPUS)
    judgement = assessor.judgement(REGISTRY["onnx-fp32"])
    assert assessor.answered == {}
    judgement.measure(AGREEMENT)
    assert list(assessor.answered) == ["onnx-fp32"]
    assert not {"exact", "slices"} & set(vars(assessor))
