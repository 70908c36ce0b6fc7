"""ONNX Runtime sessions: explicit threads, no spinning, and a provider that is read back."""

from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision
from driftgate.builder.artifact import Artifact
from driftgate.errors import ArtifactError, DeviceError
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder
from driftgate.run.backend import InForce, Prepared, require_positions
from driftgate.run.device import RunSettings

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxBackend:
    """An ONNX Runtime session. Feeds are derived from the graph's own inputs."""

    def __init__(self, spec: BackendSpec, encoder: Encoder, session: Any, settings: RunSettings) -> None:
        self._spec = spec
        self._session = session
        self._settings = settings
        self._labels = len(encoder.labels)
        self._max_tokens = encoder.max_tokens
        self._inputs = tuple(entry.name for entry in session.get_inputs())
        self._output = session.get_outputs()[0].name

    @property
    def spec(self) -> BackendSpec:
        return self._spec

    @property
    def in_force(self) -> InForce:
        provider = self._session.get_providers()[0]
        on_cpu = provider == _PROVIDERS["cpu"]
        # The CPU provider has no float16 kernels for these operators: it inserts casts and computes in float32.
        arithmetic = {Precision.FP32: "float32", Precision.FP16: "float32" if on_cpu else "float16"}
        return InForce(
            provider,
            arithmetic.get(self._spec.precision, "int8"),
            self._session.get_session_options().intra_op_num_threads,
        )

    def prepare(self, batch: TokenBatch) -> Prepared:
        require_positions(batch, self._max_tokens)
        arrays = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if "token_type_ids" in self._inputs:
            types = batch.token_type_ids
            arrays["token_type_ids"] = np.zeros_like(batch.input_ids) if types is None else types
        feed = {name: arrays[name] for name in self._inputs}
        if self._settings.device.kind == "cuda":
            return self._prepare_bound(feed, batch)

        def run() -> Logits:
            return self._checked(self._session.run([self._output], feed)[0], batch)

        return run

    def _prepare_bound(self, feed: dict[str, Any], batch: TokenBatch) -> Prepared:
        """Inputs are on the device before the clock starts; outputs come back inside it."""
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array, "cuda", self._settings.device.index))
        binding.bind_output(self._output, "cuda", self._settings.device.index)

        def run() -> Logits:
            self._session.run_with_iobinding(binding)
            return self._checked(binding.copy_outputs_to_cpu()[0], batch)

        return run

    def _checked(self, logits: Any, batch: TokenBatch) -> Logits:
        if logits.shape != (len(batch.rows), self._labels):
            raise ArtifactError(
                f"backend {self._spec.name}: expected logits of shape {(len(batch.rows), self._labels)}, found {logits.shape}"
            )
        return Logits(logits.astype(np.float32, copy=False))


def open_onnx(encoder: Encoder, spec: BackendSpec, artifact: Artifact, settings: RunSettings) -> OnnxBackend:
    """Load an artifact.

    Raises:
        ArtifactError: ONNX Runtime cannot load the file.
        DeviceError: another provider was given than the one asked for.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    # Spinning threads of one session would slow whatever runs next (onnxruntime #13808).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    wanted = _PROVIDERS[settings.device.kind]
    # TF32 has float16's ten mantissa bits: a float32 backend computes in float32.
    provider_options = {"device_id": settings.device.index, "use_tf32": 0} if settings.device.kind == "cuda" else {}
    try:
        session = onnxruntime.InferenceSession(
            artifact.model, options, providers=[wanted], provider_options=[provider_options]
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ArtifactError(f"{artifact.model}: ONNX Runtime cannot load it: {error}") from error
    given = session.get_providers()[0]
    if given != wanted:
        raise DeviceError(
            f"backend {spec.name}: asked ONNX Runtime for {wanted}, it gave {given}; check the CUDA libraries"
        )
    return OnnxBackend(spec, encoder, session, settings)
