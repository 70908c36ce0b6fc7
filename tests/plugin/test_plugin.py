"""pytest inside pytest: the suites on a tiny encoder, and proof that their gates bite."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from judged_project import BACKENDS, COMMENTS, METRICS, Project, Run, bound
from onnx import numpy_helper

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.encoder import load_encoder


def test_both_suites_pass_on_an_encoder_that_is_not_ours(passing: Run) -> None:
    assert passing.code == 0, passing.output


def test_the_table_has_a_line_for_every_backend(passing: Run) -> None:
    table = passing.output.split(" driftgate ===")[1]
    assert all(name in table for name in (*BACKENDS.split(","), "reference"))


def test_results_say_what_was_measured_on_what_and_where(passing: Run) -> None:
    results = passing.results
    assert results["schema"] == 2
    assert results["exit_code"] == 0
    assert results["environment"]["versions"]["onnxruntime"]
    assert len(results["encoder"]["sha256"]) == len(results["corpus"]["sha256"]) == 64
    for name in BACKENDS.split(","):
        entry = results["backends"][name]
        assert entry["drift"]["rows"] == len(COMMENTS)
        assert "at 0.5" in entry["flips"]
        assert "at 0.5" in entry["quality"]
        assert set(entry["throughput"]["normal"]) == {"b1", "b2", "budget"}
        assert entry["ratios"]["normal"]["budget"]["blocks"] >= 3


def test_benchmark_ids_are_backend_and_plan(passing: Run) -> None:
    names = {
        bench["name"] for bench in json.loads((passing.folder / "bench.json").read_text(encoding="utf-8"))["benchmarks"]
    }
    assert names == {
        f"test_throughput[{name}-{plan}]" for name in BACKENDS.split(",") for plan in ("b1", "b2", "budget")
    }


def test_every_saved_cell_says_how_it_was_measured(passing: Run) -> None:
    for bench in json.loads((passing.folder / "bench.json").read_text(encoding="utf-8"))["benchmarks"]:
        facts = bench["extra_info"]
        assert bench["group"] == facts["corpus"] == "normal"
        assert facts["real_tokens"] <= facts["padded_tokens"]
        assert facts["padding_share"] == pytest.approx(1 - facts["real_tokens"] / facts["padded_tokens"])
        assert facts["texts_per_second"] > 0
        assert {"threads", "provider", "artifact_sha256", "backend", "plan"} <= set(facts)


def test_a_run_says_where_its_time_went(passing: Run) -> None:
    taken = passing.results["time"]
    assert {"build", "load", "reference", *BACKENDS.split(","), "cells b1", "cells budget"} <= set(taken["phases"])
    assert sum(taken["phases"].values()) == pytest.approx(taken["seconds"])
    assert 0 < taken["inference_seconds"] < taken["seconds"]
    assert taken["ratio"] == pytest.approx(taken["seconds"] / taken["inference_seconds"])
    assert re.search(r"^time: .* times the .* of inference that its verdicts need: ", passing.output, re.MULTILINE)


def test_opt_in_benchmarks_stay_out_unless_named(passing: Run) -> None:
    assert "test_cold_start" not in passing.output
    assert "deselected" in passing.output


def test_a_broken_bound_fails_with_its_reason_and_the_worst_rows_by_id(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "wide.toml").write_text(
        "\n".join(bound("int8-rowwise", metric, 0.0) for metric in METRICS), encoding="utf-8"
    )
    run = project.pytest("-v")
    assert run.code == 1
    assert "max_abs_probability_drift = " in run.output
    assert "[int8-rowwise.max_abs_probability_drift], set 2026-01-31: set by a test" in run.output
    assert "rows with the largest drift" in run.output
    assert "line 2" in run.output
    assert "SECRET-PHRASE" not in run.output
    assert run.results["violations"]


def test_texts_are_shown_where_someone_asks_for_them(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "wide.toml").write_text(bound("fp32", "max_abs_logit_drift", 0.0), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", "--driftgate-show-texts")
    assert run.code == 1
    assert "SECRET-PHRASE" in run.output


def test_texts_stay_out_of_the_results(passing: Run) -> None:
    assert "SECRET-PHRASE" not in (passing.folder / ".driftgate/results.json").read_text(encoding="utf-8")


def test_a_perturbed_weight_is_caught_by_the_fp32_bounds(
    make_project: Callable[..., Project], warm_cache: Path, tmp_path: Path
) -> None:
    project = make_project()
    model = onnx.load(build_artifact(load_encoder(project.encoder), REGISTRY["onnx-fp32"]).model)
    weight = next(
        tensor for tensor in model.graph.initializer if len(tensor.dims) == 2 and tensor.dims[0] == tensor.dims[1]
    )
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.01, weight.name))
    onnx.save(model, tmp_path / "perturbed.onnx")
    run = project.pytest("-v", f"--backends=mine:fp32={tmp_path / 'perturbed.onnx'}")
    assert run.code == 1
    assert "mine: mean_of_largest_probability_drift" in run.output


def test_a_metric_without_a_bound_fails(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "accuracy/bounds.toml").write_text("", encoding="utf-8")
    run = project.pytest("-v", "--backends=onnx-fp32")
    assert run.code == 1
    assert "no bound for 'max_abs_logit_drift' under onnx-fp32 or fp32-cpu or fp32" in run.output


def test_a_corpus_without_labels_skips_quality_with_the_reason(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "corpus.jsonl").write_text('{"text": "hello there"}', encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", "-rs")
    assert run.code == 0, run.output
    assert "corpus corpus has no labels" in run.output


def test_a_single_label_encoder_is_judged_by_softmax_and_mcc(
    make_project: Callable[..., Project], make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    encoder = make_tiny_encoder(tmp_path / "single", problem_type=None)
    run = make_project(encoder).pytest("--backends=onnx-fp32")
    assert run.code == 0, run.output
    assert run.results["encoder"]["problem_type_inferred"]
    assert "config.json has no problem_type; taken as single_label_classification" in run.output
    assert -1 <= run.results["backends"]["onnx-fp32"]["quality"]["at 0.5"]["mcc"] <= 1


def test_few_rows_end_with_7_and_say_how_many_would_show_drift(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32", "--driftgate-not-shown=drift", "-rs")
    assert run.code == 7, run.output
    assert "mean_of_largest_probability_drift needs about 99 different rows" in run.output
    assert "micro_f1_loss_at_0_5 needs about" in run.output
    assert "labelled rows" in run.output
    assert "drift is not shown to be kept: exit code 7; give more rows" in run.output
    assert run.results["exit_code"] == 7
    assert run.results["verdict"] == run.results["backends"]["onnx-fp32"]["verdict"] == "not-shown"
    (mean,) = [
        verdict
        for verdict in run.results["backends"]["onnx-fp32"]["verdicts"]
        if verdict["metric"] == "mean_of_largest_probability_drift"
    ]
    assert (mean["verdict"], mean["high"], mean["rows_needed"]) == ("not-shown", None, 99)


@pytest.mark.parametrize(("policy", "code"), [("drift", 0), ("fail", 7)])
def test_quality_that_is_not_shown_is_skipped_with_its_reason_unless_it_was_asked_for(
    make_project: Callable[..., Project], policy: str, code: int
) -> None:
    project = make_project()
    rows = [json.dumps({"text": f"{text} {row}", "labels": [label]}) for row in range(20) for text, label in COMMENTS]
    (project.folder / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", f"--driftgate-not-shown={policy}", "-rs")
    assert run.code == code, run.output
    assert "micro_f1_loss_at_0_5 = " in run.output
    assert ": not shown; needs about" in run.output
    assert run.results["verdict"] == {0: "pass", 7: "not-shown"}[code]


def test_a_broken_bound_goes_before_what_is_not_shown(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "wide.toml").write_text(bound("fp32", "max_abs_logit_drift", 0.0), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", "--driftgate-not-shown=fail")
    assert run.code == 1
    assert run.results["verdict"] == "fail"


CONFTEST = """
import shutil
import numpy as np
from driftgate.backends import BackendSpec, Precision, Runtime, Step
from driftgate.run.backend import InForce

class Stub:
    def __init__(self, spec, encoder, settings, answer):
        self.spec, self.labels, self.answer, self.calls = spec, len(encoder.labels), answer, 0
        self.in_force = InForce("cpu", "float32", settings.threads)
    def prepare(self, batch):
        def run():
            self.calls += 1
            return np.full((len(batch.rows), self.labels), self.answer(self.calls), np.float32)
        return run

def stub(name, answer):
    def open_with(encoder, artifact, settings):
        return Stub(spec, encoder, settings, answer)
    spec = BackendSpec(name, Precision.FP32, Runtime.TORCH, open_with=open_with)
    return spec

def pytest_driftgate_backends(config):
    copy = Step("copy", "1", shutil.copyfile)
    return [
        BackendSpec("onnx-copied", Precision.FP32, Runtime.ONNXRUNTIME, ("export", "optimize-basic", copy)),
        stub("nan", lambda calls: np.nan),
        stub("restless", lambda calls: float(calls)),
    ]
"""


def test_a_backend_of_ones_own_recipe_is_built_judged_and_timed(make_project: Callable[..., Project]) -> None:
    run = make_project(conftest=CONFTEST).pytest("--backends=onnx-copied", suites=("accuracy", "benchmarks"))
    assert run.code == 0, run.output
    assert "test_throughput[onnx-copied-b1]" in run.output
    assert len(run.results["backends"]["onnx-copied"]["about"]["artifact_sha256"]) == 64


def test_nan_never_passes(make_project: Callable[..., Project]) -> None:
    run = make_project(conftest=CONFTEST).pytest("--backends=nan")
    assert run.code == 1
    assert "have NaN or infinite logits" in run.output


def test_a_time_whose_answers_differ_from_those_of_the_first_run_is_not_saved(
    make_project: Callable[..., Project],
) -> None:
    run = make_project(conftest=CONFTEST).pytest(
        "--backends=onnx-fp32,restless", "--benchmark-json=bench.json", suites=("benchmarks",)
    )
    assert run.code == 1
    assert "the last run answered differently from the first one" in run.output
    saved = json.loads((run.folder / "bench.json").read_text(encoding="utf-8"))["benchmarks"]
    assert {bench["extra_info"]["backend"] for bench in saved} == {"onnx-fp32"}


def test_a_backend_registered_under_the_name_of_a_class_is_refused(make_project: Callable[..., Project]) -> None:
    run = make_project(conftest=CONFTEST.replace('"onnx-copied"', '"checkpoint"')).pytest("--backends=checkpoint")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert (
        "backend name 'checkpoint': it is reserved for the bounds of a precision class or of a kind of head"
        in run.output
    )


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        pytest.param(bound("fp32", "max_abs_logit_drft", 0), "the nearest is 'max_abs_logit_drift'", id="metric"),
        pytest.param(bound("fp23", "max_abs_logit_drift", 0), "the nearest is 'fp32'", id="class"),
        pytest.param(
            bound("fp32", "max_abs_logit_drift", 10**400), "more digits than any measure has", id="401-digits"
        ),
    ],
)
def test_bounds_that_nobody_would_read_end_the_run(
    bounds: str, words: str, make_project: Callable[..., Project]
) -> None:
    project = make_project()
    (project.folder / "wide.toml").write_text(bounds, encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert words in run.output
    assert "INTERNALERROR" not in run.output


def test_a_suites_own_bounds_are_checked_before_the_first_test(make_project: Callable[..., Project]) -> None:
    project = make_project()
    with (project.folder / "accuracy/bounds.toml").open("a", encoding="utf-8") as file:
        file.write(bound("onnx-fp32", "max_abs_logit_drft", 0))
    run = project.pytest("--backends=onnx-fp32")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "[onnx-fp32.max_abs_logit_drft]: no test reads a bound" in run.output


def test_bounds_for_a_backend_of_another_run_are_said_to_be_unread(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "wide.toml").write_text(bound("production", "max_abs_logit_drift", 0), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", "-k", "drift_stays")
    assert run.code == 0, run.output
    assert "bounds for production were not read: no backend of this run has that name" in run.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--backends=torch,nope"], "unknown backend 'nope'; known: torch, torch-compile", id="backend"),
        pytest.param(["--driftgate-batch-sizes=0"], "expected a whole number from 1 to 4,096", id="batch-size-zero"),
        pytest.param(["--driftgate-batch-sizes=many"], "expected a whole number from 1 to 4,096", id="batch-size-text"),
        pytest.param(
            ["--driftgate-threads=-1"], "--driftgate-threads '-1': expected a whole number from 1 to", id="threads"
        ),
        pytest.param(["--driftgate-device=tpu"], "expected cpu, cuda or cuda:N", id="device"),
        pytest.param(
            ["--driftgate-not-shown=never"], "--driftgate-not-shown 'never': expected drift, fail, warn", id="not-shown"
        ),
        pytest.param(["--encoder=./nowhere"], "no such folder here", id="encoder"),
        pytest.param(["--corpus=nowhere.csv"], "no such file", id="corpus"),
        pytest.param(["--bounds=corpus.jsonl"], "not valid TOML", id="bounds"),
    ],
)
def test_a_mistake_ends_the_run_at_once_with_one_clear_line(
    make_project: Callable[..., Project], arguments: list[str], words: str
) -> None:
    run = make_project().pytest(*arguments)
    assert run.code == 4
    assert words in run.output
    assert "Traceback" not in run.output


def test_ini_twins_work_and_the_command_line_goes_before_them(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "pytest.ini").write_text("[pytest]\ndriftgate_batch_sizes = 4\n", encoding="utf-8")
    collected = project.pytest("--collect-only", "-q", suites=("benchmarks",)).output
    assert "onnx-fp32-b2]" in collected  # Project.pytest gives 1,2 on the command line
    assert "onnx-fp32-b4]" not in collected


OTHER_PROJECT = """
import pytest

@pytest.fixture
def backend_spec():
    return "mine"

@pytest.mark.parametrize("cell", [1, 2])
def test_parameter_of_the_same_name(cell):
    assert cell in (1, 2)

def test_fixture_of_the_same_name(backend_spec):
    assert backend_spec == "mine"
"""


def test_other_projects_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(OTHER_PROJECT, encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "pytest"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "3 passed" in done.stdout
    assert "= driftgate =" not in done.stdout
    assert not (tmp_path / ".driftgate").exists()


def test_comparing_without_a_baseline_measures_and_says_so(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32", "--benchmark-compare", suites=("benchmarks",))
    assert run.code == 0, run.output
    assert "nothing to compare yet" in run.output


def test_a_gate_without_a_baseline_is_refused_before_measuring(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32", "--benchmark-compare-fail=mean:5%", suites=("benchmarks",))
    assert run.code == 4
    assert "no saved run to compare with" in run.output


def test_a_regression_against_the_last_run_fails(make_project: Callable[..., Project]) -> None:
    project = make_project()
    assert project.pytest("--backends=onnx-fp32", "--benchmark-autosave", suites=("benchmarks",)).code == 0
    (saved,) = (project.folder / ".benchmarks").rglob("*.json")
    baseline = json.loads(saved.read_text(encoding="utf-8"))
    for bench in baseline["benchmarks"]:
        bench["stats"] = {
            name: value / 100 if isinstance(value, float) else value for name, value in bench["stats"].items()
        }
    saved.write_text(json.dumps(baseline), encoding="utf-8")
    run = project.pytest(
        "--backends=onnx-fp32", "--benchmark-compare", "--benchmark-compare-fail=mean:50%", suites=("benchmarks",)
    )
    assert run.code == 1
    assert "Performance has regressed" in run.output
    assert run.results["exit_code"] == 1


def test_disabled_benchmarks_still_check_their_answers(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=torch,onnx-fp32", "--benchmark-disable", suites=("benchmarks",))
    assert run.code == 0, run.output


@pytest.mark.slow
def test_cold_start_and_memory_are_measured_in_a_process_of_their_own(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32", "-m", "cold_start or memory", suites=("benchmarks",))
    assert run.code == 0, run.output
    measured = run.results["backends"]["onnx-fp32"]["fresh_process"]
    assert measured["peak_bytes"] > measured["baseline_bytes"] > 0
    assert 0 < measured["load_seconds"] < measured["first_answer_seconds"]


@pytest.mark.slow
def test_workers_of_xdist_build_once_and_report_together(make_project: Callable[..., Project], tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    run = make_project().fresh_pytest("-n", "2", DRIFTGATE_CACHE=str(tmp_path / "cache"))
    assert run.code == 0, run.output
    assert set(run.results["backends"]) >= set(BACKENDS.split(","))
    entries = [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert sorted(entries) == ["export", "int8", "optimize"]


@pytest.mark.slow
def test_a_machine_without_a_compiler_skips_torch_compile_with_the_reason(make_project: Callable[..., Project]) -> None:
    no_compiler = {"CXX": "/nonexistent/g++", "PATH": str(Path(sys.executable).parent)}
    run = make_project().fresh_pytest("--backends=torch,torch-compile", "-rs", **no_compiler)
    assert run.code == 0, run.output
    assert "torch.compile needs a C++ compiler" in run.output
    assert run.results["backends"]["torch-compile"]["skipped"]
    run = make_project().fresh_pytest("--backends=torch-compile", **no_compiler)
    assert run.code == 7, run.output
    assert "were skipped (torch-compile: torch.compile needs a C++ compiler" in run.output


def test_a_corpus_named_like_a_throughput_corpus_keeps_its_own_rows(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "corpus.jsonl").rename(project.folder / "normal.jsonl")
    run = project.pytest("--backends=onnx-fp32", "--corpus=normal.jsonl", suites=("benchmarks", "accuracy"))
    assert run.code == 0, run.output
    assert run.results["backends"]["onnx-fp32"]["drift"]["rows"] == len(COMMENTS)
