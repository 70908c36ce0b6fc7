"""Export the torch module to ONNX. The only place that knows which exporter is used."""

import contextlib
import inspect
import logging
import os
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.backends import DEFAULT_OPSET
from driftgate.builder.trace import leave_whole, load_for_export
from driftgate.errors import BuildError
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import tokenize
from driftgate.inputs.weights import load_module
from driftgate.onnx_graph.functions import define_functions
from driftgate.onnx_graph.graph import save_model
from driftgate.onnx_graph.node_names import name_nodes, narrow_masks

VERSION = "torch-dynamo-1"
"""Which exporter this is, and which use of it: part of the cache key and of manifests."""

OPSETS = range(17, 23)
"""Below 17 ONNX has no LayerNormalization. At 23 torch writes rotary embeddings as an operator of ONNX's whose tables ONNX
Runtime does not broadcast over a batch. ONNX Runtime 1.17 reads what has no opset above 20."""

_EXAMPLE = ("a short text", "another text, a little longer than the first one")
"""Two rows, one of them padded, neither of one token: torch would take what is 1 in an example for a constant."""


def export_onnx(encoder: Encoder, target: Path, *, opset: int = DEFAULT_OPSET) -> None:
    """Write the float32 graph of `encoder` to `target`, with dynamic batch and sequence axes.

    Each layer's attention is one node, named after the module that it is of; see `functions`. Validation against torch is the
    accuracy suite's work, on real texts, not the exporter's.

    Raises:
        BuildError: torch cannot export the architecture.
    """
    import torch
    from onnx import helper

    module = load_for_export(encoder)
    feed = _example(encoder, module)
    # MobileBERT's code tells a text of two tokens apart; torch wants to know that none is traced, the graph does not care.
    sequence = torch.export.Dim("sequence_length", min=3, max=encoder.max_tokens)
    axes = {0: torch.export.Dim("batch_size"), 1: sequence}
    with _quiet():
        try:
            with torch.inference_mode(), leave_whole():
                traced = torch.export.export(module, (), feed, dynamic_shapes=dict.fromkeys(feed, axes), strict=False)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=list(feed),
                output_names=["logits"],
                opset_version=opset,
                verbose=False,
            )
        except Exception as error:  # of torch.export, of the exporter, and of whatever the module's own code raises
            raise BuildError(_describe_failure(encoder, opset, error, module)) from error
    model = program.model_proto
    name_nodes(model)
    narrow_masks(model.graph)
    define_functions(model, opset)
    if opset < 18:  # noqa: PLR2004 - what the exporter writes first
        _drop_split_counts(model)
    model.ir_version = helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    save_model(model, target)


def _drop_split_counts(model: Any) -> None:
    """torch leaves them where it converts to an opset that has none; Split makes equal parts there, one for each output."""
    for node in model.graph.node:
        if node.op_type == "Split":
            kept = [attribute for attribute in node.attribute if attribute.name != "num_outputs"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _example(encoder: Encoder, module: Any) -> dict[str, Any]:
    """A batch as tensors, by the name of the input; with segments where the module tells any apart."""
    import torch

    batch = pad_rows(tokenize(encoder, _EXAMPLE), (0, 1))
    feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if "token_type_ids" in inspect.signature(module.forward).parameters and module.config.type_vocab_size > 1:
        feed["token_type_ids"] = np.zeros_like(batch.input_ids)
    return {name: torch.from_numpy(array) for name, array in feed.items()}


def export_repeating(encoder: Encoder, target: Path, *, opset: int = DEFAULT_OPSET) -> None:
    """Write the graph to `target` as a straight export does that does not look for equal weights.

    torch folds the transposition of a weight again wherever the weight is used, and merges equal results only where
    initializers are not inputs. So did every torch before 1.10 or so, and ALBERT's file had its layers twelve times.

    Raises:
        BuildError: the exporter failed.
    """
    import torch

    module = load_module(encoder, attention="eager")
    module.config.return_dict = False
    names = ["input_ids", "attention_mask"]
    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {0: "batch_size", 1: "sequence_length"}
    with _quiet():
        try:
            torch.onnx.export(
                module,
                (dict.fromkeys(names, ids),),
                f=str(target),
                input_names=names,
                output_names=["logits"],
                dynamic_axes={**dict.fromkeys(names, axes), "logits": {0: "batch_size"}},
                opset_version=opset,
                dynamo=False,
                keep_initializers_as_inputs=True,
            )
        except Exception as error:
            raise BuildError(_describe_failure(encoder, opset, error, module)) from error


def _describe_failure(encoder: Encoder, opset: int, error: BaseException, module: Any) -> str:
    while error.__cause__ is not None:  # torch wraps what went wrong in what it was doing
        error = error.__cause__
    place = _find_module(error, module)
    first, *more = str(error).strip().splitlines() or [type(error).__name__]  # torch goes on with the whole graph
    details = [line.strip() for line in more if line.startswith("  - ")]  # of constraints on the axes
    reason = " ".join((first, *details))
    return (
        f"{encoder.name}: torch cannot export architecture {encoder.model_type!r} in opset {opset}: "
        f"{f'in module {place}: ' if place else ''}{reason}; judge only its backends torch and torch-compile, "
        "or export it in another way and give that file as a backend, NAME=PATH"
    )


def _find_module(error: BaseException, module: Any) -> str:
    """The path of the innermost module that was being called when `error` was raised; "" where none was."""
    paths = {id(child): path for path, child in module.named_modules()}
    callers = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
    found = [paths[id(caller)] for caller in callers if id(caller) in paths]
    return found[-1] if found else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints what it does, and on failure the whole graph, and logs hints about packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.__trace", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), open(os.devnull, "w") as sink:  # noqa: PTH123
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
