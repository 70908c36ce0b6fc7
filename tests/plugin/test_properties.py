"""pytest inside pytest: the property tests catch backends that break what they declare, and keep texts to themselves."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faulty_backends import FAULTS, FaultyBackends, names
from nested_pytest import read_results, run_pytest
from tiny_encoders import SENTENCES

from driftgate.plugin.profiles import MODEL_EXAMPLES
from driftgate.strategies import corpus_text

REPOSITORY = Path(__file__).parents[2]
SECRETS = ("SECRET-PHRASE thank you so much", "SECRET-PHRASE the bus was late again", "SECRET-PHRASE what a game")

# A torch module behind a mistake. `answer` gets the batch and the honest answers of any batch.
CONFTEST = """
from dataclasses import replace

import numpy as np

from driftgate.backends import BackendSpec, Guarantee, Invariance, Precision, Runtime
from driftgate.errors import DriftgateError
from driftgate.inputs.batches import TokenBatch
from driftgate.run.torch_backend import open_torch


class Wrapped:
    def __init__(self, spec, honest):
        self.spec, self._honest = spec, honest
        self.in_force = honest.in_force

    def prepare(self, batch):
        honest = lambda batch: self._honest.prepare(batch)()
        return lambda: answer(batch, honest)


def open_with(encoder, artifact, settings):
    return Wrapped(SPEC, open_torch(encoder, SPEC, settings))


{answer}


SPEC = BackendSpec("broken", Precision.FP32, Runtime.TORCH, open_with=open_with, declared={declared})


def pytest_driftgate_backends(config):
    return [SPEC]
"""

IGNORES_THE_MASK = """
def answer(batch, honest):
    return honest(replace(batch, attention_mask=np.ones_like(batch.attention_mask)))
"""
DEPENDS_ON_BATCH_MATES = """
def answer(batch, honest):
    logits = honest(batch)
    return logits + 0.01 * logits.mean(0, keepdims=True) * (len(logits) > 1)
"""
REVERSES_ROWS = """
def answer(batch, honest):
    return honest(batch)[::-1].copy()
"""
NAN_FOR_A_PADDED_ROW = """
def answer(batch, honest):
    logits = honest(batch)
    logits[batch.attention_mask[:, -1] == 0] = np.nan
    return logits
"""
STALE_CACHE = """
remembered = {}

def answer(batch, honest):
    return remembered.setdefault(batch.input_ids.shape, honest(batch))
"""
ONE_LABEL_FLIPPED = """
def answer(batch, honest):
    logits = honest(batch)
    logits[:, 0] = -logits[:, 0]
    return logits
"""
ONE_ROW_AT_A_TIME = """
def answer(batch, honest):
    if len(batch.rows) > 1 or (batch.attention_mask == 0).any():
        raise DriftgateError("one row at a time, without padding")
    return honest(batch)
"""
HONEST = """
def answer(batch, honest):
    return honest(batch)
"""
REFUSED = "{invariance: Guarantee.REFUSED for invariance in Invariance if invariance is not Invariance.REPEAT}"

# Gross faults, that many properties find; the subtle ones, that one finds, are in `faulty_backends`.
BROKEN = {
    "ignores-the-mask": (IGNORES_THE_MASK, "test_padding_behind_the_text_changes_nothing"),
    "depends-on-batch-mates": (DEPENDS_ON_BATCH_MATES, "test_answers_do_not_depend_on_batch_mates"),
    "reverses-rows": (REVERSES_ROWS, "test_shuffled_rows_get_shuffled_answers"),
    "nan-for-a-padded-row": (NAN_FOR_A_PADDED_ROW, "test_padding_behind_the_text_changes_nothing"),
    "stale-cache": (STALE_CACHE, "test_answers_are_the_references_on_any_unicode"),
    "one-label-flipped": (ONE_LABEL_FLIPPED, "test_answers_are_the_references_on_changed_and_generated_texts"),
}


RunFaults = Callable[..., FaultyBackends]


@dataclass(frozen=True)
class Run:
    """One finished pytest run over some property tests."""

    code: int
    output: str
    folder: Path

    @property
    def entry(self) -> dict[str, Any]:
        """The results of the one backend."""
        content = read_results(self.folder)
        (entry,) = content["backends"].values()
        return entry

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """What was measured of the one backend, by property."""
        return self.entry["properties"]


@pytest.fixture(scope="module")
def run_properties(
    tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Run]:
    """Run the invariance suite in this process: importing torch anew would cost more than the run."""

    def run(
        *arguments: str,
        answer: str = HONEST,
        declared: str = "{}",
        backend: str = "broken",
        module: str = "test_invariance",
    ) -> Run:
        folder = tmp_path_factory.mktemp("project")
        (folder / "accuracy").mkdir()
        for name in (f"{module}.py", "bounds.toml"):
            shutil.copy(REPOSITORY / "accuracy" / name, folder / "accuracy" / name)
        conftest = CONFTEST.replace("{answer}", answer).replace("{declared}", declared)
        (folder / "conftest.py").write_text(conftest, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        rows = "\n".join(json.dumps({"text": text}) for text in SECRETS)
        (folder / "corpus.jsonl").write_text(rows, encoding="utf-8")
        given = [
            f"--encoder={tiny_encoder}",
            "--corpus=corpus.jsonl",
            f"--backends={backend}",
            "-v",
            "-p",
            "no:randomly",
        ]
        common = ["-p", "no:cacheprovider", "--import-mode=importlib"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("driftgate.plugin.hold.SHRINK_SECONDS", 1.0)
            code, printed = run_pytest(folder, ["accuracy", *given, *common, *arguments], shared_cache)
        return Run(code, printed, folder)

    return run


@pytest.fixture(scope="module")
def honest(run_properties: Callable[..., Run]) -> Run:
    """All properties of a backend that keeps them: read, never changed."""
    return run_properties()


def test_the_largest_value_that_a_search_saw_of_a_metric_is_in_the_results(honest: Run) -> None:
    searched = honest.entry["searched"]
    assert {f"max_abs_{kind}_drift_on_generated_text" for kind in ("logit", "probability")} <= set(searched)
    largest = max(one["largest_logit_change"] for one in honest.properties.values())
    assert 0 <= max(value for name, value in searched.items() if "logit" in name) <= largest
    assert honest.entry["verdicts"] == []  # a search is no verdict


def test_an_honest_backend_passes_every_property(honest: Run) -> None:
    assert honest.code == 0, honest.output


def test_results_say_how_many_examples_ran_and_the_largest_change(honest: Run) -> None:
    measured = honest.properties["test_answers_do_not_depend_on_batch_mates"]
    assert measured["examples"] >= 3
    assert 0 < measured["largest_logit_change"] < 5e-5
    assert 0 < measured["largest_probability_change"] < 1e-5


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_backend_fails_the_property_that_names_its_mistake(
    run_properties: Callable[..., Run], name: str
) -> None:
    answer, test = BROKEN[name]
    run = run_properties("-k", test, answer=answer)
    assert run.code == 1, run.output
    assert f"FAILED accuracy/test_invariance.py::{test}[broken]" in run.output
    assert "SECRET-PHRASE" not in run.output
    assert "broken: " in run.output


@pytest.fixture(scope="module")
def run_faults(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFaults:
    """Run properties on all faulty backends, in one run with one reference."""

    def run(*, own_property_only: bool) -> FaultyBackends:
        folder = tmp_path_factory.mktemp("faults")
        (folder / "accuracy").mkdir()
        for name in ("test_invariance.py", "bounds.toml"):
            shutil.copy(REPOSITORY / "accuracy" / name, folder / "accuracy" / name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        rows = "\n".join(json.dumps({"text": text}) for text in SENTENCES)
        (folder / "corpus.jsonl").write_text(rows, encoding="utf-8")
        faulty = FaultyBackends(FAULTS, own_property_only=own_property_only)
        given = [f"--encoder={tiny_encoder}", "--corpus=corpus.jsonl", f"--backends={names(FAULTS)}"]
        common = ["-p", "no:cacheprovider", "--import-mode=importlib"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("driftgate.plugin.hold.SHRINK_SECONDS", 0.0)
            code, printed = run_pytest(folder, ["accuracy", *given, *common], shared_cache, [faulty])
        assert code == 1, printed
        return faulty

    return run


def test_each_property_finds_a_fault(run_faults: RunFaults) -> None:
    faulty = run_faults(own_property_only=True)
    assert faulty.failed == {name: {fault.found_by} for name, fault in faulty.faults.items()}
    assert faulty.asked == {fault.found_by for fault in FAULTS}  # a new property needs a fault of its own


@pytest.mark.slow
def test_no_other_property_finds_that_fault(run_faults: RunFaults) -> None:
    """So that no property could be left out: where two find the same fault, they are alike."""
    faulty = run_faults(own_property_only=False)
    for name, fault in faulty.faults.items():
        assert fault.found_by in faulty.failed[name] <= {fault.found_by, *fault.also}, name


def test_a_failure_names_invariance_bound_reason_and_change(run_properties: Callable[..., Run]) -> None:
    run = run_properties("-k", "batch_mates", answer=DEPENDS_ON_BATCH_MATES)
    assert re.search(
        r"broken: invariance 'composition': max_abs_logit_change_composition = [\d.e-]+, expected at most 5e-05 "
        r"\(bound \[fp32\.max_abs_logit_change_composition\], set 20\d\d-\d\d-\d\d: exact to float32",
        run.output.replace("\nE   ", ""),
    ), run.output
    violations = json.loads((run.folder / ".driftgate/results.json").read_text(encoding="utf-8"))["violations"]
    assert len(violations) == 1


def write_suite(path: Path, content: str) -> Path:
    """A file of properties, with the accuracy suite's bounds beside it."""
    path.write_text(content, encoding="utf-8")
    shutil.copy(REPOSITORY / "accuracy/bounds.toml", path.parent)
    return path


def test_a_counterexample_is_small_and_can_be_pasted(run_properties: Callable[..., Run], tmp_path: Path) -> None:
    """What is drawn is made smaller; examples that a property always tries are printed as they are."""
    suite = write_suite(
        tmp_path / "test_drawn.py",
        "from driftgate.backends import Invariance\n"
        "from driftgate.inputs.batches import pad_rows\n"
        "from driftgate.plugin.profiles import model_property\n"
        "from driftgate.strategies import text_batches\n"
        "@model_property(texts=text_batches())\n"
        "def test_drawn(hold, texts):\n"
        "    tokens = hold.tokens(texts)\n"
        "    alone = lambda: hold.answer_in_batches(tokens, 1)\n"
        "    hold.same(Invariance.COMPOSITION, alone, lambda: hold.answer(pad_rows(tokens, range(len(tokens)))))\n",
    )
    run = run_properties(str(suite), "-k", "drawn", answer=DEPENDS_ON_BATCH_MATES)
    line = re.findall(r"@example\(texts=(\[.*\])\)", run.output)[-1]
    texts = eval(line, {"corpus_text": corpus_text})  # noqa: S307 - a line to paste is what it claims to be
    assert len(texts) == 3  # a short one, a middling one, a long one
    assert sum(len(text) if isinstance(text, str) else len(text.changes) for text in texts) < 10


def test_a_pasted_example_is_tried(run_properties: Callable[..., Run], tmp_path: Path) -> None:
    """The line works where the failure says to put it."""
    suite = write_suite(
        tmp_path / "test_pasted.py",
        "from hypothesis import example\n"
        "from driftgate.plugin.profiles import model_property\n"
        "from driftgate.strategies import corpus_text, text_batches\n"
        "tried = []\n"
        "@example(texts=['a pasted line', corpus_text(1, 'upper')])\n"
        "@model_property(texts=text_batches())\n"
        "def test_pasted(hold, texts):\n"
        "    tried.append(repr(texts))\n"
        "def test_tried():\n"
        "    assert tried[0] == \"['a pasted line', corpus_text(1, 'upper')]\"\n",
    )
    run = run_properties(str(suite), "-k", "pasted or tried")
    assert run.code == 0, run.output
    assert run.properties["test_pasted"]["examples"] == MODEL_EXAMPLES + 1


def test_texts_of_a_private_corpus_are_not_printed_when_the_tokenizer_fails(
    run_properties: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(encoder: object, texts: list[str]) -> None:
        raise RuntimeError(f"cannot read {texts}")

    monkeypatch.setattr("driftgate.plugin.hold.tokenize", fail)
    run = run_properties("-k", "batch_mates")
    assert run.code == 1
    assert "its tokenizer failed with RuntimeError" in run.output
    assert "SECRET-PHRASE" not in run.output


def test_a_backend_that_refuses_what_it_declares_refused_passes(run_properties: Callable[..., Run]) -> None:
    run = run_properties(answer=ONE_ROW_AT_A_TIME, declared=REFUSED)
    assert run.code == 0, run.output
    for test in (
        "test_holes_in_the_mask_mean_what_they_mean_to_the_reference",
        "test_padding_in_front_of_the_text_means_what_it_means_to_the_reference",
    ):
        assert run.properties[test]["refusals"] >= MODEL_EXAMPLES


def test_every_property_of_a_model_tries_a_dozen_examples(honest: Run) -> None:
    assert {name: measured["examples"] for name, measured in honest.properties.items()} == dict.fromkeys(
        honest.properties, MODEL_EXAMPLES
    )


def test_what_a_property_always_tries_comes_first_and_counts(
    run_properties: Callable[..., Run], tmp_path: Path
) -> None:
    suite = write_suite(
        tmp_path / "test_always.py",
        "from driftgate.plugin.profiles import model_property\n"
        "from driftgate.strategies import text_batches\n"
        "tried = []\n"
        "@model_property({'texts': ['one']}, {'texts': ['two']}, examples=4, texts=text_batches())\n"
        "def test_always(hold, texts):\n"
        "    tried.append(texts)\n"
        "def test_tried():\n"
        "    assert tried[:2] == [['one'], ['two']]\n"
        "    assert all(len(texts) >= 3 for texts in tried[2:])\n",
    )
    run = run_properties(str(suite), "-k", "always or tried")
    assert run.code == 0, run.output
    assert run.properties["test_always"]["examples"] == 4


def test_a_backend_that_answers_what_it_declares_refused_fails(run_properties: Callable[..., Run]) -> None:
    run = run_properties("-k", "batch_mates", declared=REFUSED)
    assert run.code == 1
    assert "invariance 'composition' is declared refused, and the backend answered" in run.output


def test_exact_means_the_same_bits(run_properties: Callable[..., Run]) -> None:
    exact = "{Invariance.COMPOSITION: Guarantee.EXACT}"
    run = run_properties("-k", "batch_mates", answer=DEPENDS_ON_BATCH_MATES.replace("0.01", "1e-6"), declared=exact)
    assert run.code == 1
    assert "invariance 'composition' is declared exact, and logits moved by up to" in run.output


def test_a_bound_that_is_missing_fails(run_properties: Callable[..., Run], tmp_path: Path) -> None:
    suite = tmp_path / "accuracy"
    suite.mkdir()
    shutil.copy(REPOSITORY / "accuracy/test_invariance.py", suite)
    (suite / "bounds.toml").write_text("", encoding="utf-8")
    run = run_properties(str(suite), "-k", "batch_mates")
    assert run.code == 1
    assert "no bound for 'max_abs_logit_change_composition'" in run.output


# Profiles


@pytest.mark.parametrize(
    ("arguments", "examples"),
    [
        ((), 9),
        (("--hypothesis-profile=ci",), 9),
        (("--hypothesis-profile=dev",), 27),
        (("--hypothesis-profile=nightly",), 180),
    ],
    ids=["none", "ci", "dev", "nightly"],
)
def test_a_profile_says_how_many_examples_run(
    run_properties: Callable[..., Run], arguments: tuple[str, ...], examples: int
) -> None:
    from hypothesis import settings

    current = settings.get_current_profile_name()
    try:
        run = run_properties("-k", "segments_of_zeros", *arguments)
    finally:
        settings.load_profile(current)
    assert run.code == 0, run.output
    assert run.properties["test_segments_of_zeros_are_the_same_as_none"]["examples"] == examples


SETTINGS_SUITE = """
from hypothesis import settings
from driftgate.plugin.profiles import profile_settings

def test_settings():
    found = profile_settings(100)
    print("SETTINGS", found.derandomize, found.database is not None, found.max_examples, found.deadline)
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "True False 100 None"),
        (("--hypothesis-profile=ci",), "True False 100 None"),
        (("--hypothesis-profile=dev",), "False False 300 None"),
        (("--hypothesis-profile=nightly",), "False True 2000 None"),
        (("--hypothesis-profile=dev", "--hypothesis-verbosity=quiet"), "False False 300 None"),
        (("--hypothesis-profile=theirs",), "False True 50 None"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_each_profile_is_in_force(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    (tmp_path / "test_settings.py").write_text(SETTINGS_SUITE, encoding="utf-8")
    # Every setting is named: where CI is set in the environment, Hypothesis' own defaults are others.
    theirs = """
from hypothesis import settings
from hypothesis.database import InMemoryExampleDatabase
settings.register_profile("theirs", max_examples=50, derandomize=False, database=InMemoryExampleDatabase())
"""
    (tmp_path / "conftest.py").write_text(theirs, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"SETTINGS {expected}" in done.stdout, done.stdout + done.stderr


def test_a_profile_of_the_same_name_stays_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        'from hypothesis import settings\nsettings.register_profile("dev", max_examples=7)\n', encoding="utf-8"
    )
    (tmp_path / "test_theirs.py").write_text(
        "from hypothesis import settings\n\ndef test_own():\n    assert settings().max_examples == 7\n",
        encoding="utf-8",
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=dev"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugin_alone_does_not_import_hypothesis() -> None:
    """Projects that only judge have no need of it."""
    code = "import sys, driftgate.plugin.hooks; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
