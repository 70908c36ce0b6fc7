"""What the reference answered is kept, and used again only for the same question and only whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_encoders import SENTENCES

from driftgate.arrays import FloatArray, Logits
from driftgate.assessor import Assessor
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.measure import kept_answers
from driftgate.measure.kept_answers import keep_answers
from driftgate.pipeline import OpenBackends
from driftgate.run.device import RunSettings

SETTINGS = RunSettings(1)


class Oracle:
    """Answers at random, so that an answer of before is known by its numbers."""

    def __init__(self, rows: int) -> None:
        self.asked, self.rows = 0, rows

    def __call__(self) -> Logits:
        self.asked += 1
        return Logits(np.random.default_rng(self.asked).random((self.rows, 4), dtype=np.float32))


@pytest.fixture
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture
def tokens(encoder: Encoder) -> TokenizedTexts:
    return tokenize(encoder, SENTENCES)


@pytest.fixture
def oracle(tokens: TokenizedTexts, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Oracle:
    monkeypatch.setattr(kept_answers, "WORTH_SECONDS", 0.0)
    return Oracle(len(tokens))


def entry(cache: Path) -> Path:
    (found,) = (path for path in cache.glob("reference-*") if path.is_dir())
    return found


def test_answers_in_float64_are_kept_beside_those_in_float32(
    encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle
) -> None:
    single = keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)

    def ask_exactly() -> FloatArray:
        return oracle().astype(np.float64) + 1e-12

    first, second = (keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, ask_exactly, exact=True) for _ in range(2))
    assert oracle.asked == 2
    assert first.dtype == second.dtype == np.float64
    assert first.tobytes() == second.tobytes()
    assert keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle).tobytes() == single.tobytes()


def test_the_same_question_is_asked_once(encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle) -> None:
    first, second = (keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle) for _ in range(2))
    assert oracle.asked == 1
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_array_equal(first, second)


CHANGES: dict[str, Callable[[Encoder, TokenizedTexts], tuple[object, ...]]] = {
    "encoder": lambda encoder, tokens: (replace(encoder, sha256="0" * 64), tokens, BudgetPlan(), SETTINGS),
    "rows": lambda encoder, tokens: (encoder, tokens.take([1, 0, 2, 3, 4]), BudgetPlan(), SETTINGS),
    "limit": lambda encoder, tokens: (
        encoder,
        tokenize(replace(encoder, max_tokens=9), SENTENCES),
        BudgetPlan(),
        SETTINGS,
    ),
    "padding": lambda encoder, tokens: (encoder, replace(tokens, padding_side="left"), BudgetPlan(), SETTINGS),
    "plan": lambda encoder, tokens: (encoder, tokens, ArrivalPlan(2), SETTINGS),
    "budget": lambda encoder, tokens: (encoder, tokens, BudgetPlan(64), SETTINGS),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_question_is_asked_anew(change: str, encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle) -> None:
    keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)
    keep_answers(*CHANGES[change](encoder, tokens), oracle)  # type: ignore[arg-type]
    assert oracle.asked == 2


def test_another_release_of_a_library_is_asked_anew(
    encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)
    monkeypatch.setattr(kept_answers, "library_versions", lambda: {"torch": "99.0"})
    keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)
    assert oracle.asked == 2


def test_segments_are_part_of_the_question(
    make_tiny_encoder: Callable[..., Path], tmp_path: Path, oracle: Oracle
) -> None:
    bert = load_encoder(make_tiny_encoder(tmp_path / "bert", "bert"))
    found = tokenize(bert, SENTENCES)
    assert found.token_type_ids is not None
    other = replace(found, token_type_ids=tuple(np.ones_like(types) for types in found.token_type_ids))
    for tokens in (found, other):
        keep_answers(bert, tokens, BudgetPlan(), SETTINGS, oracle)
    assert oracle.asked == 2


def damage_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [damage_bytes, cut, Path.unlink], ids=["changed", "cut", "missing"])
def test_a_damaged_answer_is_never_believed_and_made_again(
    damage: Callable[[Path], None], encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle, empty_cache: Path
) -> None:
    keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)
    damage(entry(empty_cache) / "logits.npy")
    second, third = (keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle) for _ in range(2))
    assert oracle.asked == 2
    np.testing.assert_array_equal(second, third)


def test_a_rebuild_asks_anew_and_keeps_the_new_answer(encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle) -> None:
    keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)
    new = keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle, anew=True)
    assert oracle.asked == 2
    np.testing.assert_array_equal(keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle), new)


def test_what_is_answered_at_once_is_not_kept(
    encoder: Encoder, tokens: TokenizedTexts, oracle: Oracle, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "WORTH_SECONDS", 60.0)
    keep_answers(encoder, tokens, BudgetPlan(), SETTINGS, oracle)
    assert not empty_cache.exists()


def test_an_assessor_takes_the_kept_answers_of_its_rows_and_of_the_long_ones(
    encoder: Encoder, oracle: Oracle, empty_cache: Path
) -> None:
    texts = tuple(f"{sentence} number {row}" for row in range(40) for sentence in SENTENCES)
    corpus = Corpus("words", texts, tuple(f"line {row}" for row in range(len(texts))), None)
    one, other = (Assessor(OpenBackends(encoder, SETTINGS), corpus) for _ in range(2))
    np.testing.assert_array_equal(one.reference, other.reference)
    assert one.long_texts[0].keys() == other.long_texts[0].keys() != set()
    kept = [path for path in empty_cache.glob("reference-*") if path.is_dir()]
    assert len(kept) == 1 + len(one.long_texts[0])
    assert "_opened" in vars(one)
    assert "_opened" not in vars(other), "the second one never opened the reference"
