"""Faults of `studies/mutation`: the quick ones are caught here and now, and the table of all says what the results say."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from nested_pytest import run_pytest
from tiny_encoders import SENTENCES

REPOSITORY = Path(__file__).parents[1]
STUDY = REPOSITORY / "studies/mutation"
QUICK = {
    "mask-dropped": "test_answers_do_not_depend_on_batch_mates",
    "labels-swapped": "test_drift_stays_within_bounds",
    "softmax": "test_drift_stays_within_bounds",
    "rows-reversed": "test_shuffled_rows",
    "stale-outputs": "test_answers_do_not_depend_on_batch_mates",
    "one-nan": "test_drift_stays_within_bounds",
}


@pytest.fixture(scope="module")
def mutants() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDY))
        import mutants

        yield mutants
        for name in ("mutants", "changed_graphs", "changed_weights", "wrong_answers"):
            sys.modules.pop(name, None)


class Register:
    def __init__(self, mutants: ModuleType, folder: Path) -> None:
        chosen = [mutant for mutant in mutants.MUTANTS if mutant.name in {*QUICK, "good"}]
        self.specs = [mutant.spec("fp32", folder) for mutant in chosen]
        self.failed: dict[str, set[str]] = {mutant.name: set() for mutant in chosen}

    def pytest_driftgate_backends(self, config: pytest.Config) -> list[Any]:
        return self.specs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            test, _, parameter = report.nodeid.partition("[")
            (name,) = (name for name in self.failed if parameter.startswith(f"{name}-fp32"))
            self.failed[name].add(test.split("::")[-1])


@pytest.fixture(scope="module")
def failed(
    mutants: ModuleType, tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[str]]:
    """Tests that failed, by mutant: one run of the accuracy suite."""
    folder = tmp_path_factory.mktemp("mutants")
    shutil.copytree(REPOSITORY / "accuracy", folder / "accuracy", ignore=shutil.ignore_patterns("__pycache__"))
    rows = "\n".join(json.dumps({"text": text}) for text in SENTENCES)
    (folder / "corpus.jsonl").write_text(rows, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    register = Register(mutants, folder)
    backends = ",".join(spec.name for spec in register.specs)
    chosen = ["-k", "stays_within_bounds or batch_mates or shuffled_rows", "-m", ""]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("driftgate.plugin.hold.SHRINK_SECONDS", 0.0)
        given = [f"--encoder={tiny_encoder}", "--corpus=corpus.jsonl", f"--backends={backends}", *chosen]
        _, output = run_pytest(
            folder,
            ["accuracy/test_drift.py", "accuracy/test_invariance.py", *given, "--import-mode=importlib"],
            shared_cache,
            [register],
        )
    assert "passed" in output, output
    return register.failed


def test_a_good_backend_is_not_killed(failed: dict[str, set[str]]) -> None:
    assert failed["good"] == set()


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_is_caught_by_the_test_that_names_it(failed: dict[str, set[str]], name: str) -> None:
    assert any(test.startswith(QUICK[name]) for test in failed[name]), failed[name]


def test_order_that_is_not_restored_is_caught(
    mutants: ModuleType, tiny_encoder: Path, shared_cache: Path, tmp_path: Path
) -> None:
    """Reference and backend share this fault: only the tests that own the order can see it."""
    shutil.copytree(REPOSITORY / "accuracy", tmp_path / "accuracy", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"text": SENTENCES[0]}), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    given = [f"--encoder={tiny_encoder}", "--corpus=corpus.jsonl", "--backends=torch", "--import-mode=importlib"]
    arguments = ["accuracy/test_batching.py", *given, "-k", "order_of_the_texts", "-m", ""]
    (fault,) = (fault for fault in mutants.PIPELINE_FAULTS if fault.name == "order-not-restored")
    good, said = run_pytest(tmp_path, arguments, shared_cache)
    assert good == 0, said
    with fault.put():
        code, said = run_pytest(tmp_path, arguments, shared_cache)
    assert code == 1, said
    assert "1 failed" in said


def test_the_table_lists_every_mutant_and_the_scores_of_its_results(mutants: ModuleType) -> None:
    results = json.loads((STUDY / "results.json").read_text(encoding="utf-8"))["mutants"]
    table = (REPOSITORY / "docs/mutation.md").read_text(encoding="utf-8")
    judged = {(entry["mutant"], entry["class"]) for entry in results}
    expected = {(mutant.name, precision) for mutant in mutants.MUTANTS for precision in mutant.classes}
    assert judged == expected | {(fault.name, "pipeline") for fault in mutants.PIPELINE_FAULTS}
    assert all(f"| {name} | {precision} |" in table for name, precision in judged)
    for precision in (*mutants.BASES, "pipeline"):
        own = [entry for entry in results if entry["class"] == precision and not entry["control"]]
        assert f"| {precision} | {sum(bool(entry['killed_by']) for entry in own)} | {len(own)} |" in table


def test_every_survivor_is_explained(mutants: ModuleType) -> None:
    results = json.loads((STUDY / "results.json").read_text(encoding="utf-8"))["mutants"]
    silent = [
        f"{entry['mutant']}-{entry['class']}"
        for entry in results
        if not entry["killed_by"] and not entry["control"] and not entry["why_survives"]
    ]
    assert not silent
