"""Texts as long as the encoder takes them: how they are made, and the faults that only they show."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from late_faults import cut_inputs, overwrite_late_positions
from nested_pytest import run_pytest

from driftgate.arrays import Logits
from driftgate.assessor import assess
from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime, Step
from driftgate.builder.build import build_artifact
from driftgate.errors import LongTextsError
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.long_texts import LENGTHS, TOKENS_PER_LENGTH, count_rows, length_of, make_long_texts
from driftgate.inputs.tokens import load_tokenizer, tokenize
from driftgate.judge.bounds import find_bound
from driftgate.judge.bounds_file import load_bounds
from driftgate.judge.drift import LengthAnswers, LongTexts, measure_long_texts
from driftgate.judge.parts import LONG_TEXTS
from driftgate.pipeline import open_backend
from driftgate.plugin.options import SESSION
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.torch_backend import open_reference

REPOSITORY = Path(__file__).parents[2]
METRIC = "mean_of_largest_probability_drift_on_long_texts"
BOUNDS = [load_bounds(REPOSITORY / "accuracy/bounds.toml")]
WORDS = ("bus", "rained", "late", "thank", "surprise", "nobody", "going", "game", "day", "sorry", "made", "where")


def make_corpus(rows: int) -> Corpus:
    """Different rows of a few words each."""
    texts = tuple(
        f"{WORDS[row % 12]} {WORDS[row // 12 % 12]} was {WORDS[row * 7 % 12]} number {row}" for row in range(rows)
    )
    return Corpus("words", texts, tuple(f"line {row}" for row in range(rows)), None)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


# How they are made


@pytest.mark.parametrize(("name", "length"), [("quarter", 16), ("half", 32), ("limit", 64)])
def test_every_row_has_exactly_the_length_and_no_other_row_is_the_same(
    name: str, length: int, encoder: Encoder
) -> None:
    assert length_of(encoder, name) == length
    tokens = make_long_texts(encoder, make_corpus(60), length, 40)
    assert tokens.lengths.tolist() == [length] * 40
    assert len({ids.tobytes() for ids in tokens.input_ids}) == 40


@pytest.mark.parametrize("family", ["roberta", "bert", "albert", "deberta-v2"])
def test_special_tokens_stand_where_the_tokenizer_puts_them(
    family: str, make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    other = load_encoder(make_tiny_encoder(tmp_path / family, family))
    (empty,) = tokenize(other, [""]).input_ids
    special = set(load_tokenizer(other).all_special_ids) - {load_tokenizer(other).unk_token_id}
    for ids in make_long_texts(other, make_corpus(60), other.max_tokens, 12).input_ids:
        assert (ids[0], ids[-1]) == (empty[0], empty[-1])
        assert special.isdisjoint(ids[1:-1].tolist())


def test_no_row_of_the_corpus_is_twice_in_one_text(encoder: Encoder) -> None:
    corpus = make_corpus(40)
    doubled = replace(corpus, texts=corpus.texts * 2, row_ids=corpus.row_ids * 2)
    tokenizer = load_tokenizer(encoder)
    for ids in make_long_texts(replace(encoder, max_tokens=300), doubled, 300, 12).input_ids:
        numbers = [word for word in tokenizer.decode(ids, skip_special_tokens=True).split() if word.isdigit()]
        assert len(numbers[:-1]) == len(set(numbers[:-1])) > 10  # the last one may be cut


def test_the_same_corpus_makes_the_same_texts(encoder: Encoder) -> None:
    one, other = (make_long_texts(encoder, make_corpus(60), 64, 12).input_ids for _ in range(2))
    assert [ids.tolist() for ids in one] == [ids.tolist() for ids in other]


def test_rows_are_added_where_joining_them_makes_fewer_tokens(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer may make one token of what are two at the ends of two texts."""
    from driftgate.inputs import long_texts

    def longer(encoder: Encoder, texts: Any) -> Any:
        tokens = tokenize(encoder, texts)
        alone = len(texts) == 60  # the corpus itself: each row seems to have three tokens more
        return (
            replace(tokens, input_ids=tuple(np.append(ids, [5] * 3) for ids in tokens.input_ids)) if alone else tokens
        )

    monkeypatch.setattr(long_texts, "tokenize", longer)
    assert make_long_texts(encoder, make_corpus(60), 64, 12).lengths.tolist() == [64] * 12


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("one short text",) * 300, "its 1 different texts make 0"),
        (("text " * 100,) * 20, "its 1 different texts make 1"),
    ],
    ids=["too-short", "all-equal"],
)
def test_a_corpus_without_enough_text_is_refused_with_what_can_be_made_of_it(
    texts: tuple[str, ...], found: str, encoder: Encoder
) -> None:
    corpus = Corpus("small", texts, texts, None)
    with pytest.raises(
        LongTextsError, match=f"corpus small: expected text for 12 different rows of 64 tokens, {found};"
    ):
        make_long_texts(encoder, corpus, 64, 12)


def test_lengths_that_cost_too_much_are_refused_with_their_cost(encoder: Encoder) -> None:
    long = replace(encoder, max_tokens=8192)
    with pytest.raises(
        LongTextsError, match=f"12 rows of 8,192 tokens would cost 98,304 .* the {TOKENS_PER_LENGTH:,} "
    ):
        make_long_texts(long, make_corpus(60), length_of(long, "limit"), 12)
    assert length_of(long, "quarter") * 12 <= TOKENS_PER_LENGTH


def test_larger_corpora_are_judged_on_more_rows(encoder: Encoder) -> None:
    long = replace(encoder, max_tokens=512)  # 896 tokens for a row of each length
    found = [count_rows(long, tokens) for tokens in (10, 8 * 896 * 12, 8 * 896 * 25, 10**7)]
    assert found == [12, 12, 25, 40]


# What is measured


def drift_of(reference: Logits, backend: Logits) -> LongTexts:
    return measure_long_texts([LengthAnswers("limit", 7, reference, backend)], [], multi_label=True)


def test_mean_drift_of_a_length_is_the_mean_over_rows_of_the_largest_difference() -> None:
    reference = Logits(np.zeros((2, 2), dtype=np.float32))
    moved = Logits(np.log(np.array([[3, 1], [1, 9]], dtype=np.float32)))  # probabilities 0.75 and 0.9, from 0.5
    (drift,) = drift_of(reference, moved).lengths
    assert (drift.name, drift.rows, drift.tokens) == ("limit", 2, 7)
    assert drift.largest_per_text.mean == pytest.approx((0.25 + 0.4) / 2)


def test_the_length_that_drifts_most_is_the_one_that_is_judged() -> None:
    reference = Logits(np.zeros((2, 2), dtype=np.float32))
    sides = [(name, Logits(reference + by)) for name, by in {"quarter": 0.1, "half": 0.3, "limit": 0.2}.items()]
    answers = [LengthAnswers(name, 7, reference, Logits(moved.astype(np.float32))) for name, moved in sides]
    found = measure_long_texts(answers, ["reason"], multi_label=True)
    assert found.largest_mean == found.lengths[1].largest_per_text.mean > found.lengths[2].largest_per_text.mean
    assert found.left_out == ("reason",)
    assert measure_long_texts([], ["reason"], multi_label=True).largest_mean is None


def test_rows_that_are_not_numbers_are_refused() -> None:
    reference = Logits(np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="NaN"):
        drift_of(reference, Logits(np.full_like(reference, np.nan)))


# Faults that only act late in a text


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test on long texts, a corpus that is shorter than half the limit, and bounds that fit a random encoder's INT8."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "accuracy").mkdir()
    for name in ("__init__.py", "test_length.py", "bounds.toml"):
        shutil.copy2(REPOSITORY / "accuracy" / name, folder / "accuracy")
    rows = "\n".join(json.dumps({"text": text}) for text in make_corpus(60).texts)
    (folder / "corpus.jsonl").write_text(rows, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return folder


class Plugin:
    """The outcome of the test on long texts, and what was measured."""

    outcome = ""
    found: LongTexts | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.outcome = report.outcome

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.found = session.config.stash[SESSION].results.of("mine").measured.get(LONG_TEXTS)


def judge(project: Path, cache: Path, encoder: Encoder, model: Path, *more: str) -> tuple[int, str, LongTexts, str]:
    """Exit code, outcome, what was measured, and everything that was printed."""
    given = ["accuracy", f"--encoder={encoder.path}", "--corpus=corpus.jsonl", f"--backends=mine={model}"]
    plugin = Plugin()
    code, output = run_pytest(project, [*given, "-p", "no:cacheprovider", *more], cache, [plugin])
    assert plugin.found is not None, output
    return code, plugin.outcome, plugin.found, " ".join(output.split())


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-int8"])
def test_a_good_backend_passes_at_every_length(backend: str, project: Path, encoder: Encoder, warm_cache: Path) -> None:
    model = build_artifact(encoder, REGISTRY[backend]).model
    code, outcome, found, output = judge(project, warm_cache, encoder, model)
    assert (code, outcome) == (0, "passed"), output
    assert [length.name for length in found.lengths] == list(LENGTHS)


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-int8"])
@pytest.mark.parametrize("fault", ["cut", "late positions"])
def test_faults_that_act_late_in_a_text_fail_by_what_they_do_at_the_limit_alone(
    fault: str, backend: str, project: Path, encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    artifact, half = build_artifact(encoder, REGISTRY[backend]), encoder.max_tokens // 2
    bad = (
        cut_inputs(artifact.model, tmp_path / "model.onnx", half)
        if fault == "cut"
        else overwrite_late_positions(artifact.model, tmp_path / "model.onnx", encoder.max_tokens, half)
    )
    code, outcome, found, output = judge(project, warm_cache, encoder, bad)
    assert (code, outcome) == (1, "failed"), output
    bound = find_bound(BOUNDS, (str(REGISTRY[backend].precision),), METRIC)
    within = {length.name: bound.holds(length.largest_per_text.mean) for length in found.lengths}
    assert within == {"quarter": True, "half": True, "limit": False}
    assert f"mine: {METRIC} = " in output
    assert all(str(length) in output for length in found.lengths)


def test_a_corpus_that_is_too_small_skips_with_the_reason_and_is_no_verdict(
    project: Path, encoder: Encoder, warm_cache: Path
) -> None:
    (project / "small.jsonl").write_text('{"text": "late"}', encoding="utf-8")
    model = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    code, outcome, found, output = judge(project, warm_cache, encoder, model, "--corpus=small.jsonl", "-rs")
    assert (code, outcome, found.lengths) == (7, "skipped", ()), output
    assert "mine: not judged: corpus small: expected text for 12 different rows of 16 tokens" in output
    assert "different rows of 64 tokens, its 1 different texts make 0" in output


def test_a_length_that_is_left_out_is_named_and_the_others_are_judged(
    project: Path, encoder: Encoder, warm_cache: Path
) -> None:
    rows = "\n".join(json.dumps({"text": text}) for text in make_corpus(4).texts)
    (project / "few.jsonl").write_text(rows, encoding="utf-8")
    model = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    code, outcome, found, output = judge(project, warm_cache, encoder, model, "--corpus=few.jsonl", "-rs")
    assert (code, outcome) == (0, "skipped"), output
    assert [length.name for length in found.lengths] == ["half", "limit"]  # 16 tokens hold few of these texts at a time
    said = "expected text for 12 different rows of 16 tokens, its 4 different texts make"
    assert f"mine: judged and passed, but not at every length: corpus few: {said}" in output


def test_driftgate_build_refuses_what_a_late_fault_makes_of_a_model(encoder: Encoder, warm_cache: Path) -> None:
    def cut(source: Path, target: Path) -> None:
        cut_inputs(source, target, encoder.max_tokens // 2)

    spec = BackendSpec("cut", Precision.FP32, Runtime.ONNXRUNTIME, ("export", Step("cut", "1", cut)))
    found = assess(encoder, make_corpus(60), (spec,), settings=RunSettings(1)).backends["cut"]
    assert METRIC in [failure.metric for failure in found.failures]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "cut", "late positions"])
def test_the_embedded_encoders_int8_is_told_from_one_with_a_late_fault(fault: str, tmp_path: Path) -> None:
    folder = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
    embedded = load_encoder(folder)
    model = build_artifact(embedded, REGISTRY["onnx-int8"]).model
    half = embedded.max_tokens // 2
    if fault == "cut":
        model = cut_inputs(model, tmp_path / "model.onnx", half)
    elif fault == "late positions":
        model = overwrite_late_positions(model, tmp_path / "model.onnx", embedded.max_tokens, half)
    corpus = load_corpus(REPOSITORY / "fixtures/corpora/emotions.jsonl", embedded)
    tokens = make_long_texts(embedded, corpus, embedded.max_tokens, 12)
    settings, plan = RunSettings(available_threads()), BudgetPlan()
    reference = predict(open_reference(embedded, settings), tokens, plan)
    logits = predict(open_backend(embedded, f"mine={model}", settings), tokens, plan)
    drift = drift_of(reference, logits).largest_mean
    assert drift is not None
    assert find_bound(BOUNDS, ("int8-rowwise",), METRIC).holds(drift) == (fault == "none"), drift
