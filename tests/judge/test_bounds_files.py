"""The bounds that the repository's own suites are held to."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nested_pytest import copy_suite, run_pytest
from tiny_encoders import LABELS, SENTENCES

from driftgate.assessor import find_bounds
from driftgate.backends import CLASS_KEYS, PRECISION_CLASSES, REGISTRY, Precision
from driftgate.judge import bounds as judge_bounds
from driftgate.judge.bounds import Bound, Bounds, find_bound
from driftgate.judge.bounds_file import load_bounds
from driftgate.judge.metric_sources import MIN_SLICE_ROWS
from driftgate.judge.metrics import BOUNDED
from driftgate.pipeline import bounds_keys, known_keys
from driftgate.plugin import run_bounds
from driftgate.run.device import Device, RunSettings

ROOT = Path(__file__).parents[2]
GATED = {
    suite: [name for name, metric in BOUNDED.items() if metric.suite == suite] for suite in ("accuracy", "benchmarks")
}
CELLS = [pytest.param(suite, metric, id=f"{suite}-{metric}") for suite, metrics in GATED.items() for metric in metrics]
SUITES = pytest.mark.parametrize("suite", list(GATED))


def bounds_of(suite: str) -> dict[tuple[str, str], Bound]:
    return load_bounds(ROOT / suite / "bounds.toml")


@SUITES
def test_bounds_file_loads(suite: str) -> None:
    assert bounds_of(suite)


@pytest.mark.parametrize("precision", PRECISION_CLASSES, ids=str)
@pytest.mark.parametrize(("suite", "metric"), CELLS)
def test_every_class_has_every_gated_metric(suite: str, metric: str, precision: Precision) -> None:
    assert find_bound([bounds_of(suite)], (str(precision),), metric).metric == metric


CONFTEST = """
from driftgate.backends import BackendSpec, Guarantee, Invariance, Precision, Runtime
from driftgate.run.torch_backend import open_torch

def open_with(encoder, artifact, settings):
    return open_torch(encoder, SPEC, settings)

SPEC = BackendSpec(
    "modest", Precision.FP32, Runtime.TORCH, open_with=open_with, declared={Invariance.REPEAT: Guarantee.BOUNDED}
)

def pytest_driftgate_backends(config):
    return [SPEC]
"""


@pytest.mark.slow
def test_the_suites_ask_for_every_metric_of_the_table_and_for_no_other(
    tiny_encoder: Path,
    make_tiny_encoder: Callable[..., Path],
    shared_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, set[str]] = {suite: set() for suite in GATED}

    def find(bounds: Bounds, keys: tuple[str, ...], metric: str) -> Bound:
        asked[bounds[-1]["", ""].reason].add(metric)
        return find_bound(bounds, keys, metric)

    def load(path: Path, **known: Any) -> dict[tuple[str, str], Bound]:
        """The file, and a bound for nothing that says whose it is."""
        read = load_bounds(path, **known)
        return read | {("", ""): replace(next(iter(read.values())), reason=path.parent.name)}

    monkeypatch.setattr(judge_bounds, "find_bound", find)
    monkeypatch.setattr(run_bounds, "load_bounds", load)
    for suite in GATED:
        copy_suite(tmp_path, suite)
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    thresholds = {"thresholds": dict.fromkeys(LABELS, 0.4)}
    (encoder / "thresholds.json").write_text(json.dumps(thresholds), encoding="utf-8")
    rows = (
        json.dumps({"text": f"{text} {row}", "labels": [LABELS[row % 4]], "query": row, "stars": row % 5})
        for row in range(MIN_SLICE_ROWS)
        for text in SENTENCES
    )
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    scorer = make_tiny_encoder(tmp_path / "scorer", labels=("rating",), problem_type="regression")
    common = ["--corpus=corpus.jsonl", "--driftgate-sample-rows=4", "-p", "no:cacheprovider"]
    given = [*common, f"--encoder={encoder}", "--accuracy-baseline=baseline"]
    everything = ["accuracy", "benchmarks", "--backends=torch,onnx-fp32", "-m", "leak or not leak"]
    for arguments in (everything, ["accuracy", "--backends=modest", "-k", "repeated or past or padding_in_front"],
                      ["accuracy/test_history.py", "--backends=torch"]):  # fmt: skip
        code, output = run_pytest(tmp_path, [*arguments, *given], shared_cache)
        assert code == 0, output
    scored = ["accuracy", "--backends=torch", f"--encoder={scorer}", "-k", "drift_stays or inferior"]
    scored += ["--driftgate-group-column=query", "--driftgate-label-column=stars", "--driftgate-not-shown=warn"]
    code, output = run_pytest(tmp_path, [*scored, *common], shared_cache)
    assert code == 0, output
    # Asked of encoders only whose answer does not stand at the first position; none of the generated ones is such.
    asked["accuracy"] |= {f"max_abs_{kind}_change_padding_side" for kind in ("logit", "probability")}
    differing = {suite: sorted(set(metrics) ^ asked[suite]) for suite, metrics in GATED.items()}
    assert not any(differing.values()), differing


@SUITES
def test_every_bound_is_for_a_metric_that_is_gated(suite: str) -> None:
    assert {metric for _, metric in bounds_of(suite)} <= set(GATED[suite])


@SUITES
def test_every_bound_is_for_a_backend_or_class_that_is_looked_up(suite: str) -> None:
    devices = [RunSettings(threads=1, device=Device(kind)) for kind in ("cpu", "cuda")]
    keys = {
        key
        for spec in REGISTRY.values()
        for settings in devices
        for key in bounds_keys(spec, settings, multi_label=False)
    }
    keys |= CLASS_KEYS
    assert {key for key, _ in bounds_of(suite)} <= keys


@pytest.mark.parametrize("reader", ["pytest", "build"])
def test_a_users_class_goes_before_what_the_suite_says_of_the_class_on_a_device(reader: str, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[fp16.max_abs_logit_drift]\nat_most = 0\nreason = "none"\nset_on = 2026-01-31\n', encoding="utf-8")
    suite = ROOT / "accuracy/bounds.toml"
    bounds = run_bounds.RunBounds(own, known_keys()).of(suite) if reader == "pytest" else find_bounds(own)
    keys = bounds_keys(REGISTRY["onnx-fp16"], RunSettings(threads=1), multi_label=True)
    assert find_bound([bounds[-1]], keys, "max_abs_logit_drift").key == "fp16-cpu"
    assert find_bound(bounds, keys, "max_abs_logit_drift").key == "fp16"


@SUITES
def test_every_bound_gives_a_reason_of_more_than_twenty_characters(suite: str) -> None:
    short = [
        f"[{key}.{metric}]: {bound.reason!r}"
        for (key, metric), bound in bounds_of(suite).items()
        if len(bound.reason) <= 20
    ]
    assert not short


@pytest.mark.parametrize("precision", PRECISION_CLASSES, ids=str)
def test_drift_bounds_of_a_class_are_ordered(precision: Precision) -> None:
    """A looser mean than maximum could never fail."""
    bounds = bounds_of("accuracy")
    parts = ("mean_of_largest", "p90_of_largest", "p95_of_largest", "p99_of_largest", "max_abs")
    limits = [find_bound([bounds], (str(precision),), f"{part}_probability_drift").limit for part in parts]
    assert limits == sorted(limits)
