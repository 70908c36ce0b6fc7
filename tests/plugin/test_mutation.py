"""Faults of `studies/mutation`: the quick ones are caught here and now, and the table of all says what the results say."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from nested_pytest import copy_suite, run_pytest
from tiny_encoders import SENTENCES

REPOSITORY = Path(__file__).parents[2]
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
        for name in ("mutants", "changed_folders", "changed_modules", "changed_weights", "wrong_answers"):
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
    copy_suite(folder, "accuracy")
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
    copy_suite(tmp_path, "accuracy")
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
    import changed_folders

    document = json.loads((STUDY / "results.json").read_text(encoding="utf-8"))
    results = document["mutants"]
    table = (REPOSITORY / "docs/mutation.md").read_text(encoding="utf-8")
    judged = {(entry["mutant"], entry["class"]) for entry in results}
    left_out = {(name, precision) for name, precision in document.get("not_judged", [])}
    expected = {(mutant.name, precision) for mutant in mutants.MUTANTS for precision in mutant.classes}
    expected |= {(folder.name, "published") for folder in changed_folders.FOLDERS}
    assert judged | left_out == expected | {(fault.name, "pipeline") for fault in mutants.PIPELINE_FAULTS}
    assert all(f"| {name} | {precision} |" in table for name, precision in judged)
    assert all(f"{name} ({precision})" in table for name, precision in left_out)
    for precision in (*mutants.BASES, "published", "pipeline"):
        own = [entry for entry in results if entry["class"] == precision and not entry["control"]]
        assert f"| {precision} | {sum(bool(entry['killed_by']) for entry in own)} | {len(own)} |" in table


@pytest.fixture(scope="module")
def run(mutants: ModuleType) -> Iterator[ModuleType]:
    """`studies/mutation/run.py`, beside whose modules it is imported."""
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location("mutation_run", STUDY / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        spec.loader.exec_module(module)
        yield module
    for name in {"table", "changed_folders"} - before:
        sys.modules.pop(name, None)


def test_mutants_are_chosen_with_the_controls_of_their_classes(run: ModuleType) -> None:
    pairs, folders, faults = run.choose(["holes-filled", "shipped-later", "truncation-leaked"], ["fp32", "rowwise"])
    assert {(mutant.name, precision) for mutant, precision in pairs} == {
        (name, precision) for name in ("good", "holes-filled") for precision in ("fp32", "rowwise")
    }
    assert [folder.name for folder in folders] == ["shipped-good", "shipped-later"]
    assert [fault.name for fault in faults] == ["truncation-leaked"]
    pairs, folders, faults = run.choose(["saturated"], list(run.BASES))
    assert [(mutant.name, precision) for mutant, precision in pairs] == [
        ("good", "int8"),
        ("emulated", "int8"),
        ("saturated", "int8"),
    ]
    assert (folders, faults) == ([], [])


def test_a_mutant_that_nobody_knows_is_refused(run: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"no mutant is called sideways; known: .*holes-filled"):
        run.choose(["sideways"], ["fp32"])


def test_later_results_take_the_place_of_their_mutants_only(run: ModuleType) -> None:
    def entry(name: str, killer: str, *, control: bool = False) -> dict[str, Any]:
        return {"mutant": name, "class": "fp32", "control": control, "killed_by": [killer] if killer else []}

    before = {
        "rows": 10,
        "emulation": {"emulated": 1.0},
        "mutants": [entry("good", "", control=True), entry("softmax", "old"), entry("no-more", "old")],
    }
    later = {"rows": 20, "emulation": {}, "mutants": [entry("good", "", control=True), entry("holes-filled", "new")]}
    merged = run.put_among(later, before)
    assert [(found["mutant"], found.get("later_rows")) for found in merged["mutants"]] == [
        ("good", None),
        ("holes-filled", 20),
        ("softmax", None),
    ]
    assert ["mask-weak", "fp32"] in merged["not_judged"]
    assert ["softmax", "fp32"] not in merged["not_judged"]
    assert (merged["rows"], merged["emulation"]) == (10, {"emulated": 1.0})


def test_every_survivor_is_explained(mutants: ModuleType) -> None:
    results = json.loads((STUDY / "results.json").read_text(encoding="utf-8"))["mutants"]
    silent = [
        f"{entry['mutant']}-{entry['class']}"
        for entry in results
        if not entry["killed_by"] and not entry["control"] and not entry["why_survives"]
    ]
    assert not silent
