"""Every backend of the embedded encoder side by side: size, build time, drift, flips, F1, and speed as a ratio to torch.

    python studies/int8/backends.py [--corpus FILE.tsv] [--blocks 5]

Drift, flips and F1 are on the corpus (default: the embedded comments; a TSV has texts and labels in its first two columns).
Each backend is built from an empty cache, after the export that all of them share. Writes `backends.json` and prints the table
of `README.md`.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from base_encoders import EMBEDDED, REPOSITORY
from measure import Contestant, open_model, print_table, race

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.errors import BackendUnavailableError
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import load_encoder
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.open import open_backend

PLANS: dict[str, BatchPlan] = {
    "b1": ArrivalPlan(1),
    "b8": ArrivalPlan(8),
    "b32": ArrivalPlan(32),
    "budget": BudgetPlan(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=REPOSITORY / "fixtures/corpora/emotions.jsonl")
    parser.add_argument("--blocks", type=int, default=5)
    arguments = parser.parse_args()
    encoder = load_encoder(EMBEDDED)
    columns = Columns("0", "1") if arguments.corpus.suffix == ".tsv" else Columns()
    corpus = load_corpus(arguments.corpus, encoder, columns)
    contestants, seconds = {}, {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["DRIFTGATE_CACHE"] = cache
        for name, spec in REGISTRY.items():
            if not spec.steps:
                backend = open_backend(encoder, spec, None, RunSettings(available_threads()))
                size = sum(path.stat().st_size for path in encoder.weights)
                contestants[name] = Contestant(lambda batch, asked=backend: asked.prepare(batch)(), size)
                continue
            start = time.perf_counter()
            try:
                artifact = build_artifact(encoder, spec)
            except BackendUnavailableError as error:  # Optimum's presets, where it is not installed
                print(f"{name}: {error}")
                continue
            seconds[name] = round(time.perf_counter() - start, 1)
            contestants[name] = open_model(artifact.model)
        found = race(encoder, corpus, contestants, first="torch", blocks=arguments.blocks, plans=PLANS)
    found["build seconds, without the steps of the backends before"] = seconds
    (Path(__file__).parent / "backends.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(seconds)
    print_table(found)


if __name__ == "__main__":
    main()
