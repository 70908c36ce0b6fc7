"""pytest inside pytest: the suite judges an encoder whose one logit is a score."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from nested_pytest import copy_suite, read_results, run_pytest
from tiny_encoders import SENTENCES

FILES = ("test_drift.py", "test_decisions.py", "test_quality.py", "test_length.py", "test_noise.py")
SCALED = """
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.run.torch_backend import open_torch


def open_scaled(encoder, spec, settings):
    backend = open_torch(encoder, spec, settings)
    prepare = backend.prepare
    backend.prepare = lambda batch: (lambda run: lambda: run() * 1.05)(prepare(batch))
    return backend


def pytest_driftgate_backends(config):
    def opened(encoder, artifact, settings):
        return open_scaled(encoder, spec, settings)

    spec = BackendSpec("scaled", Precision.FP32, Runtime.TORCH, open_with=opened)
    return [spec]
"""

Run = Callable[..., tuple[int, str, Path]]


@pytest.fixture(scope="module")
def scorer(make_tiny_encoder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "regression"
    return make_tiny_encoder(folder, "roberta", labels=("rating",), problem_type="regression")


@pytest.fixture
def run(scorer: Path, shared_cache: Path, tmp_path: Path) -> Run:
    def run_suite(*arguments: str, texts: int = 150) -> tuple[int, str, Path]:
        copy_suite(tmp_path, "accuracy")
        (tmp_path / "conftest.py").write_text(SCALED, encoding="utf-8")
        rows = [
            {
                "text": f"{SENTENCES[at % len(SENTENCES)]} {at}",
                "stars": at % 5,
                "label": f"{at % 3}.5",
                "words": "good" if at else "3",
                "same": 2,
                "query": at // 5,
                "own": at,
            }
            for at in range(texts)
        ]
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        given = [f"--encoder={scorer}", "--corpus=rows.jsonl", "--driftgate-not-shown=warn", "-m", "not property"]
        files = [f"accuracy/{name}" for name in FILES]
        command = [*files, *given, "-p", "no:cacheprovider", "--import-mode=importlib", *arguments]
        return (*run_pytest(tmp_path, command, shared_cache), tmp_path)

    return run_suite


def test_a_good_backend_passes_and_its_scores_are_judged(run: Run) -> None:
    code, output, folder = run("--backends=torch,onnx-fp32")
    assert code == 0, output
    assert "drift: mean over texts of the score difference, in the spread" in " ".join(output.split())
    results = read_results(folder)
    assert (results["verdict"], results["encoder"]["problem_type"]) == ("pass", "regression")
    entry = results["backends"]["onnx-fp32"]
    assert entry["scores"]["rows"] == 150
    assert not entry["drift"]
    assert not entry["flips"]
    drift = {"mean_score_drift", "p90_score_drift", "max_score_drift", "score_rank_displacement"}
    assert drift | {"pearson_loss", "spearman_loss"} <= {verdict["metric"] for verdict in entry["verdicts"]}
    reference = results["backends"]["reference"]["score_quality"]
    assert entry["score_quality"] == pytest.approx(reference, abs=1e-5)
    assert set(reference) == {"pearson", "spearman"}
    assert re.search(r"^ -\s+reference .* 0\.\d{4}|^ -\s+reference .* -0\.\d{4}", output, re.MULTILINE)


def test_scores_that_are_five_percent_larger_fail_and_the_rows_are_named(run: Run) -> None:
    code, output, folder = run("--backends=scaled", "-v")
    assert code == 1, output
    assert "mean_score_drift" in output
    assert "rows with the largest drift" in output
    assert read_results(folder)["backends"]["scaled"]["scores"]["rank_correlation"] == pytest.approx(1.0)


def test_the_order_of_candidates_is_judged_in_groups_that_a_column_names(run: Run) -> None:
    code, output, folder = run("--backends=onnx-fp32", "--driftgate-group-column=query", "-k", "drift_stays")
    assert code == 0, output
    entry = read_results(folder)["backends"]["onnx-fp32"]
    assert (entry["ranks"]["groups"], entry["ranks"]["rows"], entry["ranks"]["best_changed"]) == (30, 150, 0.0)
    judged = {verdict["metric"]: verdict["verdict"] for verdict in entry["verdicts"]}
    assert {"group_rank_loss", "best_candidate_changed", "top3_candidates_changed"} <= set(judged)
    assert judged["best_candidate_changed"] == "not-shown"  # 30 groups show little


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            "--driftgate-group-column=own",
            "expected groups of candidates in the column 'own', found another value in each",
        ),
        ("--driftgate-group-column=nowhere", "expected a column 'nowhere', found"),
    ],
    ids=["of-one", "missing"],
)
def test_a_column_that_names_no_groups_is_refused(run: Run, option: str, words: str) -> None:
    code, output, _ = run("--backends=torch", option)
    assert code == 4, output
    assert words in " ".join(output.split())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            "--driftgate-label-column=words",
            "149 of 150 rows have no finite number in the label column, and the encoder",
        ),
        ("--accuracy-baseline=past", "which gives a score; leave it out"),
    ],
    ids=["labels", "baseline"],
)
def test_what_is_no_score_or_means_nothing_for_scores_is_refused(run: Run, option: str, words: str) -> None:
    code, output, _ = run("--backends=torch", option)
    assert code == 4, output
    assert option.split("=", maxsplit=1)[0] in output or words.startswith("149")
    assert words in " ".join(output.split())


def test_people_who_gave_every_row_one_score_say_nothing_of_a_backend(run: Run) -> None:
    code, output, _ = run("--backends=torch", "--driftgate-label-column=same", "-k", "quality")
    assert code == 1, output
    assert "expected rows to which people gave different scores, found 2 for all 150" in " ".join(output.split())


def test_one_row_has_no_spread_to_compare_with(run: Run) -> None:
    code, output, _ = run("--backends=torch", texts=1)
    assert code == 1
    assert "expected rows to which the reference gives different scores" in " ".join(output.split())
