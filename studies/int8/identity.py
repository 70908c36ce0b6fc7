"""Do answers of `onnx-int8` change a bit with what stands beside or behind a text?

    python studies/int8/identity.py [--corpus FILE.csv.gz --column NAME] [--rows 2000] [--backend onnx-int8]

Every text alone, and again in other company; prints how many rows answer with other bits than alone.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from base_encoders import EMBEDDED
from rich.console import Console

from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, pad_rows
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

_PADDED_WIDTH = 128
_PADDED_ROWS = 300


def count_changed_rows(encoder: Encoder, texts: Sequence[str], backend: str = "onnx-int8") -> dict[str, str]:
    """How many rows of how many answer with other bits than alone on two threads, by what was changed."""
    tokens = tokenize(encoder, texts)
    two, one = (open_backend(encoder, backend, RunSettings(threads)) for threads in (2, 1))
    alone = np.asarray(predict(two, tokens, ArrivalPlan(1)))
    order = np.random.default_rng(0).permutation(len(tokens)).tolist()
    plans: dict[str, BatchPlan] = {f"batches of {size}": ArrivalPlan(size) for size in (8, 32)}
    answers = {
        name: np.asarray(predict(two, tokens, plan)) for name, plan in {**plans, "budget plan": BudgetPlan()}.items()
    }
    shuffled = np.asarray(predict(two, tokens.take(order), ArrivalPlan(8)))
    answers["shuffled, batches of 8"] = shuffled[np.argsort(order)]
    answers["one thread, alone"] = np.asarray(predict(one, tokens, ArrivalPlan(1)))
    answers["one thread, budget plan"] = np.asarray(predict(one, tokens, BudgetPlan()))
    changed = {name: _count(found, alone) for name, found in answers.items()}
    short = [row for row in range(len(tokens)) if tokens.lengths[row] <= _PADDED_WIDTH][:_PADDED_ROWS]
    padded = np.concatenate([two.prepare(pad_rows(tokens, [row], width=_PADDED_WIDTH))() for row in short])
    return {**changed, f"padded to {_PADDED_WIDTH} tokens": _count(padded, alone[short])}


def _count(found: np.ndarray, alone: np.ndarray) -> str:
    return f"{int((found != alone).any(axis=1).sum())} of {len(found)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--column", default="")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--backend", default="onnx-int8")
    arguments = parser.parse_args()
    encoder = load_encoder(EMBEDDED)
    given = arguments.corpus
    corpus = load_corpus(given, encoder, Columns(arguments.column)) if given else throughput_corpus("normal")
    Console().print(count_changed_rows(encoder, corpus.sample(arguments.rows).texts, arguments.backend))


if __name__ == "__main__":
    main()
