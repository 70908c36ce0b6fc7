"""The results record, the environment, and what the terminal shows."""

import json
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import cpuinfo
import numpy as np
import pytest

from driftgate import files
from driftgate.arrays import Decisions, LabelMatrix, Logits
from driftgate.errors import ResultsError
from driftgate.judge.bounds import Bound, MetricVerdict, Outcome
from driftgate.judge.confidence.levels import Limits, exact_limits
from driftgate.judge.drift import Drift, measure_drift
from driftgate.judge.flips import count_flips
from driftgate.judge.parts import DRIFT, FLIPS, QUALITY, Both
from driftgate.judge.quality import measure_quality
from driftgate.measure.timings import Ratio
from driftgate.report.terminal import render_table, render_worst_rows
from driftgate.report.verdict_lines import list_verdicts
from driftgate.results.environment import EncoderFacts, Environment, Header, RunOptions, describe_environment
from driftgate.results.record import About, CellThroughput, Results
from driftgate.results.results_file import FILE_NAME, SCHEMA, describe_results, read_results, write_results
from driftgate.results.unshown import list_unshown

LABELS = ("joy", "anger")
YES = Decisions(np.array([[True, False], [False, True]]))
NO = Decisions(np.array([[False, False], [False, True]]))
# One probability of five rows goes from 0.5 to 0.75.
ONE_OF_FIVE_MOVED = ([math.log(3), 0.0], *[[0.0, 0.0]] * 4)
HEADER = Header(
    environment=Environment("3.11.7", "Linux", {}, "A processor", (), 8, 2, ()),
    options=RunOptions(1, "cpu", (1, 8), 1024, 64, ("onnx-fp16",)),
    encoder=EncoderFacts(
        "mini",
        "ab" * 32,
        LABELS,
        "multi_label_classification",
        problem_type_inferred=False,
        thresholds=None,
        revision=None,
        max_tokens=64,
    ),
    corpus=None,
)


def drift_of(*logits: list[float], labels: tuple[str, ...] = LABELS) -> Drift:
    """From a reference of all 0: every probability one half."""
    backend = Logits(np.array(logits, dtype=np.float32))
    return measure_drift(Logits(np.zeros_like(backend)), backend, labels, multi_label=True)


def failure(backend: str) -> MetricVerdict:
    bound = Bound("fp16", "flip_rate", 0.1, at_most=True, reason="r", set_on=date(2026, 1, 31))
    return MetricVerdict(backend, "flip_rate", "", Limits(0.2, 0.15, math.inf, 1e-4, 0.05, 30), bound, Outcome.FAIL)


def passed(backend: str) -> MetricVerdict:
    return replace(failure(backend), limits=exact_limits(0.1), verdict=Outcome.PASS)


def judge_onnx(results: Results) -> None:
    entry = results.of("onnx-fp16")
    entry.about = About("fp16", "onnxruntime", "CPUExecutionProvider", "float32", 1, "ab" * 32, 13_400_000)
    entry.measured.put(DRIFT, drift_of(*ONE_OF_FIVE_MOVED))
    flips = {"at 0.5": count_flips(YES, NO, LABELS), "at thresholds": count_flips(YES, YES, LABELS)}
    entry.measured.put(FLIPS, flips)


def judge_onnx_quality(results: Results) -> None:
    truth = LabelMatrix(YES)
    sides = (measure_quality(found, truth, LABELS, multi_label=True) for found in (YES, NO))
    results.of("onnx-fp16").measured.put(QUALITY, {"at 0.5": Both(*sides)})
    results.add_verdicts([failure("onnx-fp16"), passed("onnx-fp16")])


def timed(backend: str, plan: str, texts_per_second: Any) -> CellThroughput:
    cell = (f"{backend}-{plan}", backend, plan, "normal", 4, 40, 48, 1 / 6, 1, "CPU", None)
    return CellThroughput(*cell, texts_per_second, 400.0, 480.0, 0.1, 0.1, 0.2, 3, 0.04)


def time_all(results: Results) -> None:
    for name, speeds in {"torch": (76.4, 126.0), "onnx-fp16": (107.0, 141.0)}.items():
        plans = {plan: timed(name, plan, speed) for plan, speed in zip(("b1", "budget"), speeds, strict=True)}
        results.of(name).throughput["normal"] = plans
        results.of(name).checks += 2
    ratios = {"b1": Ratio(9.0, 9.0, 9.0, 3), "budget": Ratio(1.119, 1.05, 1.2, 3)}
    results.of("onnx-fp16").ratios["normal"] = ratios


def time_long(results: Results) -> None:
    results.of("torch").throughput["long"] = {"b1": timed("torch", "b1", 5.0)}


def time_small_batches(results: Results) -> None:
    results.of("torch").throughput.setdefault("normal", {})["b32"] = timed("torch", "b32", 23.0)
    results.of("onnx-fp16").ratios.setdefault("normal", {})["b32"] = Ratio(2.0, 2.0, 2.0, 3)


def skip_compile(results: Results) -> None:
    results.of("torch-compile").skipped = "no C++ compiler here"


MEASUREMENTS = [judge_onnx, judge_onnx_quality, time_all, time_long, time_small_batches, skip_compile]


def run_of(*measurements: Callable[[Results], None]) -> Results:
    results = Results(header=HEADER)
    for measure in measurements:
        measure(results)
    return results


@pytest.fixture
def results() -> Results:
    return run_of(*MEASUREMENTS)


def test_flips_are_recorded_by_policy_with_total_and_rate(results: Results) -> None:
    flips = describe_results(results, 0)["backends"]["onnx-fp16"]["flips"]
    assert list(flips) == ["at 0.5", "at thresholds"]
    assert flips["at 0.5"] == {
        "decisions": 4, "gained": 0, "lost": 1, "rows": 1, "per_label": {"joy": 1, "anger": 0}, "total": 1, "rate": 0.25,
        "multi_label": True, "row_rate": 0.5,
        "asymmetry_p": 1.0, "row_rate_upper_limit": pytest.approx(0.95**0.5), "against_truth": None,
    }  # fmt: skip


def test_drift_is_recorded_whole(results: Results) -> None:
    assert describe_results(results, 0)["backends"]["onnx-fp16"]["drift"] == asdict(drift_of(*ONE_OF_FIVE_MOVED))


def test_quality_is_recorded_for_the_backend_and_the_reference(results: Results) -> None:
    backends = describe_results(results, 0)["backends"]
    assert backends["reference"]["quality"]["at 0.5"]["micro_f1"] == 1.0
    assert backends["onnx-fp16"]["quality"]["at 0.5"]["micro_f1"] == pytest.approx(2 / 3)


def test_throughput_and_ratios_are_recorded_by_corpus_and_plan(results: Results) -> None:
    backends = describe_results(results, 0)["backends"]
    assert {corpus: list(plans) for corpus, plans in backends["torch"]["throughput"].items()} == {
        "normal": ["b1", "budget", "b32"],
        "long": ["b1"],
    }
    expected = {"median": 1.119, "low": 1.05, "high": 1.2, "blocks": 3}
    assert backends["onnx-fp16"]["ratios"]["normal"]["budget"] == expected


def test_violations_are_recorded_in_full(results: Results) -> None:
    (violation,) = describe_results(results, 0)["violations"]
    assert violation == (
        "onnx-fp16: flip_rate = 0.2 [at least 0.15 with 99.99% confidence, at most inf with 95%], "
        "expected at most 0.1 (bound [fp16.flip_rate], set 2026-01-31: r)"
    )


@pytest.mark.parametrize("split", range(len(MEASUREMENTS) + 1))
def test_two_workers_halves_merge_into_one_run(results: Results, split: int) -> None:
    merged = Results()
    for half in (MEASUREMENTS[:split], MEASUREMENTS[split:]):
        merged.merge(pickle.loads(pickle.dumps(run_of(*half))))  # as from one process to another
    assert describe_results(merged, 0) == describe_results(results, 0)


@pytest.mark.parametrize("values", [(0.1, 0.2), (0.2, 0.1)], ids=str)
def test_of_what_two_workers_searched_the_worst_is_kept(values: tuple[float, float]) -> None:
    merged = Results()
    for value in values:
        own = Results()
        own.of("onnx-fp16").keep_worst(replace(failure("onnx-fp16"), limits=exact_limits(value)))
        merged.merge(own)
    assert describe_results(merged, 0)["backends"]["onnx-fp16"]["searched"] == {"flip_rate": 0.2}


def test_a_worker_that_measured_nothing_changes_nothing(results: Results) -> None:
    before = describe_results(results, 0)
    results.merge(Results())
    assert describe_results(results, 0) == before


def test_results_are_one_versioned_document(results: Results, tmp_path: Path) -> None:
    path = write_results(results, tmp_path, exit_code=1)
    assert path == tmp_path / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert list(content) == [
        "schema", "environment", "options", "encoder", "corpus", "arguments", "exit_code", "verdict", "backends",
        "violations", "row_ids", "time",
    ]  # fmt: skip
    assert (content["schema"], content["exit_code"]) == (SCHEMA, 1)
    assert content["backends"] == json.loads(json.dumps(describe_results(results, 0)["backends"]))


def test_every_verdict_is_recorded_with_its_limits_and_what_json_cannot_say_is_null(results: Results) -> None:
    entry = describe_results(results, 0)["backends"]["onnx-fp16"]
    failed, passed = entry["verdicts"]
    assert failed == {
        "metric": "flip_rate", "policy": "", "value": 0.2, "low": 0.15, "high": None, "limit": 0.1, "low_level": 1e-4,
        "high_level": 0.05, "bound": "at most", "verdict": "fail", "rows_needed": None,
    }  # fmt: skip
    assert (passed["low"], passed["value"], passed["high"], passed["verdict"]) == (0.1, 0.1, 0.1, "pass")
    assert (entry["verdict"], entry["checks"]) == ("fail", 2)


def not_shown(backend: str) -> MetricVerdict:
    return replace(
        failure(backend), metric="mean_of_largest_probability_drift", verdict=Outcome.NOT_SHOWN, rows_needed=290
    )


@pytest.mark.parametrize(
    ("verdicts", "code", "expected"),
    [
        ([passed("onnx-fp16")], 0, ("pass", "pass")),
        ([not_shown("onnx-fp16"), passed("onnx-fp16")], 7, ("not-shown", "not-shown")),
        ([not_shown("onnx-fp16")], 0, ("not-shown", "not-shown")),  # only warned of
        ([not_shown("onnx-fp16"), failure("onnx-fp16")], 1, ("fail", "fail")),
        ([passed("onnx-fp16")], 1, ("fail", "pass")),  # something else failed
        ([passed("onnx-fp16")], 2, ("not-shown", "pass")),  # broken off
    ],
)
def test_the_run_and_each_backend_have_a_verdict(
    verdicts: list[MetricVerdict], code: int, expected: tuple[str, str]
) -> None:
    results = Results(header=HEADER)
    results.add_verdicts(verdicts)
    document = describe_results(results, code)
    assert (document["verdict"], document["backends"]["onnx-fp16"]["verdict"]) == expected


def test_a_backend_that_was_not_judged_has_no_verdict(results: Results) -> None:
    assert describe_results(results, 0)["backends"]["torch-compile"]["verdict"] is None


def test_a_check_that_failed_fails_its_backend() -> None:
    results = Results()
    entry = results.of("onnx-fp16")
    assert entry.verdict() is None
    entry.check(passed=True)
    assert entry.verdict() == "pass"
    entry.check(passed=False)
    assert entry.verdict() == "fail"
    merged = Results()
    merged.merge(results)
    assert (merged.of("onnx-fp16").checks, merged.of("onnx-fp16").failed_checks, merged.verdict()) == (2, 1, "fail")


def test_what_is_not_shown_is_said_with_the_rows_it_needs() -> None:
    (line,) = list_unshown({"onnx-fp16": [not_shown("onnx-fp16"), passed("onnx-fp16")], "torch": []}, 30)
    assert line == "onnx-fp16: 1 bound not shown on 30 rows: flip_rate needs about 290 different rows"


def test_a_document_is_read_back(results: Results, tmp_path: Path) -> None:
    document = describe_results(results, 1)
    assert read_results(write_results(results, tmp_path, exit_code=1)) == json.loads(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"schema": 1, "backends": {}}',
            "schema 1, and this driftgate reads schema 2; have a run of the suites write it again",
        ),
        ("[]", "expected a JSON object with a schema"),
        ("{", "expected a JSON object with a schema"),
        (None, "no such file or directory"),
    ],
)
def test_a_document_of_another_schema_is_refused_by_name(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultsError, match=words):
        read_results(path)


def test_writing_again_replaces_the_file(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path, exit_code=1)
    write_results(results, tmp_path, exit_code=0)
    assert json.loads((tmp_path / FILE_NAME).read_text(encoding="utf-8"))["exit_code"] == 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_results_are_as_readable_as_any_file(results: Results, tmp_path: Path) -> None:
    """A temporary file of the tempfile module would be its owner's alone, and so would what it becomes."""
    (tmp_path / "other").touch()
    assert write_results(results, tmp_path, 0).stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        pytest.param(math.nan, ValueError, id="nan"),
        pytest.param(math.inf, ValueError, id="infinity"),
        pytest.param(Path(), TypeError, id="not-json"),
    ],
)
def test_what_json_cannot_say_is_refused_and_the_old_file_stays(
    results: Results, tmp_path: Path, value: object, refusal: type[Exception]
) -> None:
    old = write_results(results, tmp_path, 0).read_bytes()
    results.of("torch").throughput["normal"] = {"b1": timed("torch", "b1", value)}
    with pytest.raises(refusal):
        write_results(results, tmp_path, 0)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == old


@pytest.mark.parametrize("step", ["write_all", "sync_file", "rename"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old = write_results(results, tmp_path, 0).read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, step, fail)
        with pytest.raises(OSError, match="no space left"):
            write_results(results, tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == old


def test_a_new_folder_tells_git_to_ignore_it(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path / "made" / "here", 0)
    assert (tmp_path / "made/here/.gitignore").read_text(encoding="utf-8") == "*\n"
    assert not (tmp_path / "made/.gitignore").exists()


def test_a_folder_that_was_there_gets_no_gitignore(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path, 0)
    assert not (tmp_path / ".gitignore").exists()


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells of each line by its first one; columns stand at least two spaces apart."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return {line[0]: line[1:] for line in lines}


def tables_of(text: str) -> list[dict[str, list[str]]]:
    """Cells of each line of each table by the name of the backend, which stands behind its verdict."""
    found: list[dict[str, list[str]]] = []
    for line in text.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] == "verdict":
            found.append({})
        if found and len(cells) > 2:
            found[-1][cells[1]] = [cells[0], *cells[2:]]
    return found


def test_each_backend_has_a_line_with_what_was_measured() -> None:
    accuracy, speed = tables_of(render_table(run_of(judge_onnx, judge_onnx_quality, time_all), 140))
    assert accuracy["backend"] == ["verdict", "MB", "drift", "max", "flips", "micro-F1", "macro-F1"]
    assert accuracy["onnx-fp16"][1:] == ["13.4", "5.0e-02", "2.5e-01", "1/4", "0.6667", "0.5000"]
    assert speed["backend"] == ["verdict", "b1", "budget", "x torch [min, max]"]
    assert speed["onnx-fp16"][1:] == ["107", "141", "1.12 [1.05, 1.20]"]


def test_what_no_backend_was_measured_by_has_no_column() -> None:
    accuracy, speed = tables_of(render_table(run_of(judge_onnx_quality, time_all), 140))
    assert accuracy["backend"] == ["verdict", "micro-F1", "macro-F1"]
    assert accuracy["onnx-fp16"][1:] == ["0.6667", "0.5000"]
    assert speed["torch"][1:] == ["76", "126", "-"]


def test_without_throughput_there_is_no_table_of_speed() -> None:
    text = render_table(run_of(judge_onnx, judge_onnx_quality), 140)
    assert len(tables_of(text)) == 1
    assert "texts/s" not in text


@pytest.mark.parametrize("width", [80, 100, 140])
def test_tables_fit_the_terminal(results: Results, width: int) -> None:
    text = render_table(results, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_each_corpus_has_a_table(results: Results) -> None:
    text = render_table(results, 140)
    assert re.findall(r"texts/s on '(\w+)'", text) == ["normal", "long"]


LONG_REASON = "no C++ compiler here; " * 10 + "install one"


def test_a_skipped_backend_is_said_with_its_whole_reason_and_has_no_row(results: Results) -> None:
    results.of("torch-compile").skipped = LONG_REASON
    said = " ".join(" ".join(list_verdicts(results, 100)).split())
    assert f"SKIPPED torch-compile: {LONG_REASON}" in said
    assert "torch-compile" not in render_table(results, 100)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_neither_a_long_reason_nor_a_narrow_terminal_takes_a_number_away(results: Results, width: int) -> None:
    results.of("torch-compile").skipped = LONG_REASON
    text = render_table(results, width)
    assert "…" not in text
    assert "1.12 [1.05, 1.20]" in text


@pytest.fixture
def worst() -> Drift:
    return drift_of([0, 0.1], [math.log(3), -math.log(9)], [0, 0])


IDS = ("row-a", "row-b", "row-c")
TEXTS = ("my cat is ill", "they [bold]lied[/bold]\nto :cat: me", "nothing")


def test_worst_rows_are_shown_by_id_worst_first(worst: Drift) -> None:
    text = render_worst_rows(worst, LABELS, IDS, None)
    assert re.findall(r"row-\w", text) == ["row-b", "row-a", "row-c"]
    assert rows_of(text)["row-b"] == ["0.400000", "anger 0.5000 -> 0.1000, joy 0.5000 -> 0.7500"]


def test_no_text_is_shown_unless_texts_are_given(worst: Drift) -> None:
    text = render_worst_rows(worst, LABELS, IDS, None)
    assert not [word for each in TEXTS for word in each.split() if word in text]


def test_texts_are_shown_as_they_are_on_one_line(worst: Drift) -> None:
    rows = rows_of(render_worst_rows(worst, LABELS, IDS, TEXTS))
    assert rows["row-b"][-1] == r"they [bold]lied[/bold]\nto :cat: me"
    assert rows["row-a"][-1] == "my cat is ill"


def test_a_long_text_is_cut(worst: Drift) -> None:
    text = render_worst_rows(worst, LABELS, IDS, ("word " * 200, "", ""))
    assert text.count("word") <= 12
    assert "…" in text


def test_of_many_labels_the_five_with_the_largest_changes_are_shown() -> None:
    labels = ("a", "b", "c", "d", "e", "f", "g")
    text = render_worst_rows(drift_of([1, 7, 3, 6, 2, 5, 4], labels=labels), labels, ["row-a"], None)
    assert re.findall(r"(\w) 0\.5000 ->", " ".join(text.split())) == ["b", "d", "f", "g", "c"]


def test_environment_names_versions_processor_and_providers() -> None:
    environment = asdict(describe_environment())
    assert list(environment) == [
        "python", "platform", "versions", "cpu", "instruction_sets", "cores", "usable_cores", "providers"
    ]  # fmt: skip
    assert {"driftgate", "torch", "transformers", "numpy", "onnx"} <= set(environment["versions"])
    assert "CPUExecutionProvider" in environment["providers"]
    assert environment["cpu"]


def test_environment_can_be_written_as_json() -> None:
    assert json.dumps(asdict(describe_environment()), allow_nan=False)


def test_packages_that_are_not_installed_have_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftgate.results.environment._PACKAGES", ("numpy", "driftgate-of-another-world"))
    assert describe_environment.__wrapped__().versions == {"numpy": np.__version__}


def test_instruction_sets_are_flags_of_this_processor() -> None:
    assert set(describe_environment().instruction_sets) <= set(cpuinfo.get_cpu_info().get("flags", ()))


def test_usable_cores_are_some_of_the_cores() -> None:
    environment = describe_environment()
    assert 1 <= environment.usable_cores <= environment.cores
