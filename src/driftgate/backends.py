"""The table of backends: what each is called, its precision class, how it is built and what runs it.

Adding one here (or through the `pytest_driftgate_backends` hook) makes every suite, option and table know it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from driftgate.errors import OptionError


class Precision(StrEnum):
    """Class of arithmetic. Bounds are set by class, not by backend."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8_DYNAMIC = "int8-dynamic"
    INT8_STATIC = "int8-static"
    INT8_ROWWISE = "int8-rowwise"
    """Activations scaled token by token: answers do not depend on the other texts of the batch."""
    INT4_BLOCKWISE = "int4-blockwise"
    """Weights stored as 4-bit integers, with a scale (and perhaps a zero point) for each block of 16 to 256 of them
    (ONNX Runtime's `MatMulNBits`); activations in float32 or float16. What transformers.js calls q4 and q4f16."""
    FLOAT4_BLOCKWISE = "float4-blockwise"
    """Weights stored as 4-bit floats of bitsandbytes, NF4 or FP4, with a scale for each block (ONNX Runtime's
    `MatMulBnb4`); activations in float32 or float16. What transformers.js calls bnb4."""
    CHECKPOINT = "checkpoint"
    """Other weights, in float32: probabilities may move, quality must not fall."""
    FROM_GRAPH = "from-graph"
    """A published artifact that nobody has looked into yet."""


_NAME = re.compile("[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

DEFAULT_OPSET = 18
"""The version of ONNX's operators that files are written in."""

PRECISION_CLASSES = tuple(precision for precision in Precision if precision is not Precision.FROM_GRAPH)


def class_keys(precision: Precision, device: str) -> tuple[str, str]:
    """Where bounds of a class are looked up, first match first: the class on this kind of device, the class."""
    return f"{precision}-{device}", str(precision)


SINGLE_LABEL = "-single-label"
"""After the name of a class or backend: bounds for encoders whose texts have one label each, before those for all."""


def keys_for_head(keys: tuple[str, ...], *, multi_label: bool) -> tuple[str, ...]:
    """Where bounds are looked up, first match first, for an encoder with this kind of head."""
    return keys if multi_label else tuple(found for key in keys for found in (key + SINGLE_LABEL, key))


CLASS_KEYS = frozenset(
    key
    for precision in Precision
    for device in ("cpu", "cuda")
    for key in keys_for_head(class_keys(precision, device), multi_label=False)
)
"""No backend is called like one of them: its name would give it the bounds of that class."""


class Invariance(StrEnum):
    """A change around a row that should not change its answer."""

    REPEAT = "repeat"
    """The same batch again, in this session or a fresh one."""
    ORDER = "order"
    """The rows of a batch in another order."""
    DUPLICATES = "duplicates"
    """Equal rows of one batch answer equally."""
    COMPOSITION = "composition"
    """Alone, with other rows in the batch, or under another batch plan."""
    PADDING = "padding"
    """More padding after the text."""
    PADDING_SIDE = "padding-side"
    """Padding in front of the text, where the family counts positions without it."""
    MASKED_CONTENT = "masked-content"
    """Other token ids where the attention mask is 0."""


class Guarantee(StrEnum):
    """What a backend declares about an invariance; the accuracy suite holds it to that."""

    EXACT = "exact"
    """The logits are the same bits."""
    BOUNDED = "bounded"
    """They differ by no more than the bound of the precision class."""
    REFUSED = "refused"
    """The backend raises an error where it would be needed."""


class Runtime(StrEnum):
    """What executes the model."""

    TORCH = "torch"
    TORCH_COMPILE = "torch-compile"
    ONNXRUNTIME = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Step:
    """One build step of a backend that someone else registers.

    `apply(source, target)` reads the ONNX file `source`, never changes it, and writes the ONNX file `target`; a mapping that
    it returns goes into the manifest's notes. `version` is part of the cache key, and so is a digest of the file that `apply`
    is in: change `version` whenever `apply` would write something else for any other reason. `calibrated` says that `apply`
    takes a third argument, the `Calibration` to watch the graph on; `infers_shapes` that it takes `shape_inference=`, a bool;
    `tunable` that it takes `recipe=`, forms by module path. `least_opset`: the first one that it works in.
    """

    name: str
    version: str
    apply: Callable[..., Any]
    calibrated: bool = False
    infers_shapes: bool = False
    tunable: bool = False
    least_opset: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise OptionError(
                f"build step name {self.name!r}: expected lower-case letters, digits, dots and hyphens, such as 'my-pass'"
            )


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A way to run the encoder.

    Args:
        name: lower-case, hyphenated; part of test ids, hence of the history of benchmarks.
        precision: the class its bounds are looked up by.
        runtime: what executes it. With `open_with`, only a label.
        steps: build steps, each reading the previous step's file; empty where nothing is built.
        cuda_steps: the same for a CUDA device, where they differ.
        published: an ONNX file or folder made elsewhere, used as it is.
        open_with: `(encoder, artifact or None, settings) -> Backend` for a runtime that driftgate does not know.
        calibration: the `Corpus` that calibrated steps watch the graph on; None for the embedded throughput corpus.
        recipe: the `Recipe` that the tunable one of the steps follows; None for none.
        opset: of the files that are built. `shape_inference`: False for build steps to do without it where they can.
        declared: guarantees other than the usual: `REPEAT` exact, every other invariance bounded.
    """

    name: str
    precision: Precision
    runtime: Runtime
    steps: tuple[str | Step, ...] = ()
    cuda_steps: tuple[str | Step, ...] = ()
    published: Path | None = None
    open_with: Callable[..., Any] | None = None
    calibration: Any = field(default=None, hash=False)
    recipe: Any = field(default=None, hash=False)
    opset: int = DEFAULT_OPSET
    shape_inference: bool = True
    declared: Mapping[Invariance, Guarantee] = field(default_factory=dict, hash=False)

    def guarantee(self, invariance: Invariance) -> Guarantee:
        """What this backend promises about `invariance`."""
        usual = Guarantee.EXACT if invariance is Invariance.REPEAT else Guarantee.BOUNDED
        return self.declared.get(invariance, usual)

    def built_for(self, device: str) -> "BackendSpec":
        """As it is built for a kind of device, "cpu" or "cuda"."""
        return replace(self, steps=self.cuda_steps) if device == "cuda" and self.cuda_steps else self

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise OptionError(
                f"backend name {self.name!r}: expected lower-case letters, digits, dots and hyphens, none of the last two at "
                "either end, such as 'onnx-fp32'"
            )
        if self.name in CLASS_KEYS or self.name.endswith(SINGLE_LABEL):
            raise OptionError(
                f"backend name {self.name!r}: it is reserved for the bounds of a precision class or of a kind of head; choose "
                f"another, such as 'my-{self.name}'"
            )


_O1 = ("export", "optimize-basic")

REGISTRY: Mapping[str, BackendSpec] = {
    spec.name: spec
    for spec in (
        BackendSpec("torch", Precision.FP32, Runtime.TORCH),
        BackendSpec("torch-compile", Precision.FP32, Runtime.TORCH_COMPILE),
        BackendSpec("onnx-fp32", Precision.FP32, Runtime.ONNXRUNTIME, _O1),
        BackendSpec(
            "onnx-fp16",
            Precision.FP16,
            Runtime.ONNXRUNTIME,
            (*_O1, "float16"),
            cuda_steps=(*_O1, "fuse-layers", "float16"),
        ),
        BackendSpec(
            "onnx-int8",
            Precision.INT8_ROWWISE,
            Runtime.ONNXRUNTIME,
            (*_O1, "int8-rowwise"),
            declared=dict.fromkeys(
                (
                    Invariance.ORDER,
                    Invariance.DUPLICATES,
                    Invariance.COMPOSITION,
                    Invariance.PADDING,
                    Invariance.MASKED_CONTENT,
                ),
                Guarantee.EXACT,
            ),
        ),
        BackendSpec("onnx-int8-dynamic", Precision.INT8_DYNAMIC, Runtime.ONNXRUNTIME, (*_O1, "int8-dynamic")),
        BackendSpec(
            "onnx-int8-dynamic-per-tensor",
            Precision.INT8_DYNAMIC,
            Runtime.ONNXRUNTIME,
            (*_O1, "int8-dynamic-per-tensor"),
        ),
        BackendSpec("onnx-int8-static", Precision.INT8_STATIC, Runtime.ONNXRUNTIME, (*_O1, "int8-static")),
        # As Optimum's users get them, for comparison: from the export as it is.
        BackendSpec(
            "onnx-int8-optimum-avx512-vnni",
            Precision.INT8_DYNAMIC,
            Runtime.ONNXRUNTIME,
            ("export", "int8-optimum-avx512-vnni"),
        ),
        BackendSpec(
            "onnx-int8-optimum-avx2", Precision.INT8_DYNAMIC, Runtime.ONNXRUNTIME, ("export", "int8-optimum-avx2")
        ),
    )
}

REFERENCE = "reference"
"""What results call the answers that backends are compared with."""

DEFAULT_BACKENDS = ("torch", "torch-compile", "onnx-fp32", "onnx-fp16", "onnx-int8")
