"""`onnx-int8` at base size: bits, size, build time, peak memory, and speed against torch and the other backends.

    python studies/int8/base_size.py [roberta | modernbert] [--blocks 7]

The encoder has seeded random weights with outlier channels (`base_encoders.py`). Each backend is built in a process of its own,
from an empty cache; speed is measured side by side in alternating blocks; memory is that of a process that answers one row of so
many tokens. Writes `base_size-FAMILY.json` and prints the tables of `README.md`. Needs 4 GB of disk and 6 GB of memory.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from base_encoders import make_modernbert_base, make_roberta_base
from identity import count_changed_rows
from measure import Contestant, open_model, print_table, race

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.measure.process import peak_bytes
from driftgate.pipeline import open_backend
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.torch_backend import open_torch

BACKENDS = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static")
FAMILIES: Mapping[str, tuple[Callable[[Path], Path], tuple[int, ...]]] = {
    "roberta": (make_roberta_base, (512,)),
    "modernbert": (make_modernbert_base, (512, 4096)),
}
"""What makes the encoder, and the lengths of the rows whose memory is measured, in tokens."""
IDENTITY_ROWS = 200
JUDGED_ROWS = 200
_ANY_TOKEN = 100


def build_in_a_process(folder: str, backend: str) -> tuple[float, int]:
    """Seconds, and the greatest resident memory in bytes, of a build whose export is there already."""
    encoder = load_encoder(folder)
    spec = REGISTRY[backend]
    start = time.perf_counter()
    build_artifact(encoder, spec)
    return time.perf_counter() - start, peak_bytes()


def answer_in_a_process(folder: str, backend: str, tokens: int) -> int:
    """The greatest resident memory in bytes of a process that answers one row of `tokens` tokens, its backend built already."""
    opened = open_backend(load_encoder(folder), backend, RunSettings(available_threads()))
    ids = np.full((1, tokens), _ANY_TOKEN, np.int64)
    ids[0, 0], ids[0, -1] = 0, 2
    batch = TokenBatch((0,), ids, np.ones_like(ids), np.zeros_like(ids))
    if not np.isfinite(opened.prepare(batch)()).all():
        raise SystemExit(f"{backend}: no finite answer to {tokens} tokens")
    return peak_bytes()


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


def measure_memory(folder: Path, lengths: tuple[int, ...]) -> dict[str, dict[str, int]]:
    """Bytes by backend and length of the row, each in a fresh process."""
    fresh = multiprocessing.get_context("spawn")
    found: dict[str, dict[str, int]] = {}
    for backend in ("torch", *BACKENDS):
        for tokens in lengths:
            with fresh.Pool(1) as pool:
                peak = pool.apply(answer_in_a_process, (str(folder), backend, tokens))
            found.setdefault(backend, {})[str(tokens)] = peak
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", nargs="?", choices=FAMILIES, default="roberta")
    parser.add_argument("--blocks", type=int, default=7)
    given = parser.parse_args()
    make, lengths = FAMILIES[given.family]
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DRIFTGATE_CACHE"] = str(Path(scratch) / "cache")
        folder = make(Path(scratch) / given.family)
        found: dict[str, Any] = {"builds": build_all(folder), "peak bytes of one row": measure_memory(folder, lengths)}
        encoder = load_encoder(folder)
        found["rows that changed"] = count_changed_rows(encoder, throughput_corpus("normal").texts[:IDENTITY_ROWS])
        torch_backend = open_torch(encoder, REGISTRY["torch"], RunSettings(available_threads()))
        size = sum(path.stat().st_size for path in encoder.weights)
        contestants = {"torch": Contestant(lambda batch: torch_backend.prepare(batch)(), size)}
        contestants |= {name: open_model(build_artifact(encoder, REGISTRY[name]).model) for name in BACKENDS}
        corpus = throughput_corpus("normal").sample(JUDGED_ROWS)
        found |= race(encoder, corpus, contestants, first="onnx-fp32", blocks=given.blocks)
    target = Path(__file__).parent / f"base_size-{given.family}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("builds", "peak bytes of one row", "rows that changed")}, indent=1))
    print_table(found)


if __name__ == "__main__":
    main()
