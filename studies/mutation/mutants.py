"""Every fault that the suites must catch: what it imitates, and how it is put into a good pipeline."""

import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import changed_modules as modules
import changed_weights as weights
import wrong_answers as wrong

from driftgate.arrays import Logits
from driftgate.backends import REGISTRY, BackendSpec, Runtime
from driftgate.builder.build import build_artifact
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.run.backend import Backend
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import open_onnx

BASES = {"fp32": REGISTRY["onnx-fp32"], "int8": REGISTRY["onnx-int8-dynamic"], "rowwise": REGISTRY["onnx-int8"]}
Open = Callable[[BackendSpec, BackendSpec, Path, Encoder, Any, RunSettings], Backend]
"""(own spec, spec of the good backend, scratch folder, encoder, no artifact, settings) -> the mutated backend."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault in a backend.

    Args:
        imitates: the mistake that somebody made. `classes`: keys of `BASES`.
        why_survives: for a class, why a survivor is no hole in the suite.
        control: no fault at all; if it fails, the matrix is void.
    """

    name: str
    imitates: str
    open: Open
    classes: tuple[str, ...] = ("fp32", "int8", "rowwise")
    why_survives: dict[str, str] | None = None
    control: bool = False

    def spec(self, precision: str, scratch: Path) -> BackendSpec:
        """The backend that this mutant is, in one class."""
        base = BASES[precision]
        own = BackendSpec(f"{self.name}-{precision}", base.precision, Runtime.ONNXRUNTIME, declared=base.declared)
        return replace(own, open_with=partial(self.open, own, base, scratch))


def _good(base: BackendSpec, encoder: Encoder, settings: RunSettings) -> Backend:
    return open_onnx(encoder, base, build_artifact(encoder, base), settings)


def asked(ask: wrong.Ask | None = None, hand_on: wrong.HandOn | None = None) -> Open:
    """A good backend that is asked, or handed on, wrongly."""

    def open_with(
        own: BackendSpec, base: BackendSpec, _: Path, encoder: Encoder, __: Any, settings: RunSettings
    ) -> Backend:
        return wrong.Wrapped(own, _good(base, encoder, settings), ask, hand_on)

    return open_with


def changed(change: weights.Change) -> Open:
    """The backend built, without complaint, from an encoder whose files were changed."""

    def open_with(
        own: BackendSpec, base: BackendSpec, scratch: Path, encoder: Encoder, _: Any, settings: RunSettings
    ) -> Backend:
        folder = weights.copy_encoder(encoder.path, scratch / own.name)
        change(folder)
        return open_onnx(encoder, own, build_artifact(load_encoder(folder), base), settings)

    return open_with


def biased(bias: "modules.Bias") -> Open:
    """The encoder in torch with other attention than its own."""

    def open_with(
        own: BackendSpec, _: BackendSpec, __: Path, encoder: Encoder, ___: Any, settings: RunSettings
    ) -> Backend:
        return modules.Biased(own, encoder, settings, bias)

    return open_with


def _stale(own: BackendSpec, base: BackendSpec, _: Path, encoder: Encoder, __: Any, settings: RunSettings) -> Backend:
    return wrong.Stale(own, _good(base, encoder, settings))


def _emulated(*, saturates: bool) -> Open:
    def open_with(
        own: BackendSpec, _: BackendSpec, __: Path, encoder: Encoder, ___: Any, settings: RunSettings
    ) -> Backend:
        from saturation import EmulatedInt8

        return EmulatedInt8(own, encoder, settings, saturates=saturates)

    return open_with


_UNDER_NOISE = (
    "moves answers far less than this class of INT8 does itself. In the float32 graph that INT8 is made from, the same fault "
    "breaks float32's bounds: judge both artifacts of a release"
)
_OF_ITS_SIZE = (
    "moves answers no further than INT8 does itself, and costs no quality that the corpus could show. In float32 the same "
    "weights break nearly every bound. The manifest of a published model names its encoder's digest, which tells: see "
    "`shipped-later`"
)

MUTANTS = (
    Mutant("good", "nothing: the control", asked(), control=True),
    Mutant("emulated", "nothing: the control of the saturation", _emulated(saturates=False), ("int8",), control=True),
    Mutant("mask-dropped", "the attention mask is not fed: padding is read as text", asked(wrong.drop_mask)),
    Mutant("mask-weak", "masked scores get -8 instead of the smallest float", biased(modules.weak_mask), ("fp32",)),
    Mutant("lengths-for-mask", "a graph fused for padding behind the text, as Optimum's O2 ships it, counts the tokens of a row",
           asked(wrong.take_lengths_for_mask)),
    Mutant("holes-filled", "the mask of a row is taken for its first and last token", asked(wrong.fill_holes)),
    Mutant("windows-when-long", "a branch on the length of texts went another way when the model was traced",
           biased(modules.windows_in_long_texts), ("fp32",)),
    Mutant("padded-in-front", "texts are padded on the other side than in training", asked(wrong.pad_left)),
    Mutant("positions-shifted", "position ids off by one", changed(weights.edit_tensors(weights.shift_positions))),
    Mutant("positions-repeated", "a position table made longer by copying it: wrong late in a text only",
           changed(weights.edit_tensors(weights.repeat_early_positions))),
    Mutant("half-the-heads", "graph fusion is told a wrong number of heads", changed(weights.halve_heads)),
    Mutant("head-dead", "one attention head of a layer is not handed on", changed(weights.edit_tensors(weights.kill_head)),
           why_survives={"int8": _UNDER_NOISE}),
    Mutant("label-dead", "one label answers the same to every text", changed(weights.edit_tensors(weights.kill_label))),
    Mutant("labels-swapped", "two labels change places in a re-export", asked(hand_on=wrong.swap_two_labels)),
    Mutant("softmax", "softmax where the encoder was trained with sigmoids", asked(hand_on=wrong.softmax)),
    Mutant("sigmoid-twice", "probabilities handed on as logits", asked(hand_on=wrong.sigmoid)),
    Mutant("rows-reversed", "rows of a batch come back in another order", asked(hand_on=wrong.reverse_rows)),
    Mutant("truncated-128", "texts are cut at 128 tokens", asked(wrong.truncate)),
    Mutant("truncated-384", "texts are cut at three quarters of the limit",
           asked(partial(wrong.truncate, tokens=wrong.LATE_TOKENS))),
    Mutant("tensor-x1.01", "one weight tensor times 1.01", changed(weights.edit_tensors(weights.scale_one_tensor)),
           why_survives={"int8": _UNDER_NOISE, "rowwise": _UNDER_NOISE}),
    Mutant("layer-4-bits", "one layer's weights in 4 bits", changed(weights.edit_tensors(weights.round_one_layer_to_4_bits))),
    Mutant("layernorm-1e-3", "LayerNorm epsilon of another framework", changed(weights.set_config(layer_norm_eps=1e-3))),
    Mutant("gelu-tanh", "GELU by its tanh approximation, as O3 does", changed(weights.set_config(hidden_act="gelu_new")),
           why_survives={"int8": _UNDER_NOISE, "rowwise": _UNDER_NOISE}),
    Mutant("stale-outputs", "outputs kept in a buffer that nobody refills", _stale),
    Mutant("one-nan", "one logit of one text is NaN", asked(hand_on=wrong.put_nan_into_one_logit)),
    Mutant("other-checkpoint", "an artifact of another model of the same shape",
           changed(weights.edit_tensors(weights.draw_all_anew))),
    Mutant("later-checkpoint", "an artifact of the same model, trained a little longer",
           changed(weights.edit_tensors(weights.train_on)),
           why_survives={"int8": _OF_ITS_SIZE}),
    Mutant("saturated", "INT8 kernels of a CPU without VNNI saturate at 16 bits", _emulated(saturates=True), ("int8",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PipelineFault:
    """A fault around the backends, which reference and backend share: nothing that compares the two can see it.

    `tests` own the behaviour; they are run with the fault in place.
    """

    name: str
    imitates: str
    put: Callable[[], Any]
    tests: tuple[str, ...]


@contextmanager
def replaced(target: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """`target` replaced by `make(the original)`."""
    with mock.patch(target, make(pkgutil.resolve_name(target))):
        yield


def _forget_order(_: Any) -> Any:
    import numpy as np

    return lambda name, answers: Logits(np.concatenate([logits for _, logits in answers]))  # noqa: ARG005


def _partial_last(lengths: Any, plan: Any, batches: Any) -> bool:
    """Whether the last batch has room for one row more: whole batches are left alone, so that most counts still fit."""
    if isinstance(plan, ArrivalPlan):
        return len(batches[-1]) < plan.batch_size
    return (len(batches[-1]) + 1) * int(lengths.max()) <= plan.max_tokens


def _drop_last(plan_rows: Any) -> Any:
    def dropping(lengths: Any, plan: Any) -> Any:
        batches = plan_rows(lengths, plan)
        return batches[:-1] if len(batches) > 1 and _partial_last(lengths, plan, batches) else batches

    return dropping


def _double_last(plan_rows: Any) -> Any:
    def doubling(lengths: Any, plan: Any) -> Any:
        batches = plan_rows(lengths, plan)
        return [*batches, batches[-1]] if batches and _partial_last(lengths, plan, batches) else batches

    return doubling


def _cut(tokens: Any, limit: int) -> Any:
    return replace(tokens, input_ids=tuple(ids[:limit] for ids in tokens.input_ids))


def _leak_truncation(set_truncation_and_padding: Any) -> Any:
    def leaking(self: Any, padding: Any, truncation: Any, *others: Any, **more: Any) -> None:
        in_force = self._tokenizer.truncation
        set_truncation_and_padding(self, padding, truncation, *others, **more)
        if in_force and truncation == "do_not_truncate":
            self._tokenizer.enable_truncation(**in_force)

    return leaking


def _truncate_early(tokenize: Any) -> Any:
    return lambda encoder, texts: _cut(tokenize(encoder, texts), 128)


def _keep_file_order(_: Any) -> Any:
    import json

    def read(folder: Path, labels: tuple[str, ...]) -> tuple[float, ...] | None:  # noqa: ARG001
        path = folder / "thresholds.json"
        return tuple(json.loads(path.read_text(encoding="utf-8"))["thresholds"].values()) if path.is_file() else None

    return read


_BATCHING = ("accuracy/test_batching.py", "tests/run/test_run.py", "tests/inputs/test_batches.py")
_TOKENS = ("accuracy/test_tokenization.py",)
PIPELINE_FAULTS = (
    PipelineFault("order-not-restored", "answers stay in length-sorted order",
                  partial(replaced, "driftgate.run.backend.gather_rows", _forget_order), _BATCHING),
    PipelineFault("last-batch-dropped", "the last, partial batch is never run",
                  partial(replaced, "driftgate.inputs.batches.plan_rows", _drop_last), _BATCHING),
    PipelineFault("last-batch-doubled", "the last batch is run twice",
                  partial(replaced, "driftgate.inputs.batches.plan_rows", _double_last), _BATCHING),
    PipelineFault("truncation-leaked", "a tokenizer keeps the limit of an earlier call",
                  partial(replaced, "transformers.PreTrainedTokenizerFast.set_truncation_and_padding", _leak_truncation),
                  _TOKENS),
    PipelineFault("tokenizer-cuts-at-128", "every text is cut long before the encoder's limit",
                  partial(replaced, "driftgate.inputs.tokens.tokenize", _truncate_early), _TOKENS),
    PipelineFault("thresholds-in-file-order", "thresholds are read in the order of their file, not of the labels",
                  partial(replaced, "driftgate.inputs.encoder.read_own_thresholds", _keep_file_order),
                  ("tests/inputs/test_encoder.py",)),
)  # fmt: skip
