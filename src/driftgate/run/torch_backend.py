"""torch eager and torch.compile, and the reference that every backend is compared with."""

import inspect
import os
import warnings
from typing import Any

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.backends import REFERENCE, BackendSpec, Precision, Runtime
from driftgate.edges.cache_folder import cache_folder
from driftgate.errors import BackendUnavailableError
from driftgate.inputs.batches import BatchPlan, TokenBatch, make_batches, pad_rows
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.inputs.weights import load_module
from driftgate.run.backend import InForce, Prepared, require_positions
from driftgate.run.device import Device, RunSettings

_WARM_UP_TEXTS = ("a short text", "another text, a little longer than the first one")

_REFERENCE = BackendSpec(REFERENCE, Precision.FP32, Runtime.TORCH)


class TorchBackend:
    """A torch module in float32, compiled if asked to. Feeds are derived from the module's own inputs."""

    def __init__(
        self, spec: BackendSpec, encoder: Encoder, module: Any, settings: RunSettings, *, compiled: bool = False
    ) -> None:
        import torch

        torch.set_num_threads(settings.threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        self._inputs = frozenset(inspect.signature(module.forward).parameters)
        self.module = torch.compile(module, dynamic=True, fullgraph=True) if compiled else module
        self._device = torch.device(str(settings.device))
        self.spec = spec
        self._max_tokens = encoder.max_tokens

    @property
    def in_force(self) -> InForce:
        import torch

        parameter = next(self.module.parameters())
        return InForce(str(parameter.device), str(parameter.dtype).removeprefix("torch."), torch.get_num_threads())

    def feed(self, batch: TokenBatch) -> dict[str, Any]:
        """A tensor on the device for each of the module's inputs that the batch has, int64, (batch, sequence), by name."""
        import torch

        return {
            name: torch.from_numpy(array).to(self._device)
            for name, array in batch.arrays.items()
            if name in self._inputs  # DistilBERT takes no segments, whatever its tokenizer gives
        }

    def prepare(self, batch: TokenBatch) -> Prepared:
        import torch

        require_positions(batch, self._max_tokens)
        feed = self.feed(batch)

        def run() -> Logits:
            with torch.inference_mode():
                logits = self.module(**feed).logits
            return Logits(np.asarray(logits.float().cpu().numpy(), dtype=np.float32))

        return run


def open_reference(encoder: Encoder, settings: RunSettings) -> TorchBackend:
    """The reference: torch eager, float32, CPU, eager attention. Never an export."""
    return TorchBackend(
        _REFERENCE, encoder, load_module(encoder, attention="eager"), RunSettings(settings.threads, Device())
    )


def predict_exact(encoder: Encoder, tokens: TokenizedTexts, plan: BatchPlan) -> FloatArray:
    """The reference in float64, which tells whose rounding a difference is: float64, (rows, labels)."""
    import torch

    # Eager attention of some families takes its softmax in float32, where masks made for float64 are infinite.
    module = load_module(encoder, attention=None).double()
    inputs = frozenset(inspect.signature(module.forward).parameters)
    logits = np.empty((len(tokens), len(encoder.labels)))
    with torch.inference_mode():
        for batch in make_batches(tokens, plan):
            feed = {name: torch.from_numpy(array) for name, array in batch.arrays.items() if name in inputs}
            logits[list(batch.rows)] = module(**feed).logits.numpy()
    return logits


def open_torch(encoder: Encoder, spec: BackendSpec, settings: RunSettings) -> TorchBackend:
    """torch eager with transformers' default attention."""
    module = load_module(encoder, attention=None).to(str(settings.device))
    return TorchBackend(spec, encoder, module, settings)


def open_torch_compile(encoder: Encoder, spec: BackendSpec, settings: RunSettings) -> TorchBackend:
    """torch.compile with dynamic shapes, compiled before it is returned.

    One graph and no fall back: `fullgraph` makes a graph break or too many recompilations an error.

    Raises:
        BackendUnavailableError: no C++ compiler for the CPU.
    """
    # Compiled kernels are kept where artifacts are, so that a second run need not compile again.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
    _require_compiler(settings.device)
    module = load_module(encoder, attention=None).to(str(settings.device))
    backend = TorchBackend(spec, encoder, module, settings, compiled=True)
    from torch._dynamo import config

    # No float is an input of these graphs. To find that out, torch traces each of them twice unless it is told.
    with config.patch(specialize_float=True), warnings.catch_warnings():
        # The compiler deprecates parts of itself (torch 2.13); users who turn warnings into errors cannot fix that.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        # Tokenized, hence with token types where the encoder has them: without, the first real batch would compile again.
        tokens = tokenize(encoder, _WARM_UP_TEXTS)
        for rows in ((0, 1), (0,)):  # one row is a graph of its own
            backend.prepare(pad_rows(tokens, rows))()
    return backend


def _require_compiler(device: Device) -> None:
    if device.kind != "cpu":
        return
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise BackendUnavailableError(
            "torch.compile needs a C++ compiler for the CPU and found none; install g++ (or set CXX)"
        ) from error
