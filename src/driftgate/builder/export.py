"""Export the torch module to ONNX. The only place that knows which exporter is used."""

import contextlib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from driftgate.backends import DEFAULT_OPSET
from driftgate.builder.artifact import MODEL
from driftgate.errors import BuildError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.weights import load_module

VERSION = "1"
OPSETS = range(14, 21)
"""torch's TorchScript exporter writes no opset above 20, and ONNX Runtime has run that since 1.17. From 14 on every family is
tested; at 11, ONNX Runtime refuses MPNet's graph."""

_TASK = "text-classification"
_EXPORT_ERRORS = (ValueError, NotImplementedError, KeyError, RuntimeError)


def export_onnx(encoder: Encoder, target: Path, *, opset: int = DEFAULT_OPSET) -> None:
    """Write the float32 graph of `encoder` to `target`, with dynamic batch and sequence axes.

    Eager attention, so that the usual fusions recognise it. Validation against torch is the accuracy suite's work, on
    real texts, not the exporter's on random ids.

    Raises:
        BuildError: the exporter does not know the architecture, or failed.
    """
    from optimum.exporters.onnx import onnx_export_from_model

    module = load_module(encoder, attention="eager")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, _quiet():
        try:
            onnx_export_from_model(
                model=module,
                output=Path(scratch),
                task=_TASK,
                opset=opset,
                do_validation=False,
                custom_onnx_configs={"model": _single_texts(module)},
            )
        except _EXPORT_ERRORS as error:
            raise BuildError(_failure(encoder, opset, error)) from error
        for path in Path(scratch).glob(f"{MODEL}*"):
            shutil.move(path, target.parent / path.name)
    if not target.is_file():
        raise BuildError(f"{encoder.name}: the ONNX exporter wrote no {MODEL}")


def _single_texts(module: Any) -> Any:
    """Optimum's configuration for the module, traced on single texts: every token type is 0.

    Optimum draws token types from 0 and 1 whatever the model has, which reads past the table of a BERT that was trained on
    single texts (`type_vocab_size` 1).
    """
    from optimum.exporters.tasks import TasksManager

    config = TasksManager.get_exporter_config_constructor("onnx", model=module, task=_TASK)(module.config)
    draw = config.generate_dummy_inputs

    def draw_single_texts(*arguments: Any, **options: Any) -> dict[str, Any]:
        inputs: dict[str, Any] = draw(*arguments, **options)
        if "token_type_ids" in inputs:
            inputs["token_type_ids"].zero_()
        return inputs

    config.generate_dummy_inputs = draw_single_texts
    return config


def export_repeating(encoder: Encoder, target: Path, *, opset: int = DEFAULT_OPSET) -> None:
    """Write the graph to `target` as a straight export does that does not look for equal weights.

    torch folds the transposition of a weight anew wherever the weight is used, and merges equal results only where
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
        except _EXPORT_ERRORS as error:
            raise BuildError(_failure(encoder, opset, error)) from error


def _failure(encoder: Encoder, opset: int, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0]  # torch goes on with the whole graph
    return (
        f"{encoder.name}: the ONNX exporter failed for architecture {encoder.model_type!r} and opset {opset}: {reason}"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints to stdout and logs hints about packages that are not needed here."""
    loggers = [logging.getLogger(name) for name in ("optimum", "optimum.exporters.onnx.convert", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):  # noqa: PTH123
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
