"""How long float16's range scan takes on all calibration batches and on some, and how far the ranges are apart.

    python studies/export/ranges.py ENCODER MODEL.onnx [--batches 12]

MODEL.onnx is the encoder's `onnx-fp32`, as `driftgate build` writes it. Ranges are compared where they are beyond 1: what is
smaller is far from float16's limit.
"""

import argparse
import time
from pathlib import Path

import onnx

from driftgate.builder.calibration_texts import measure_ranges, tokenize_calibration
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.onnx_graph.functions import load_inlined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--batches", type=int, default=12)
    options = parser.parse_args()
    graph = load_inlined(options.model, weights=False)
    types = list(onnx.shape_inference.infer_shapes(graph).graph.value_info)
    whole = tokenize_calibration(load_encoder(options.encoder), throughput_corpus("normal"))
    largest = []
    for calibration in (whole, whole.take(options.batches)):
        started = time.perf_counter()
        ranges = measure_ranges(graph, options.model.parent, calibration, types)
        seconds = time.perf_counter() - started
        largest.append({name: max(-low, high) for name, (low, high) in ranges.items()})
        print(f"{len(calibration.feeds)} batches, {len(calibration.rows)} rows: {seconds:.1f} s")
    every, some = largest
    ratios = sorted(every[name] / max(some[name], 1e-9) for name in every if 1 < every[name] < 1e30)
    print(f"{len(ratios)} tensors: the range of all batches is at most {ratios[-1]:.2f} times that of some")


if __name__ == "__main__":
    main()
