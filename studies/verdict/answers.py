"""Answers of the embedded encoder's backends to GoEmotions dev, computed once and resampled by `coverage.py`.

    python studies/verdict/answers.py DATA --out ANSWERS.npz

DATA holds `goemotions/dev.tsv` (text, comma-separated label ids, comment id; no header). The file written has logits and labels,
no text; it stays outside the repository.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.torch_backend import open_reference

EMBEDDED = Path(__file__).parents[2] / "fixtures/encoders/goemotions-roberta-mini"
BACKENDS = ("torch", "onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-dynamic-per-tensor")


def answer(data: Path) -> dict[str, NDArray[np.generic]]:
    """Logits by backend, float32, (rows, labels), "reference" first, and "truth", bool, of the same shape."""
    encoder = load_encoder(str(EMBEDDED))
    corpus = load_corpus(data / "goemotions/dev.tsv", encoder, Columns("0", "1"))
    assert corpus.labels is not None
    tokens, plan, settings = tokenize(encoder, corpus.texts), BudgetPlan(), RunSettings(available_threads())
    found: dict[str, NDArray[np.generic]] = {"truth": corpus.labels}
    found["reference"] = predict(open_reference(encoder, settings), tokens, plan)
    for name in BACKENDS:
        print(name, flush=True)
        found[name] = predict(open_backend(encoder, name, settings), tokens, plan)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    np.savez_compressed(arguments.out, **answer(arguments.data))
