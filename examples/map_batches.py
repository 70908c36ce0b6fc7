"""Score batches of an engine of your own with `driftgate.Scorer`.

Run it as `python examples/map_batches.py [MODEL]`; by default it takes the encoder that comes with the repository. Here a pool of
two processes stands for the engine. With Ray Data and with Spark the same object is used:

    ray.data.read_parquet("comments").map_batches(Scorer, fn_constructor_args=[MODEL], concurrency=8).write_parquet("scores")
    frame.mapInPandas(Scorer(MODEL).each, schema)
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from driftgate import Scorer

ENCODER = str(Path(__file__).parents[1] / "fixtures/encoders/goemotions-roberta-mini")
BATCHES = [
    {"text": np.array(["Thank you so much!", "That is not what I asked for."], dtype=object)},
    {"text": np.array(["What a sad day.", ""], dtype=object)},
]


def main(model: str) -> None:
    # It is pickled to the processes without a model; each of them loads it at its first batch.
    scorer = Scorer(model, "onnx-fp32", reject=True)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as engine:
        for scored in engine.map(scorer, BATCHES):
            for text, labels, rejected in zip(scored["text"], scored["labels"], scored["rejected"], strict=True):
                print(f"{text!r}: {rejected or labels or 'no label reaches its threshold'}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or [ENCODER]))
