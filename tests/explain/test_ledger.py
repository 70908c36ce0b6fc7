"""The ledger of a build: the stage that costs accuracy is the one that is named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import run_driftgate
from nested_pytest import copy_suite, run_pytest
from onnx import numpy_helper

from driftgate.arrays import LabelMatrix, Logits
from driftgate.assessor import EXACT_ROWS, Assessor
from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime, Step
from driftgate.builder import export
from driftgate.errors import BuildError, NonFiniteLogitsError, OptionError
from driftgate.explain.ledger import Ledger, measure_ledger
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.judge.drift import measure_drift
from driftgate.pipeline import OpenBackends, open_backend
from driftgate.publish.unjudged import build
from driftgate.results.record import Results
from driftgate.results.stages import render_ledgers
from driftgate.run.backend import InForce, predict
from driftgate.run.device import RunSettings

REPOSITORY = Path(__file__).parents[2]
ONE_THREAD = RunSettings(1)
WORDS = ("thank you so much, this made my day", "the bus was late again and it rained", "ok", "what a game!")
TEXTS = tuple(f"{text} {number}" for number in range(20) for text in WORDS)
LABELLED = Corpus("labelled", TEXTS, tuple(map(str, range(len(TEXTS)))), LabelMatrix(np.tile(np.eye(4) > 0, (20, 1))))
CAUSE = 1e-3  # between rounding, 1e-6, and what the steps of these tests do


def change_a_weight(source: Path, target: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    model = onnx.load(source)
    weight = next(
        tensor for tensor in model.graph.initializer if len(tensor.dims) == 2 and tensor.dims[0] == tensor.dims[1]
    )
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)), weight.name))
    onnx.save(model, target)


def recipe(*steps: str | Step) -> BackendSpec:
    return BackendSpec("mine", Precision.FP32, Runtime.ONNXRUNTIME, ("export", *steps))


COPY = Step("copy", "1", shutil.copyfile)
PERTURB = Step("perturb", "1", lambda source, target: change_a_weight(source, target, lambda weight: weight * 1.05))
BREAK = Step("break", "1", lambda source, target: change_a_weight(source, target, lambda weight: weight * np.nan))


@pytest.fixture
def encoder(tiny_encoder: Path, warm_cache: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def assess_on(encoder: Encoder, corpus: Corpus = LABELLED) -> Assessor:
    return Assessor(OpenBackends(encoder, ONE_THREAD), corpus)


@pytest.fixture
def assessor(encoder: Encoder) -> Assessor:
    return assess_on(encoder)


def as_results(ledger: Ledger, backend: str) -> Results:
    results = Results()
    results.of(backend).stages = ledger.stages
    return results


# What the stages are


def test_the_step_that_changes_a_weight_is_the_one_that_adds_drift(assessor: Assessor) -> None:
    ledger = measure_ledger(assessor, recipe("optimize-basic", PERTURB, COPY))
    added = {stage.name: stage.added.max_abs_logit for stage in ledger.stages if stage.added}
    assert list(added) == ["torch float32", "export", "optimize-basic", "perturb", "copy"]
    assert [name for name, largest in added.items() if largest > CAUSE] == ["perturb"]
    assert added["copy"] == 0


def test_drift_stays_once_a_step_has_added_it(assessor: Assessor) -> None:
    ledger = measure_ledger(assessor, recipe("optimize-basic", PERTURB, COPY))
    drift = {stage.name: stage.drift for stage in ledger.stages}
    assert [name for name, distance in drift.items() if distance.max_abs_logit > CAUSE] == ["perturb", "copy"]
    assert drift["perturb"] == drift["copy"]


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic"])
def test_the_last_stage_is_the_backend_itself(backend: str, assessor: Assessor) -> None:
    ledger = measure_ledger(assessor, REGISTRY[backend])
    own = predict(open_backend(assessor.encoder, backend, ONE_THREAD), assessor.tokens, assessor.plan)
    drift = measure_drift(assessor.reference, own, assessor.encoder.labels, multi_label=True)
    last = ledger.stages[-1].drift
    assert np.array_equal(ledger.logits, own)
    assert (last.mean_of_largest_probability, last.max_abs_probability, last.max_abs_logit) == (
        drift.largest_per_text.mean,
        drift.largest_per_text.max,
        drift.max_abs_logit,
    )


def test_float64_and_the_reference_are_a_rounding_apart(assessor: Assessor) -> None:
    exact, single, *_ = measure_ledger(assessor, recipe()).stages
    assert 0 < exact.drift.max_abs_logit < 1e-5
    assert single.added == exact.drift
    assert single.drift.max_abs_logit == 0
    assert (exact.drift.rows, single.drift.rows) == (EXACT_ROWS, len(TEXTS))


def test_a_reference_that_is_wrong_itself_shows_against_float64(assessor: Assessor) -> None:
    assessor.reference = Logits(assessor.reference + np.float32(0.25))
    exact, single, exported = measure_ledger(assessor, recipe()).stages
    for stage in (exact, exported):
        assert stage.drift.max_abs_logit == pytest.approx(0.25, abs=1e-4)
    assert single.added.max_abs_logit == pytest.approx(0.25, abs=1e-4)


def test_flips_and_f1_are_counted_at_every_threshold(copy_encoder: Callable[..., Path], warm_cache: Path) -> None:
    folder = copy_encoder()
    labels = load_encoder(folder).labels
    (folder / "thresholds.json").write_text(json.dumps({"thresholds": dict.fromkeys(labels, 0.4)}), encoding="utf-8")
    assessor = assess_on(load_encoder(folder))
    upset = Step("upset", "1", lambda source, target: change_a_weight(source, target, lambda weight: weight * 30))
    ledger = measure_ledger(assessor, recipe(upset))
    last = ledger.stages[-1]
    for policy, threshold in {"at 0.5": 0.5, "at thresholds": 0.4}.items():
        cut = np.log(threshold / (1 - threshold))
        before, after = assessor.reference >= cut, ledger.logits >= cut
        truth = LABELLED.labels
        assert last.flips[policy] == (before != after).sum() > 0
        f1 = [2 * (side & truth).sum(0) / np.maximum(side.sum(0) + truth.sum(0), 1) for side in (after, before)]
        assert last.macro_f1_change[policy] == pytest.approx(f1[0].mean() - f1[1].mean())
    assert last.decisions == len(TEXTS) * len(labels)
    assert ledger.stages[2].flips == {"at 0.5": 0, "at thresholds": 0}  # the export flips none of them


def test_without_labels_there_is_no_f1(assessor: Assessor) -> None:
    unlabelled = assess_on(assessor.encoder, replace(LABELLED, labels=None))
    assert {len(stage.macro_f1_change) for stage in measure_ledger(unlabelled, recipe()).stages} == {0}


def test_a_single_label_encoder_decides_once_a_row(copy_encoder: Callable[..., Path], warm_cache: Path) -> None:
    single = load_encoder(copy_encoder(problem_type="single_label_classification"))
    assessor = assess_on(single)
    stages = measure_ledger(assessor, recipe()).stages
    assert [stage.decisions for stage in stages] == [EXACT_ROWS, len(TEXTS), len(TEXTS)]


def test_each_stage_has_the_size_of_its_own_file(assessor: Assessor, tmp_path: Path) -> None:
    sizes = {stage.name: stage.size_bytes for stage in measure_ledger(assessor, REGISTRY["onnx-int8"]).stages}
    build(assessor.encoder, "onnx-fp32,onnx-int8", tmp_path)
    assert sizes["torch float64"] is None
    assert sizes["torch float32"] == (assessor.encoder.path / "model.safetensors").stat().st_size
    assert sizes["optimize-basic"] == (tmp_path / "onnx-fp32/model.onnx").stat().st_size
    assert sizes["int8-rowwise"] == (tmp_path / "onnx-int8/model.onnx").stat().st_size


def test_what_was_built_is_not_built_again(assessor: Assessor, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure_ledger(assessor, REGISTRY["onnx-fp32"])

    def refuse(encoder: Encoder, target: Path) -> None:
        raise BuildError("exported again")

    monkeypatch.setattr(export, "export_onnx", refuse)
    assert measure_ledger(assessor, REGISTRY["onnx-fp32"]).stages == before.stages


def test_someone_elses_runtime_is_given_the_finished_file_only(assessor: Assessor) -> None:
    given = []

    class Constant:
        spec = recipe(PERTURB)
        in_force = InForce("cpu", "float32", 1)

        def prepare(self, batch: Any) -> Callable[[], Logits]:
            return lambda: Logits(np.full((len(batch.rows), 4), 2, np.float32))

    def open_with(encoder: Encoder, artifact: Any, settings: RunSettings) -> Constant:
        given.append(artifact.model.parent.name.partition("-")[0])
        return Constant()

    ledger = measure_ledger(assessor, replace(recipe(PERTURB), open_with=open_with))
    assert given == ["perturb"]
    assert (ledger.logits == 2).all()
    assert ledger.stages[-2].drift.max_abs_logit < CAUSE


def test_nan_is_refused_with_the_step_that_made_it(assessor: Assessor) -> None:
    with pytest.raises(NonFiniteLogitsError, match=r"mine-after-break: 80 of 80 rows have NaN"):
        measure_ledger(assessor, recipe("optimize-basic", BREAK, COPY))


def test_a_backend_without_build_steps_has_no_ledger(assessor: Assessor) -> None:
    with pytest.raises(OptionError, match="torch: nothing is built"):
        measure_ledger(assessor, REGISTRY["torch"])


# The table


def test_the_table_has_a_line_for_every_stage_and_says_who_has_none(assessor: Assessor) -> None:
    results = as_results(measure_ledger(assessor, recipe(PERTURB)), "mine")
    results.of("torch").no_ledger = "driftgate builds nothing for it"
    text = render_ledgers(results, 100)
    lines = text.splitlines()
    assert lines[0].startswith("ledger of mine on 80 rows")
    assert f"The stage in float64 is compared on {EXACT_ROWS} rows only." in text
    stages = ["torch float64", "torch float32", "export", "perturb"]
    named = [name for line in lines if (name := line.split("  ")[0].strip()) in stages]
    assert named == [*stages, *stages], "both tables"
    assert lines[-1] == "torch: no ledger, driftgate builds nothing for it"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_tables_fit_the_terminal_and_show_every_figure(assessor: Assessor, width: int) -> None:
    text = render_ledgers(as_results(measure_ledger(assessor, recipe(PERTURB)), "mine"), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\u2026" not in text


def test_without_a_ledger_nothing_is_printed() -> None:
    results = Results()
    results.of("torch").checks = 1
    assert render_ledgers(results, 80) == ""


# The command line


@pytest.fixture
def command(tiny_encoder: Path, warm_cache: Path) -> Callable[..., Any]:
    def run(*arguments: object, backends: str = "onnx-int8") -> Any:
        return run_driftgate("ledger", tiny_encoder, "--backends", backends, *arguments)

    return run


def write_corpus(folder: Path, label: str) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "labels": [label]}) for text in WORDS), encoding="utf-8")
    return path


def test_the_command_prints_a_ledger_for_each_backend_on_embedded_texts(command: Callable[..., Any]) -> None:
    result = command(backends="onnx-fp32,onnx-int8")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("ledger of onnx-fp32 on 200 rows") == 1
    assert result.stdout.count("ledger of onnx-int8 on 200 rows") == 1
    assert "macro-F1 at" not in result.stdout


def test_the_command_measures_on_the_corpus_it_is_given(command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("--corpus", write_corpus(tmp_path, "joy"))
    assert result.exit_code == 0, result.output
    assert "ledger of onnx-int8 on 4 rows" in result.stdout
    assert "macro-F1 at 0.5" in result.stdout


def test_the_command_draws_as_many_rows_as_it_is_told(command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("--corpus", write_corpus(tmp_path, "joy"), "--corpus-rows", 3)
    assert "ledger of onnx-int8 on 3 rows" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "backends", "words"),
    [
        ((), "torch", "torch: nothing to build"),
        (("--corpus", "nowhere.jsonl"), "onnx-fp32", "no such file"),
        (("--label-column", "joy"), "onnx-fp32", "--label-column 'joy': it names a column of the file of --corpus"),
    ],
    ids=["nothing-built", "no-corpus", "a-column-of-nothing"],
)
def test_the_command_refuses_what_it_cannot_measure(
    arguments: tuple[str, ...], backends: str, words: str, command: Callable[..., Any]
) -> None:
    result = command(*arguments, backends=backends)
    assert (result.exit_code, result.stdout) == (4, "")
    assert words in result.stderr


def test_labels_that_the_encoder_does_not_have_are_refused(command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("--corpus", write_corpus(tmp_path, "boredom"))
    assert result.exit_code == 4
    assert "'boredom' is not one of the encoder's 4 labels" in result.stderr


# The plugin

CONFTEST = """
import itertools
import numpy as np
import onnx
from onnx import numpy_helper
from driftgate.backends import BackendSpec, Precision, Runtime, Step
from driftgate.run.backend import InForce

def scale(factor):
    def apply(source, target):
        model = onnx.load(source)
        weight = next(t for t in model.graph.initializer if len(t.dims) == 2 and t.dims[0] == t.dims[1])
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(factor), weight.name))
        onnx.save(model, target)
    return apply

class Stub:
    def __init__(self, answer, labels):
        self.spec, self.answer, self.labels = FICKLE, answer, labels
        self.in_force = InForce("cpu", "float32", 1)
    def prepare(self, batch):
        return lambda: np.full((len(batch.rows), self.labels), self.answer, np.float32)

opened = itertools.count()
FICKLE = BackendSpec(
    "fickle", Precision.FP32, Runtime.ONNXRUNTIME, ("export",),
    open_with=lambda encoder, artifact, settings: Stub(next(opened), len(encoder.labels)),
)

def recipe(name, factor):
    return BackendSpec(name, Precision.FP32, Runtime.ONNXRUNTIME, ("export", Step(name, "1", scale(factor)), "optimize-basic"))

def pytest_driftgate_backends(config):
    return [recipe("my-pass", 1.05), recipe("overflow", "inf"), FICKLE]
"""


@pytest.fixture
def run_suite(tiny_encoder: Path, shared_cache: Path, tmp_path: Path) -> Callable[..., tuple[int, str, dict[str, Any]]]:
    """Run the ledger's tests of the suite on a tiny encoder: exit code, output, the backends' results."""

    def run(backends: str, *arguments: str, ini: str = "") -> tuple[int, str, dict[str, Any]]:
        copy_suite(tmp_path, "accuracy")
        (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}\n", encoding="utf-8")
        (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        options = [f"--encoder={tiny_encoder}", f"--corpus={write_corpus(tmp_path, 'joy')}", f"--backends={backends}"]
        chosen = ["accuracy/test_ledger.py", *options, "-p", "no:cacheprovider", "--import-mode=importlib", *arguments]
        code, output = run_pytest(tmp_path, chosen, shared_cache)
        path = tmp_path / ".driftgate/results.json"
        return code, output, json.loads(path.read_text(encoding="utf-8"))["backends"] if path.exists() else {}

    return run


def test_the_suite_writes_and_prints_a_ledger_of_what_is_built(run_suite: Callable[..., Any]) -> None:
    code, output, results = run_suite("torch,my-pass", "--ledger", "-rs")
    assert code == 0, output
    stages = results["my-pass"]["ledger"]["stages"]
    assert [stage["name"] for stage in stages] == [
        "torch float64",
        "torch float32",
        "export",
        "my-pass",
        "optimize-basic",
    ]
    assert [stage["name"] for stage in stages[1:] if stage["added"]["max_abs_logit"] > CAUSE] == ["my-pass"]
    assert "ledger of my-pass on 4 rows" in output
    assert results["torch"]["ledger"] == {"left_out": "driftgate builds nothing for it"}
    assert "torch: no ledger, driftgate builds nothing for it" in output


def test_without_the_option_no_stage_is_measured(run_suite: Callable[..., Any]) -> None:
    code, output, results = run_suite("my-pass")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "2 deselected" in output
    assert results == {}


def test_the_option_has_an_ini_twin(run_suite: Callable[..., Any]) -> None:
    code, output, _ = run_suite("onnx-fp32", "--collect-only", "-q", ini="driftgate_ledger = true")
    assert code == 0
    assert "test_the_last_stage_is_the_backend[onnx-fp32]" in output


def test_a_backend_that_is_not_its_last_stage_fails(run_suite: Callable[..., Any]) -> None:
    code, output, _ = run_suite("fickle", "--ledger")
    assert code == 1
    assert "1 failed, 1 passed" in output


def test_a_step_that_makes_nan_fails_by_its_name(run_suite: Callable[..., Any]) -> None:
    code, output, _ = run_suite("overflow", "--ledger", "-k", "every_build_step")
    assert code == 1
    assert "overflow-after-overflow: 4 of 4 rows have NaN or infinite logits" in output
