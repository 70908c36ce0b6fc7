"""The encoder's torch module, given another attention mask than it would make itself.

transformers takes a mask of four dimensions as what is added to the scores, whatever the family and the exporter.
"""

from collections.abc import Callable

import numpy as np
import torch

from driftgate.arrays import FloatArray, Logits
from driftgate.backends import BackendSpec
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.weights import load_module
from driftgate.run.backend import InForce, Prepared, require_positions
from driftgate.run.device import RunSettings

Bias = Callable[[TokenBatch], FloatArray]
"""What is added to each score of a batch: float, (batch, sequence, sequence), by the token that looks and the one looked at."""

_LEAST = float(np.finfo(np.float32).min)
_WEAK = -8.0
WINDOW, WINDOWED_FROM = 64, 128


def weak_mask(batch: TokenBatch) -> FloatArray:
    """A masked token keeps a three-thousandth of its weight."""
    return _hide(batch, _WEAK)


def windows_in_long_texts(batch: TokenBatch) -> FloatArray:
    """In batches of more than `WINDOWED_FROM` tokens each token sees those near it: the branch that was not traced."""
    bias = _hide(batch, _LEAST)
    places = np.arange(bias.shape[-1])
    if len(places) > WINDOWED_FROM:
        bias[:, np.abs(places[:, None] - places) > WINDOW] = _LEAST
    return bias


def _hide(batch: TokenBatch, score: float) -> FloatArray:
    width = batch.attention_mask.shape[1]
    return np.repeat(np.where(batch.attention_mask == 0, score, 0.0)[:, None, :], width, axis=1)


class Biased:
    """The encoder in torch, float32, with `bias` in place of its own mask."""

    def __init__(self, spec: BackendSpec, encoder: Encoder, settings: RunSettings, bias: Bias) -> None:
        torch.set_num_threads(settings.threads)
        self.spec = spec
        self.in_force = InForce("cpu", "float32", settings.threads)
        self._max_tokens = encoder.max_tokens
        self._module = load_module(encoder, attention="eager")
        self._bias = bias

    def prepare(self, batch: TokenBatch) -> Prepared:
        require_positions(batch, self._max_tokens)
        bias = torch.from_numpy(self._bias(batch).astype(np.float32))[:, None]

        def run() -> Logits:
            with torch.inference_mode():
                logits = self._module(input_ids=torch.from_numpy(batch.input_ids), attention_mask=bias).logits
            return Logits(np.asarray(logits.numpy(), dtype=np.float32))

        return run
