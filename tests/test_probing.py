"""Faults put between a batch and its answer are named from questions alone, of a multi-label and of a single-label encoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_encoders import SENTENCES, SINGLE_LABEL, make_encoder

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder, ProblemType, load_encoder
from driftgate.inputs.thresholds import limit_tokens
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.diagnosis.suspects import Diagnosis
from driftgate.probing.ask import find_cause
from driftgate.run.backend import InForce, Prepared
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import TorchBackend, open_reference

EMBEDDED = Path(__file__).parents[1] / "fixtures/encoders/goemotions-roberta-mini"
TEXTS = [" ".join(SENTENCES[(row + step) % len(SENTENCES)] for step in range(1 + row % 3)) for row in range(16)]
Ask = Callable[[TokenBatch], TokenBatch]
HandOn = Callable[[Logits], Logits]


class Wrong:
    """The reference's module, asked or heard wrongly."""

    spec = BackendSpec("wrong", Precision.FP32, Runtime.TORCH)
    in_force = InForce("cpu", "float32", 1)

    def __init__(self, good: TorchBackend, put: Ask | None = None, hand_on: HandOn | None = None) -> None:
        self.good = good
        self.put = put or (lambda batch: batch)
        self.hand_on = hand_on or (lambda logits: logits)

    def prepare(self, batch: TokenBatch) -> Prepared:
        run = self.good.prepare(self.put(batch))
        return lambda: self.hand_on(run())


class Judged:
    """An encoder with its reference and some texts."""

    def __init__(self, folder: Path) -> None:
        whole = load_encoder(folder)
        self.encoder: Encoder = limit_tokens(whole, min(whole.max_tokens, 128))  # long texts take most of the time
        self.tokens: TokenizedTexts = tokenize(self.encoder, TEXTS)
        self.multi_label = self.encoder.problem_type is ProblemType.MULTI_LABEL
        self.reference = open_reference(self.encoder, RunSettings(1))
        self.other = open_reference(self.encoder, RunSettings(1))

    def diagnose(self, put: Ask | None = None, hand_on: HandOn | None = None) -> Diagnosis:
        return self.find_cause(Wrong(self.other, put, hand_on))

    def find_cause(self, backend: "Wrong") -> Diagnosis:
        rows, multi_label = range(len(TEXTS)), self.multi_label
        return find_cause(self.encoder, self.reference, backend, self.tokens, rows, multi_label=multi_label)


@pytest.fixture(scope="module", params=["embedded", "single-label BERT"])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    if request.param == "embedded":
        return Judged(EMBEDDED)
    return Judged(make_encoder(tmp_path_factory.mktemp("bert"), "bert", problem_type=SINGLE_LABEL))


def drop_mask(batch: TokenBatch) -> TokenBatch:
    return replace(batch, attention_mask=np.ones_like(batch.attention_mask))


def count_mask(batch: TokenBatch) -> TokenBatch:
    counted = np.arange(batch.input_ids.shape[1]) < batch.attention_mask.sum(axis=1, keepdims=True)
    return replace(batch, attention_mask=counted.astype(np.int64))


def fill_holes(batch: TokenBatch) -> TokenBatch:
    mask = batch.attention_mask.copy()
    for row in mask:
        places = np.flatnonzero(row)
        row[places[0] : places[-1] + 1] = 1
    return replace(batch, attention_mask=mask)


def pad_in_front(batch: TokenBatch) -> TokenBatch:
    ids, mask = batch.input_ids.copy(), batch.attention_mask.copy()
    for row, length in enumerate(mask.sum(axis=1)):
        if mask[row, 0]:
            ids[row], mask[row] = (np.roll(array[row], len(mask[row]) - length) for array in (ids, mask))
    return replace(batch, input_ids=ids, attention_mask=mask)


def cut_at_32(batch: TokenBatch) -> TokenBatch:
    types = None if batch.token_type_ids is None else batch.token_type_ids[:, :32]
    return TokenBatch(batch.rows, batch.input_ids[:, :32], batch.attention_mask[:, :32], types)


def lose_odd_tokens(batch: TokenBatch) -> TokenBatch:
    """A fault that no rule was written for."""
    ids = batch.input_ids.copy()
    ids[:, 3::2] = ids[:, 2:-1:2] if ids[:, 3::2].shape == ids[:, 2:-1:2].shape else ids[:, 3::2] * 0 + ids[:, 2:3]
    return replace(batch, input_ids=ids)


ASKED = {
    "mask-ignored": drop_mask,
    "mask-counted": count_mask,
    "mask-holes": fill_holes,
    "truncated": cut_at_32,
}


@pytest.mark.parametrize("cause", ASKED)
def test_a_backend_that_is_asked_wrongly_is_recognized(judged: Judged, cause: str) -> None:
    found = judged.diagnose(ASKED[cause])
    assert (found.cause, found.certain) == (cause, True)


def test_padding_on_the_wrong_side_is_recognized(judged: Judged) -> None:
    # RoBERTa counts positions from the padding, so that where it stands would change nothing; BERT counts every column.
    assert judged.diagnose(pad_in_front).cause in {"padding-side", "float32-noise"}


def test_the_length_of_a_cut_is_named(judged: Judged) -> None:
    assert "at 32 tokens, without the closing token" in judged.diagnose(cut_at_32).sentence


@pytest.mark.parametrize("step", [1, pytest.param(-1, marks=pytest.mark.slow)])
def test_shifted_positions_are_recognized(judged: Judged, step: int) -> None:
    import torch

    (table,) = (
        part
        for name, part in judged.other.module.named_modules()
        if name.endswith("position_embeddings") and isinstance(part, torch.nn.Embedding)
    )
    kept = table.weight.detach().clone()
    try:
        with torch.no_grad():
            table.weight.copy_(kept.roll(step, 0))
        found = judged.diagnose()
    finally:
        with torch.no_grad():
            table.weight.copy_(kept)
    assert (found.cause, found.certain) == ("positions-shifted", True)
    assert f"shifted by {step}:" in found.sentence


def test_exchanged_labels_are_recognized(judged: Judged) -> None:
    first, second = judged.encoder.labels[:2]
    order = [1, 0, *range(2, len(judged.encoder.labels))]
    found = judged.diagnose(hand_on=lambda logits: Logits(logits[:, order]))
    assert found.sentence == f"the labels {first!r} and {second!r} are exchanged"


def test_reversed_rows_are_recognized(judged: Judged) -> None:
    found = judged.diagnose(hand_on=lambda logits: Logits(logits[::-1].copy()))
    assert (found.cause, found.certain) == ("rows-reordered", True)


def test_answers_of_an_earlier_batch_are_recognized(judged: Judged) -> None:
    kept: dict[tuple[int, ...], Logits] = {}

    class Stale(Wrong):
        def prepare(self, batch: TokenBatch) -> Prepared:
            run = self.good.prepare(batch)
            return lambda: kept.setdefault(batch.input_ids.shape, run())

    assert judged.find_cause(Stale(judged.other)).cause == "stale-answers"


def test_a_good_backend_differs_by_rounding_only(judged: Judged) -> None:
    assert judged.diagnose().cause == "float32-noise"


def test_a_fault_that_no_rule_knows_is_not_named_for_certain(judged: Judged) -> None:
    assert not judged.diagnose(lose_odd_tokens).certain


def test_the_reference_is_as_it_was_afterwards(judged: Judged) -> None:
    before = {name: value.clone() for name, value in judged.reference.module.state_dict().items()}
    judged.diagnose(drop_mask)
    assert all(before[name].equal(value) for name, value in judged.reference.module.state_dict().items())
