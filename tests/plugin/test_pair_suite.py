"""pytest inside pytest: the suite judges an encoder of pairs, and every fault that only pairs show fails it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from faulty_backends import FaultyBackends, names
from hypothesis import settings
from nested_pytest import copy_suite, read_results, run_pytest
from pair_faults import PAIR_FAULTS
from tiny_encoders import SENTENCES, TRANSFORMERS_5

REPOSITORY = Path(__file__).parents[2]
STUDY = REPOSITORY / "studies/mutation"
FAMILIES = ("bert", "roberta")
KILLER = "test_drift_stays_within_bounds"
PROPERTY = "test_pairs_are_answered_as_the_reference_answers_them"

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def encoders(make_tiny_encoder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders-of-pairs")
    return {family: make_tiny_encoder(folder / family, family) for family in (*FAMILIES, "albert")}


@pytest.fixture(scope="module")
def run(encoders: dict[str, Path], shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run files of the accuracy suite on pairs of sentences."""

    def run_files(family: str, files: tuple[str, ...], *arguments: str, plugins: tuple[object, ...] = ()) -> Any:
        folder = tmp_path_factory.mktemp("project")
        copy_suite(folder, "accuracy")
        pairs = [(first, second) for first in SENTENCES for second in SENTENCES if first != second]
        rows = [{"premise": first, "hypothesis": second} for first, second in pairs]
        (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        columns = ("--driftgate-text-column=premise", "--driftgate-pair-column=hypothesis")
        given = (f"--encoder={encoders[family]}", "--corpus=pairs.jsonl", *columns, "--driftgate-not-shown=warn")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("driftgate.plugin.hold.SHRINK_SECONDS", 0.0)
            common = ("-p", "no:cacheprovider", "--import-mode=importlib", "-m", "")
            paths = [f"accuracy/{name}" for name in files]
            code, output = run_pytest(folder, [*paths, *given, *common, *arguments], shared_cache, plugins)
        return code, output, folder

    return run_files


@pytest.fixture
def few_examples() -> Iterator[str]:
    """A profile of Hypothesis: a tokenizer property tries 25 of them, and one of a model what it always tries and 3 more."""
    current = settings.get_current_profile_name()
    settings.register_profile("few", max_examples=25, derandomize=True, database=None)
    yield "--hypothesis-profile=few"
    settings.load_profile(current)


@pytest.mark.parametrize("family", ["bert", pytest.param("roberta", marks=pytest.mark.slow)])
def test_a_good_backend_of_pairs_passes(run: Run, family: str, few_examples: str) -> None:
    files = ("test_pairs.py", "test_drift.py", "test_invariance.py", "test_length.py")
    chosen = "test_pairs or test_drift or test_length or batch_mates or shuffled or any_shape or segments_of_zeros"
    code, output, folder = run(family, files, "--backends=onnx-fp32", "-k", chosen, few_examples)
    assert code == 0, output
    results = read_results(folder)
    assert results["corpus"]["pairs"] is True
    assert PROPERTY in results["backends"]["onnx-fp32"]["properties"]


def test_without_a_pair_column_nothing_of_pairs_is_collected(
    encoders: dict[str, Path], shared_cache: Path, tmp_path: Path
) -> None:
    copy_suite(tmp_path, "accuracy")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"text": SENTENCES[0]}), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    given = [f"--encoder={encoders['bert']}", "--corpus=corpus.jsonl", "--backends=torch", "--import-mode=importlib"]
    code, output = run_pytest(tmp_path, ["accuracy/test_pairs.py", *given], shared_cache)
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, output
    assert "10 deselected" in output


# Faults of backends


@pytest.fixture(scope="module")
def studied() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDY))
        import pair_mutants

        yield pair_mutants
        for name in ("pair_mutants", "wrong_pairs", "mutants", "changed_modules", "changed_weights", "wrong_answers"):
            sys.modules.pop(name, None)


class Register:
    """A plugin: mutants as backends, and which tests failed for each."""

    def __init__(self, studied: ModuleType, family: str, folder: Path) -> None:
        chosen = [mutant for mutant in studied.PAIR_MUTANTS if mutant.name not in studied.WITHOUT_EFFECT[family]]
        self.specs = {mutant.name: mutant.spec("fp32", folder) for mutant in chosen}
        self.failed: dict[str, set[str]] = {name: set() for name in self.specs}

    def pytest_driftgate_backends(self, config: pytest.Config) -> list[Any]:
        return list(self.specs.values())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            test, _, parameter = report.nodeid.removesuffix("]").partition("[")
            self.failed[parameter.removesuffix("-fp32")].add(test.split("::")[-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_fault_of_pairs_is_killed_and_a_good_backend_is_not(
    run: Run, studied: ModuleType, family: str, tmp_path: Path
) -> None:
    register = Register(studied, family, tmp_path)
    backends = ",".join(spec.name for spec in register.specs.values())
    chosen = ("-k", f"{KILLER} or {PROPERTY}")
    run(family, ("test_drift.py", "test_pairs.py"), f"--backends={backends}", *chosen, plugins=(register,))
    expected = {name: set() if name == "good" else {KILLER, PROPERTY} for name in register.specs}
    assert register.failed == expected


def test_each_property_of_pairs_finds_a_fault(run: Run) -> None:
    faulty = FaultyBackends(PAIR_FAULTS, own_property_only=True)
    code, output, _ = run("bert", ("test_pairs.py",), f"--backends={names(PAIR_FAULTS)}", plugins=(faulty,))
    assert code == 1, output
    assert faulty.failed == {name: {fault.found_by} for name, fault in faulty.faults.items()}


# Faults that reference and backend share


@pytest.mark.parametrize("name", ["second-never-read", "pairs-exchanged", "pairs-joined", "pairs-sorted"])
@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_that_are_tokenized_otherwise_are_found(run: Run, studied: ModuleType, family: str, name: str) -> None:
    """No comparison of a backend with the reference could."""
    (fault,) = (fault for fault in studied.PAIR_PIPELINE_FAULTS if fault.name == name)
    with fault.put():
        code, output, _ = run(family, ("test_pairs.py",), "--backends=torch", "-k", "tokenized_as or order or joined")
    assert code == 1, output
    assert "test_pairs_are_tokenized_as_the_tokenizer_itself_does" in output


@pytest.mark.skipif(not TRANSFORMERS_5, reason="transformers 4 feeds the segments of every family")
def test_segments_that_transformers_forgot_are_said(run: Run) -> None:
    code, output, _ = run("albert", ("test_pairs.py",), "--backends=torch", "-k", "segments_that_the_model")
    assert code == 1, output
    assert "the model has 2 segments" in output
    assert '"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]' in output
