"""ONNX Runtime sessions: explicit threads, no spinning between calls, and a provider that is read back."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision
from driftgate.builder.artifact import Artifact
from driftgate.builder.calibration_texts import full_feed
from driftgate.builder.runtime_errors import explain
from driftgate.errors import ArtifactError, DeviceError
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder
from driftgate.onnx_graph.graph_precision import read_block_products
from driftgate.run.backend import InForce, Prepared, require_positions
from driftgate.run.device import Device, RunSettings

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True, slots=True, eq=False)
class BoundRun:
    """One batch whose inputs and output lie in fixed memory where the model runs. Calling it runs the model and nothing else.

    Args:
        session, binding: ONNX Runtime's. `model`: the file, for messages.
        feed: the arrays of the bound inputs, which the binding alone would not keep alive.
        output: the `OrtValue` that every call writes its logits into.
    """

    model: Path
    session: Any
    binding: Any
    feed: dict[str, Any]
    output: Any

    def __call__(self) -> None:
        try:
            self.session.run_with_iobinding(self.binding)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise explain(error, self.model, "run") from error

    def logits(self) -> Logits:
        """What the last call answered, float32, (batch, labels)."""
        return Logits(self.output.numpy().astype(np.float32))


class OnnxBackend:
    """An ONNX Runtime session. Feeds are derived from the graph's own inputs."""

    def __init__(
        self, spec: BackendSpec, encoder: Encoder, model: Path, session: Any, settings: RunSettings, arithmetic: str
    ) -> None:
        self.spec = spec
        self._model = model
        self._arithmetic = arithmetic
        self._session = session
        self._settings = settings
        self._labels = len(encoder.labels)
        self._max_tokens = encoder.max_tokens
        self._inputs = tuple(entry.name for entry in session.get_inputs())
        unknown = [name for name in self._inputs if name not in _INPUTS]
        if unknown:
            raise ArtifactError(
                f"{model}: expected a graph that takes {', '.join(_INPUTS[:2])} and perhaps {_INPUTS[2]}, found one that also "
                f"takes {', '.join(unknown)}; export it without"
            )
        self._output = session.get_outputs()[0].name
        self._output_type = _OUTPUT_TYPES.get(session.get_outputs()[0].type, np.float32)

    @property
    def in_force(self) -> InForce:
        threads = self._session.get_session_options().intra_op_num_threads
        return InForce(self._session.get_providers()[0], self._arithmetic, threads)

    @property
    def providers(self) -> tuple[str, ...]:
        """The session's execution providers, the preferred one first."""
        return tuple(self._session.get_providers())

    def feed(self, batch: TokenBatch) -> dict[str, Any]:
        """An array for each of the graph's inputs, int64, (batch, sequence), by name."""
        arrays = full_feed(batch)
        return {name: arrays[name] for name in self._inputs}

    def bind(self, batch: TokenBatch) -> BoundRun:
        """IO binding: everything but the model's own work is done once, before the first call.

        Raises:
            SequenceTooLongError: the batch is wider than the encoder has positions.
        """
        from onnxruntime import OrtValue

        require_positions(batch, self._max_tokens)
        feed = self.feed(batch)
        shape = (len(batch.rows), self._labels)
        where = (self._settings.device.kind, self._settings.device.index)
        output = OrtValue.ortvalue_from_shape_and_type(shape, self._output_type, *where)
        binding = self._bind_inputs(feed)
        binding.bind_ortvalue_output(self._output, output)
        return BoundRun(self._model, self._session, binding, feed, output)

    def prepare(self, batch: TokenBatch) -> Prepared:
        require_positions(batch, self._max_tokens)
        feed = self.feed(batch)
        expected = (len(batch.rows), self._labels)
        ask = partial(self._session.run, [self._output], feed)
        if self._settings.device.kind == "cuda":
            # Inputs are on the device before the clock starts; outputs come back inside it.
            binding = self._bind_inputs(feed)
            binding.bind_output(self._output, "cuda", self._settings.device.index)
            ask = partial(self._run_bound, binding)

        def run() -> Logits:
            try:
                (logits,) = ask()
            except Exception as error:
                raise explain(error, self._model, "run") from error
            if logits.shape != expected:
                raise ArtifactError(
                    f"backend {self.spec.name}: expected logits of shape {expected}, found {logits.shape}"
                )
            return Logits(logits.astype(np.float32, copy=False))

        return run

    def _run_bound(self, binding: Any) -> Any:
        self._session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    def _bind_inputs(self, feed: dict[str, Any]) -> Any:
        """A binding whose inputs are on the device already."""
        from onnxruntime import OrtValue

        device = self._settings.device
        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array, device.kind, device.index))
        return binding


def open_onnx(encoder: Encoder, spec: BackendSpec, artifact: Artifact, settings: RunSettings) -> OnnxBackend:
    """Load an artifact.

    Raises:
        ArtifactError, DeviceError: see `open_session`.
    """
    session = open_session(artifact.model, settings, f"backend {spec.name}")
    arithmetic = find_arithmetic(artifact, settings.device)
    return OnnxBackend(spec, encoder, artifact.model, session, settings, arithmetic)


def find_arithmetic(artifact: Artifact, device: Device) -> str:
    """The type in which ONNX Runtime computes the products of an artifact on a device: "float32", "float16" or "int8"."""
    on_cpu = device.kind == "cpu"
    # The CPU provider has no float16 kernels for these operators: it inserts casts and computes in float32.
    half = "float32" if on_cpu else "float16"
    if artifact.precision.endswith("-blockwise"):
        products = read_block_products(artifact.model)
        if on_cpu and products.in_integers:
            return "int8"
        return half if products.in_float16 else "float32"
    return {Precision.FP32: "float32", Precision.FP16: half}.get(artifact.precision, "int8")


def open_session(model: Path, settings: RunSettings, asker: str, *, profile: Path | None = None) -> Any:
    """Load any ONNX file.

    Args:
        asker: who asks, for messages.
        profile: how the name of a file begins into which ONNX Runtime writes what every node reads and writes, until
            `end_profiling`. Weights are not packed for the processor then: the graph and its nodes stay the same, but a packed
            weight is no input any more, and would not be told.

    Raises:
        ArtifactError: ONNX Runtime cannot load the file.
        DeviceError: another provider was given than the one asked for.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    # Threads that spin on when a call is over would slow whatever runs next (onnxruntime #13808).
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spins)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if settings.cores[1:]:  # counted from 1 here
        affinities = ";".join(str(core + 1) for core in settings.cores[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", affinities)
    options.log_severity_level = 4  # what is an error is raised; it need not be printed too
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
        options.add_session_config_entry("session.disable_prepacking", "1")
    wanted = _PROVIDERS[settings.device.kind]
    # TF32 has float16's ten mantissa bits: a float32 backend computes in float32.
    provider_options = {"device_id": settings.device.index, "use_tf32": 0} if settings.device.kind == "cuda" else {}
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[wanted], provider_options=[provider_options])
    except Exception as error:
        raise explain(error, model, "load") from error
    given = session.get_providers()[0]
    if given != wanted:
        raise DeviceError(f"{asker}: expected ONNX Runtime to use {wanted}, found {given}; check the CUDA libraries")
    return session
