"""Export the torch module to ONNX. The only place that knows which exporter is used."""

import contextlib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from driftgate.builder.artifact import MODEL
from driftgate.errors import BuildError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.weights import load_module

VERSION = "1"
OPSET = 18


def export_onnx(encoder: Encoder, target: Path) -> None:
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
                model=module, output=Path(scratch), task="text-classification", opset=OPSET, do_validation=False
            )
        except (ValueError, NotImplementedError, KeyError, RuntimeError) as error:
            raise BuildError(
                f"{encoder.name}: the ONNX exporter failed for architecture {encoder.model_type!r}: {error}"
            ) from error
        for path in Path(scratch).glob(f"{MODEL}*"):
            shutil.move(path, target.parent / path.name)
    if not target.is_file():
        raise BuildError(f"{encoder.name}: the ONNX exporter wrote no {MODEL}")


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
