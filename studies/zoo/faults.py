"""What is put into good builds of the zoo: faults of weights, of inputs and of answers.

`SCALES` and `WRONG_ROWS` are faults that are given a size, for power curves.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import weights  # which puts the other study's folder on the path
from changed_weights import Change, draw_all_anew, edit_tensors, train_on
from scipy.special import logit
from weights import set_config
from wrong_answers import Wrapped, drop_mask

from driftgate.arrays import Logits, Probabilities
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.judge.probabilities import to_probabilities
from driftgate.run.backend import Backend

OF_WEIGHTS: Mapping[str, Change] = {
    "one matrix x 1.01": edit_tensors(weights.scale_one_matrix),
    "one layer in 4 bits": edit_tensors(weights.round_one_layer),
    "a head silent": edit_tensors(weights.silence_one_head),
    "positions shifted": edit_tensors(weights.shift_positions),
    "a later checkpoint": edit_tensors(train_on),
    "another checkpoint": edit_tensors(draw_all_anew),
    "LayerNorm epsilon 1e-3": set_config({("layer_norm_eps", "norm_eps"): 1e-3}),
    "GELU by tanh": set_config({("hidden_act", "activation", "hidden_activation"): "gelu_pytorch_tanh"}),
}
QUANTIZED = ("one layer in 4 bits", "a head silent", "positions shifted", "a later checkpoint")
"""Faults that are quantized too. The others are as plain in float32, or lost beside what INT8 does itself."""
CUT = 32
SCALES = (2.0, 3.0, 5.0)
WRONG_ROWS = (0.02, 0.03, 0.05, 0.1)
_NEVER = -20.0


def cut(tokens: TokenizedTexts) -> TokenizedTexts:
    """Texts of at most `CUT` tokens, with their own closing token."""
    return replace(
        tokens,
        input_ids=tuple(np.append(ids[: CUT - 1], ids[-1]) if len(ids) > CUT else ids for ids in tokens.input_ids),
    )


def pad_in_front(tokens: TokenizedTexts) -> TokenizedTexts:
    return replace(tokens, padding_side="left")


OF_INPUTS: Mapping[str, Callable[[TokenizedTexts], TokenizedTexts]] = {
    f"cut at {CUT} tokens": cut,
    "padded in front": pad_in_front,
}


def unmasked(good: Backend) -> Backend:
    """A backend that reads padding as text."""
    return Wrapped(good.spec, good, ask=drop_mask)


def of_answers(reference: Logits, backend: Logits, *, multi_label: bool) -> dict[str, Logits]:
    """The backend's logits with one fault each, float32, (rows, labels)."""
    logits, drift = backend.astype(np.float64), backend.astype(np.float64) - reference
    order = np.argsort(-reference.mean(axis=0), kind="stable")
    swapped, silent, lower = logits.copy(), logits.copy(), logits.copy()
    swapped[:, order[:2]] = logits[:, order[1::-1]]
    silent[:, order[0]] = _NEVER
    lower[:, order[0]] -= 0.3
    found = {
        "two labels swapped": swapped,
        "a label never given": silent,
        "a label's logits 0.3 lower": lower,
        "probabilities handed on as logits": to_probabilities(backend, multi_label=multi_label),
        **{f"drift x {scale:g}": reference + scale * drift for scale in SCALES},
        **{f"{share:.0%} of rows answered as others": _mix(logits, share) for share in (*WRONG_ROWS, 1.0)},
    }
    if multi_label:
        found["softmax for sigmoid"] = _as_logits(to_probabilities(backend, multi_label=False))
    return {name: Logits(changed.astype(np.float32)) for name, changed in found.items()}


def _mix(logits: np.ndarray, share: float) -> np.ndarray:
    """Some rows answered with the answer of another row."""
    count = round(share * len(logits))
    rows = np.random.default_rng(0).permutation(len(logits))[:count]
    mixed = logits.copy()
    mixed[rows] = logits[np.roll(rows, 1)]
    return mixed


def _as_logits(probabilities: Probabilities) -> np.ndarray:
    """Those whose sigmoid the probabilities are."""
    return logit(np.clip(probabilities, 1e-9, 1 - 1e-9))
