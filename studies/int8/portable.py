"""What it costs that weights leave room for the sums of processors without VNNI.

    python studies/int8/portable.py [--rows 2000]

The embedded encoder, quantized row by row with three kinds of scales, on the first rows of GoEmotions' dev split. Where the
processor has no VNNI, the scales of the first kind are wrong there, and are asked with ONNX Runtime's option for exact sums as
well. Prints a line for each.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from driftgate.arrays import Logits
from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.builder.rowwise import products
from driftgate.builder.rowwise.nodes import quantize_rowwise
from driftgate.inputs.batches import BudgetPlan, make_batches
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.probabilities import to_probabilities

ROOT = Path(__file__).parents[2]
ENCODER = ROOT / "fixtures/encoders/goemotions-roberta-mini"


def of_largest(steps: int) -> Callable[[Any], Any]:
    """Scales from the largest weight of an output, as ONNX Runtime's recipe has them."""

    def quantize(matrix: Any) -> Any:
        scales = np.maximum(np.abs(matrix).max(axis=0, keepdims=True), 1e-30) / steps
        return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)

    return quantize


WAYS = {"8 bits": of_largest(127), "two neighbours": products.to_summable, "7 bits": of_largest(63)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000)
    rows = parser.parse_args().rows
    data = Path(os.environ.get("DRIFTGATE_DATA") or ROOT.parent / "shared/data")
    lines = (data / "goemotions/dev.tsv").read_text(encoding="utf-8").splitlines()[:rows]
    encoder = load_encoder(ENCODER)
    tokens = tokenize(encoder, [line.split("\t")[0] for line in lines])
    source = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    expected = to_probabilities(ask(onnx.load(source), tokens), multi_label=True)
    for way, quantize in WAYS.items():
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(products, "to_summable", quantize):
            quantize_rowwise(source, Path(folder) / "model.onnx")
            model = onnx.load(Path(folder) / "model.onnx")
        for exact in (False, True) if way == "8 bits" else (False,):
            found = to_probabilities(ask(own_zero_points(model), tokens, exact=exact), multi_label=True)
            drift = np.abs(found - expected).max(axis=1)
            print(f"{way}{', exact sums' if exact else ''}: drift {drift.mean():.5f}, largest {drift.max():.3f}")


def own_zero_points(model: Any) -> Any:
    """Give the weights of every product a zero point of its own, without which the option cannot make them unsigned."""
    for number, node in enumerate(model.graph.node):
        if node.op_type == "MatMulIntegerToFloat" and len(node.input) == 5:
            model.graph.initializer.append(numpy_helper.from_array(np.int8(0), f"zero point {number}"))
            node.input.append(f"zero point {number}")
    return model


def ask(model: Any, tokens: TokenizedTexts, *, exact: bool = False) -> Logits:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", str(int(exact)))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken = {value.name for value in session.get_inputs()}
    answers = {}
    for batch in make_batches(tokens, BudgetPlan()):
        feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        (logits,) = session.run(None, {name: value for name, value in feed.items() if name in taken})
        answers.update(zip(batch.rows, logits, strict=True))
    return Logits(np.stack([answers[row] for row in range(len(tokens))]))


if __name__ == "__main__":
    main()
