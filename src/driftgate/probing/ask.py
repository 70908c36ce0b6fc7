"""Ask the backend again, and the reference in every wrong way that is known.

A few dozen texts are enough: each is asked alone, beside others, padded in front, with holes in its mask, and some at the limit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np

from driftgate.arrays import BoolArray, FloatArray
from driftgate.errors import DriftgateError, NonFiniteLogitsError
from driftgate.inputs.batches import TokenBatch, pad_rows
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.judge.diagnosis.diagnose import COMPLETE_SHARE, FLOAT32_NOISE, LIKELY_SHARE, account_for, diagnose
from driftgate.judge.diagnosis.suspects import Diagnosis, Probe, Suspect
from driftgate.probing.wrong_ways import LONGEST, Ask, cut_lengths, list_ways, move_padding, with_holes
from driftgate.run.backend import Backend
from driftgate.run.torch_backend import TorchBackend

ROWS_PER_BATCH, ALONE = 8, 6
_SEPARATED = 3.0
"""How many times more texts beyond a length have to differ than the others, to try whether they are cut there."""


def make_questions(tokens: TokenizedTexts, rows: Sequence[int], max_tokens: int) -> dict[str, list[TokenBatch]]:
    """Batches of these rows by the way in which they are asked; long ones are made of their tokens."""
    together = [pad_rows(tokens, rows[start : start + ROWS_PER_BATCH]) for start in range(0, len(rows), ROWS_PER_BATCH)]
    first = together[0]
    limit = min(max_tokens, LONGEST)
    long = pad_rows(_lengthen(tokens, rows, (limit, limit * 3 // 4)), range(2))
    return {
        "alone": [pad_rows(tokens, [row]) for row in rows[:ALONE]],
        "together": together,
        "again": [first.take(range(len(first.rows))[::-1])],
        "front": [move_padding(first)],
        "holes": [with_holes(first)],
        "long": [long],
    }


def _lengthen(tokens: TokenizedTexts, rows: Sequence[int], lengths: Sequence[int]) -> TokenizedTexts:
    """One text for each length, of the tokens of the rows between their first and last."""
    body = np.concatenate([tokens.input_ids[row][1:-1] for row in rows])
    first, last = tokens.input_ids[rows[0]][:1], tokens.input_ids[rows[0]][-1:]
    # Each begins elsewhere, so that texts of one length are different texts.
    ids = [
        np.concatenate([first, np.resize(np.roll(body, -97 * at), length - 2), last])
        for at, length in enumerate(lengths)
    ]
    types = None if tokens.token_type_ids is None else tuple(np.zeros_like(one) for one in ids)
    return replace(tokens, input_ids=tuple(ids), token_type_ids=types, truncated=(False,) * len(ids))


@contextmanager
def _positions(module: Any, change: Callable[[Any], Any]) -> Iterator[bool]:
    """The table of positions changed while the block runs; False where the module has none."""
    import torch

    named = (part for name, part in module.named_modules() if name.endswith(("position_embeddings", "wpe")))
    table = next((part for part in named if isinstance(part, torch.nn.Embedding)), None)
    if table is None:
        yield False
        return
    kept = table.weight.detach().clone()
    try:
        with torch.no_grad():
            table.weight.copy_(change(kept))
        yield True
    finally:
        with torch.no_grad():
            table.weight.copy_(kept)


def _repeat_half(table: Any) -> Any:
    half, found = len(table) // 2, table.clone()
    found[-half:] = table[:half]
    return found


def find_suspects(
    reference: TorchBackend, encoder: Encoder, batches: Sequence[TokenBatch], probe: Probe
) -> Iterator[Suspect]:
    """What the reference answers in every wrong way, logits, float64, (rows, labels).

    Args:
        probe: the right answers to the batches, and the backend's.
    """
    right = probe.reference
    widths = np.concatenate([batch.attention_mask.sum(axis=1) for batch in batches])
    differs = np.abs(probe.backend - right).mean(axis=1)
    lengths = [length for length in cut_lengths(encoder.max_tokens) if _separates(widths > length, differs)]
    for cause, sentence, ask_wrongly in list_ways(encoder, lengths):
        found = _imitate(partial(_answer_changed, reference, ask_wrongly), batches, probe)
        if found is not None:
            yield Suspect(cause, sentence, found)
    for cause, sentence, change in _position_faults():
        with _positions(reference.module, change) as there:
            found = _imitate(lambda batch: answer(reference, [batch]), batches, probe) if there else None
        if found is not None:
            yield Suspect(cause, sentence, found)


def _answer_changed(reference: TorchBackend, ask_wrongly: Ask, batch: TokenBatch) -> FloatArray | None:
    changed = ask_wrongly(batch)
    return None if _alike(changed, batch) else answer(reference, [changed])


def _imitate(
    ask: Callable[[TokenBatch], FloatArray | None], batches: Sequence[TokenBatch], probe: Probe
) -> FloatArray | None:
    """A suspect's answers to all batches; None as soon as it cannot become likely, whatever it answers to the others.

    What it can account for at most is the projection of the differences on its answers so far, and all of the others. The batches
    that differ most for their size come first.

    Args:
        ask: returns None where the suspect asks as the reference is asked.
    """
    moved = probe.centred(probe.backend) - probe.centred(probe.reference)
    ends = np.cumsum([len(batch.rows) for batch in batches])
    places = [slice(end - len(batch.rows), end) for batch, end in zip(batches, ends, strict=True)]
    energies = [float((moved[place] ** 2).sum()) for place in places]
    answers, product, own, left = probe.reference.copy(), 0.0, 0.0, sum(energies)
    least = LIKELY_SHARE * left
    for at in sorted(range(len(batches)), key=lambda at: -energies[at] / batches[at].padded_tokens):
        place = places[at]
        found = ask(batches[at])
        if found is not None:
            answers[place] = found
        imitated = probe.centred(answers[place]) - probe.centred(probe.reference[place])
        product, own = product + float((imitated * moved[place]).sum()), own + float((imitated**2).sum())
        left -= energies[at]
        if left + (product**2 / own if own else 0.0) < least:
            return None
    return answers


def _position_faults() -> Iterator[tuple[str, str, Callable[[Any], Any]]]:
    """Cause, sentence and what becomes of the table of positions."""
    for step in (1, -1, 2, -2):
        sentence = f"positions are shifted by {step}: every token takes the position of another"
        yield "positions-shifted", sentence, methodcaller("roll", step, 0)
    yield "positions-repeated", "the second half of the position table is the first again", _repeat_half


def _alike(one: TokenBatch, other: TokenBatch) -> bool:
    return one is other or all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("input_ids", "attention_mask", "token_type_ids")
    )


def answer(backend: Backend, batches: Sequence[TokenBatch]) -> FloatArray:
    """Logits of all batches, one under the other, float64, (rows, labels).

    Raises:
        NonFiniteLogitsError: NaN or infinity.
    """
    found = np.concatenate([backend.prepare(batch)() for batch in batches]).astype(np.float64)
    if not np.isfinite(found).all():
        raise NonFiniteLogitsError(f"backend {backend.spec.name}: NaN or infinite logits in {len(batches)} batches")
    return found


def find_cause(
    encoder: Encoder,
    reference: TorchBackend,
    backend: Backend,
    tokens: TokenizedTexts,
    rows: Sequence[int],
    *,
    multi_label: bool,
) -> Diagnosis:
    """The likely cause of what differs on these rows.

    The reference is asked in wrong ways only where its right answers do not explain the difference, until one explains all of it.
    Ways of asking that the backend refuses are left out.

    Raises:
        NonFiniteLogitsError: the backend answers NaN or infinity.
    """
    questions = make_questions(tokens, rows, encoder.max_tokens)
    found = _ask_backend(backend, questions)
    asked = [batch for group in found for batch in questions[group]]
    names = np.repeat(list(found), [len(logits) for logits in found.values()])
    ends = np.cumsum([len(batch.rows) for batch in asked])
    probe = Probe(
        encoder.labels,
        multi_label,
        answer(reference, asked),
        np.concatenate(list(found.values())),
        {group: names == group for group in found},
        [np.arange(end - len(batch.rows), end) for end, batch in zip(ends, asked, strict=True)],
    )
    first = diagnose(probe)
    if first.cause == FLOAT32_NOISE or (first.certain and first.explained >= COMPLETE_SHARE):
        return first
    suspects = []
    for suspect in find_suspects(reference, encoder, asked, probe):
        suspects.append(suspect)
        if account_for(probe, suspect) >= COMPLETE_SHARE:
            break
    return diagnose(replace(probe, suspects=tuple(suspects)))


def _ask_backend(backend: Backend, questions: Mapping[str, Sequence[TokenBatch]]) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    for group, batches in questions.items():
        try:
            found[group] = answer(backend, batches)
        except NonFiniteLogitsError:
            raise
        except DriftgateError:
            continue
    return found


def _separates(longer: BoolArray, differs: FloatArray) -> bool:
    """Whether longer texts differ much more than the others do; differences, float64, (rows,)."""
    if longer.all() or not longer.any():
        return False
    return bool(differs[longer].mean() > _SEPARATED * differs[~longer].mean())
