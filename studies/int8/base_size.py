"""`onnx-int8` at RoBERTa-base size: bits, size, build time, peak memory, and speed against torch and the other backends.

    python studies/int8/base_size.py [--blocks 7]

The encoder has seeded random weights with outlier channels (`encoders.py`). Each backend is built in a process of its own, from
an empty cache; speed is measured side by side in alternating blocks. Writes `base_size.json` and prints the tables of
`README.md`. Needs 3 GB of disk and 6 GB of memory.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from encoders import make_roberta_base
from identity import count_changed_rows
from measure import Contestant, open_model, print_table, race

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.torch_backend import open_torch

BACKENDS = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static")
IDENTITY_ROWS = 200
JUDGED_ROWS = 200


def build_in_a_process(folder: str, backend: str) -> tuple[float, int]:
    """Seconds, and the greatest resident memory in bytes, of a build whose export is there already."""
    encoder = load_encoder(folder)
    spec = REGISTRY[backend]
    start = time.perf_counter()
    build_artifact(encoder, spec)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return time.perf_counter() - start, peak


def build_all(folder: Path) -> dict[str, dict[str, float]]:
    """Each backend in a fresh process; `export` is what they share."""
    found = {}
    fresh = multiprocessing.get_context("spawn")
    export = replace(REGISTRY["onnx-fp32"], name="export", steps=("export",))
    with fresh.Pool(1) as pool:
        start = time.perf_counter()
        pool.apply(build_artifact, (load_encoder(folder), export))
        found["export"] = {"seconds": time.perf_counter() - start}
    for backend in BACKENDS:
        with fresh.Pool(1) as pool:
            seconds, peak = pool.apply(build_in_a_process, (str(folder), backend))
        found[backend] = {"seconds": seconds, "peak_bytes": peak}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=7)
    blocks = parser.parse_args().blocks
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DRIFTGATE_CACHE"] = str(Path(scratch) / "cache")
        folder = make_roberta_base(Path(scratch) / "roberta-base-size")
        found: dict[str, Any] = {"builds": build_all(folder)}
        encoder = load_encoder(folder)
        found["rows that changed"] = count_changed_rows(encoder, throughput_corpus("normal").texts[:IDENTITY_ROWS])
        torch_backend = open_torch(encoder, REGISTRY["torch"], RunSettings(available_threads()))
        size = sum(path.stat().st_size for path in encoder.weights)
        contestants = {"torch": Contestant(lambda batch: torch_backend.prepare(batch)(), size)}
        contestants |= {name: open_model(build_artifact(encoder, REGISTRY[name]).model) for name in BACKENDS}
        corpus = throughput_corpus("normal").sample(JUDGED_ROWS)
        found |= race(encoder, corpus, contestants, first="onnx-fp32", blocks=blocks)
    (Path(__file__).parent / "base_size.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("builds", "rows that changed")}, indent=1))
    print_table(found)


if __name__ == "__main__":
    main()
