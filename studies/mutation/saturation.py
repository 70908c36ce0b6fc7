"""ONNX Runtime's dynamic INT8, emulated in torch, with and without the saturation of processors that lack VNNI.

There, a product of unsigned activations and signed weights is summed over neighbouring pairs in 16 bits (`vpmaddubsw`):
255 * 127 * 2 does not fit, and what does not fit saturates. VNNI sums four products in 32 bits.
"""

from typing import Any

import numpy as np
import torch

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.weights import load_module
from driftgate.run.backend import InForce, Prepared, require_positions
from driftgate.run.device import RunSettings

LARGEST_INT16 = 32767
EXACT_TERMS = 512
"""So many products of 255 * 127 stay below 2^24: float32 sums them exactly, and several times as fast as float64."""


class Int8Linear(torch.nn.Module):
    """A linear layer as `MatMulInteger` computes it: weights int8 with a scale for each output, inputs uint8 with one
    scale and zero point for the whole batch (DynamicQuantizeLinear).
    """

    def __init__(self, linear: torch.nn.Linear, *, saturates: bool) -> None:
        super().__init__()
        weight = linear.weight.detach()  # float32, (outputs, inputs); rounded in float32, as ONNX Runtime does
        scale = weight.abs().amax(dim=1) * 2 / 254
        self.scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        self.weight = torch.round(weight / self.scale[:, None]).clamp(-127, 127)
        self.bias = linear.bias.detach() if linear.bias is not None else None
        self.pairs = self._find_pairs() if saturates else None

    def _find_pairs(self) -> torch.Tensor:
        """The (output, pair) places where some input can saturate: int64, (2, places). Few: their weights must add up."""
        pairs = self.weight.reshape(len(self.weight), -1, 2)
        largest = torch.maximum(pairs.clamp(min=0).sum(dim=2), (-pairs).clamp(min=0).sum(dim=2))
        return torch.stack(torch.nonzero(largest * 255 > LARGEST_INT16, as_tuple=True))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        low, high = inputs.min().clamp(max=0), inputs.max().clamp(min=0)
        scale = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
        zero = torch.round(-low / scale).clamp(0, 255)
        quantized = (torch.round(inputs / scale) + zero).clamp(0, 255)
        parts = zip((quantized - zero).split(EXACT_TERMS, dim=-1), self.weight.split(EXACT_TERMS, dim=-1), strict=True)
        sums = torch.stack([part @ weight.T for part, weight in parts]).double().sum(dim=0)
        if self.pairs is not None:
            sums += self._lost(quantized)
        outputs = sums.float() * (scale * self.scale)
        return outputs if self.bias is None else outputs + self.bias

    def _lost(self, quantized: torch.Tensor) -> torch.Tensor:
        """What saturation takes from each sum. The zero point is subtracted after summing, so it plays no part here."""
        if self.pairs is None:
            raise ValueError("this layer does not saturate")
        output, pair = self.pairs
        by_input = quantized.reshape(-1, quantized.shape[-1]).T.contiguous()  # (inputs, tokens): places become rows
        # No place saturates whose two inputs are nowhere large enough in this batch: most of them.
        peaks = by_input.amax(dim=1).reshape(-1, 2)[pair]
        weights = self.weight.reshape(len(self.weight), -1, 2)[output, pair]
        reach = torch.maximum((weights.clamp(min=0) * peaks).sum(dim=1), ((-weights).clamp(min=0) * peaks).sum(dim=1))
        output, pair, weights = (part[reach > LARGEST_INT16] for part in (output, pair, weights))
        products = by_input[2 * pair] * weights[:, :1] + by_input[2 * pair + 1] * weights[:, 1:]
        lost = products.clamp(-LARGEST_INT16 - 1, LARGEST_INT16) - products
        total = torch.zeros(len(self.weight), by_input.shape[1]).index_add_(0, output, lost)
        return total.T.reshape(*quantized.shape[:-1], len(self.weight))


class EmulatedInt8:
    """The encoder with every linear layer and embedding table in INT8."""

    def __init__(self, spec: BackendSpec, encoder: Encoder, settings: RunSettings, *, saturates: bool) -> None:
        torch.set_num_threads(settings.threads)
        self.spec = spec
        self.in_force = InForce("cpu", "int8", settings.threads)
        self._max_tokens = encoder.max_tokens
        self._module = load_module(encoder, attention="eager")
        _quantize(self._module, saturates=saturates)

    def prepare(self, batch: TokenBatch) -> Prepared:
        require_positions(batch, self._max_tokens)
        ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)

        def run() -> Logits:
            with torch.inference_mode():
                logits = self._module(input_ids=ids, attention_mask=mask).logits
            return Logits(np.asarray(logits.numpy(), dtype=np.float32))

        return run


def _quantize(module: Any, *, saturates: bool) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, Int8Linear(child, saturates=saturates))
        elif isinstance(child, torch.nn.Embedding):
            child.weight.data = _through_uint8(child.weight.data)
        else:
            _quantize(child, saturates=saturates)


def _through_uint8(table: torch.Tensor) -> torch.Tensor:
    low, high = table.min().clamp(max=0), table.max().clamp(min=0)
    scale = (high - low) / 255
    if scale == 0:
        return table
    zero = torch.round(-low / scale)
    return ((torch.round(table / scale) + zero).clamp(0, 255) - zero) * scale
