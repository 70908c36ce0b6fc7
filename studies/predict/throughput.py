"""`driftgate predict --input FILE` against the benchmark's budget plan, and against Optimum in the order of arrival.

    python studies/predict/throughput.py [--backends onnx-int8,onnx-fp32] [--rows 10000] [--blocks 3] [--output throughput.json]

All in one process, in alternating blocks, on the Reddit comments of DRIFTGATE_DATA (or `../shared/data`):

- `predict` is the whole job, from the gzipped CSV file to a CSV file: reading, tokenizing, answering, writing. The model is
  loaded before the clock starts, as in the benchmark.
- `benchmark` is the budget plan of `benchmarks/`: tokenized and padded before the clock starts, all rows sorted at once.
- `optimum` is what the encoder-optimization guide does: Optimum's model, rows in the order of arrival, tokenized as they
  come, at the best of its batch sizes, which is chosen on the first rows before the blocks begin. It runs on fewer rows
  (`--guide-rows`), since the order of arrival is as fast on any of them.
"""

import argparse
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.measure.workload import prepare_workload
from driftgate.pipeline import open_backend
from driftgate.predict.answerer import Answerer
from driftgate.predict.job import PredictionJob, run_job
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import Row
from driftgate.predict.reading.source import open_source
from driftgate.publish.unjudged import build
from driftgate.results.environment import describe_environment
from driftgate.run.device import RunSettings, available_threads

ROOT = Path(__file__).parents[2]
ENCODER = ROOT / "fixtures/encoders/goemotions-roberta-mini"
GUIDE_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
SEARCH_ROWS = 200


@dataclass(frozen=True)
class Contestant:
    """Answers `rows` texts when called."""

    run: Callable[[], object]
    rows: int


def find_comments() -> Path:
    """The guide's 10,000 Reddit comments."""
    folder = Path(os.environ.get("DRIFTGATE_DATA") or ROOT.parent / "shared/data")
    return folder / "reddit/random_sample_10k.csv.gz"


def take_rows(path: Path, rows: int, target: Path) -> tuple[Path, list[str]]:
    """A file of the first `rows` rows that can be scored, and their texts; the file itself where that is all of it."""
    source = open_source(str(path), Format.CSV, ReadOptions(str(path), "body"))
    texts = [row.text for row in source.rows if isinstance(row, Row)]
    source.close()
    if rows >= len(texts):
        return path, texts
    target.write_text("".join(json.dumps({"body": text}) + "\n" for text in texts[:rows]), encoding="utf-8")
    return target, texts[:rows]


def open_guide(folder: Path, encoder: Encoder, texts: Sequence[str], batch_size: int) -> Contestant:
    """Optimum's model and transformers' tokenizer, rows in the order of arrival."""
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import AutoTokenizer

    model: Any = ORTModelForSequenceClassification.from_pretrained(folder, file_name="model.onnx")
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def run() -> None:
        for start in range(0, len(texts), batch_size):
            batch = list(texts[start : start + batch_size])
            fed = tokenizer(batch, padding=True, truncation=True, max_length=encoder.max_tokens, return_tensors="pt")
            np.asarray(model(**fed).logits)

    return Contestant(run, len(texts))


def choose_batch_size(folder: Path, encoder: Encoder, texts: Sequence[str]) -> tuple[int, dict[int, float]]:
    """The guide's best batch size, and texts/s at each."""
    speeds = {}
    for size in GUIDE_BATCH_SIZES:
        guide = open_guide(folder, encoder, texts, size)
        open_guide(folder, encoder, texts[:32], size).run()
        speeds[size] = guide.rows / seconds_of(guide)
    return max(speeds, key=speeds.__getitem__), speeds


def seconds_of(contestant: Contestant) -> float:
    """Of one turn."""
    gc.collect()
    started = time.perf_counter()
    contestant.run()
    return time.perf_counter() - started


def measure(
    backend: str, path: Path, texts: Sequence[str], folder: Path, blocks: int, guide_rows: int
) -> dict[str, Any]:
    """Texts/s of each contestant in each block."""
    encoder, settings = load_encoder(ENCODER), RunSettings(available_threads())
    opened = open_backend(encoder, backend, settings)
    model = Answerer("", lambda batch: tokenize(encoder, batch), lambda batch: opened.prepare(batch)())
    workload = prepare_workload(opened, tokenize(encoder, texts), BudgetPlan())
    text_column = "body"
    job = PredictionJob(
        encoder, backend, str(path), str(folder / "scores.csv"), text_column=text_column, overwrite=True
    )  # fmt: skip
    build(encoder, backend, folder / "artifact")
    batch_size, searched = choose_batch_size(folder / "artifact", encoder, texts[:SEARCH_ROWS])
    contestants = {
        "benchmark": Contestant(workload.run, len(texts)),
        "predict": Contestant(lambda: run_job(job, open_model=lambda *_: model), len(texts)),
        "optimum": open_guide(folder / "artifact", encoder, texts[:guide_rows], batch_size),
    }
    draw, speeds = np.random.default_rng(0), {name: [] for name in contestants}
    for block in range(blocks):
        for name in draw.permutation(list(contestants)).tolist():
            workload.prepared[0]()
            speeds[name].append(contestants[name].rows / seconds_of(contestants[name]))
        shown = ", ".join(f"{name} {values[-1]:.1f}" for name, values in speeds.items())
        print(f"{backend}, block {block + 1} of {blocks}, texts/s: {shown}", flush=True)
    return {
        "texts_per_second": speeds,
        "optimum_batch_size": batch_size,
        "optimum_search_texts_per_second": searched,
        "padded_tokens_of_the_benchmark": workload.padded_tokens,
        "predict_to_benchmark": ratios(speeds, "benchmark"),
        "predict_to_optimum": ratios(speeds, "optimum"),
    }


def ratios(speeds: dict[str, list[float]], base: str) -> dict[str, float]:
    """Of blocks that stand beside each other: median, least, most."""
    found = [own / other for own, other in zip(speeds["predict"], speeds[base], strict=True)]
    return {"median": float(np.median(found)), "low": min(found), "high": max(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="onnx-int8,onnx-fp32")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--guide-rows", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("throughput.json"))
    options = parser.parse_args()
    started = time.perf_counter()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path, texts = take_rows(find_comments(), options.rows, Path(folder) / "rows.jsonl")
        for backend in options.backends.split(","):
            (Path(folder) / backend).mkdir()
            found[backend] = measure(
                backend, path, texts, Path(folder) / backend, options.blocks, min(options.guide_rows, len(texts))
            )
    environment = describe_environment()
    about = {"rows": len(texts), "blocks": options.blocks, "processor": environment.cpu, "threads": available_threads()}
    report = {**about, "versions": dict(environment.versions), "backends": found}
    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{len(texts):,} rows, {options.blocks} blocks, {time.perf_counter() - started:.0f} s, {about['processor']}")
    for backend, entry in found.items():
        medians = {name: float(np.median(values)) for name, values in entry["texts_per_second"].items()}
        for base in ("benchmark", "optimum"):
            ratio = entry[f"predict_to_{base}"]
            size = f" (batch {entry['optimum_batch_size']})" if base == "optimum" else ""
            print(
                f"{backend}: predict {medians['predict']:.1f} texts/s, {base}{size} {medians[base]:.1f}, "
                f"ratio {ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
            )


if __name__ == "__main__":
    main()
