"""How large a batch should be: texts/s and memory of ONNX Runtime on Reddit comments, by token budget.

    python studies/predict/token_budget.py [--backends onnx-int8,onnx-fp32] [--blocks 4] [--rows 1200] [--least-chars 0]

Every budget and number of threads takes its turn in each block, in another order each time. Texts are tokenized before the clock
starts. Memory is the largest resident set of a process that answers once, less that of one that has only loaded the model.
"""

import argparse
import csv
import gzip
import random
import statistics
import subprocess
import sys
import time

from throughput import ENCODER, find_comments

from driftgate.inputs.batches import BudgetPlan, make_batches
from driftgate.inputs.encoder import load_encoder
from driftgate.measure.process import peak_bytes
from driftgate.predict.answerer import Answerer, open_answerer
from driftgate.run.device import RunSettings

BUDGETS, THREADS = (256, 512, 1024, 2048), (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="onnx-int8,onnx-fp32")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--least-chars", type=int, default=0)
    parser.add_argument("--memory-of", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        print(memory_of(given.memory_of, given.rows, given.least_chars))
        return
    for backend in given.backends.split(","):
        measure(backend, read_texts(given.rows, given.least_chars), given.blocks)
        for budget in BUDGETS:
            asked = [*sys.argv, "--memory-of", f"{backend} {budget}"]
            print(backend, budget, "MiB:", subprocess.check_output([sys.executable, *asked], text=True).strip())  # noqa: S603


def measure(backend: str, texts: list[str], blocks: int) -> None:
    opened = {threads: open_for(backend, threads) for threads in THREADS}
    ways = [(threads, budget) for threads in THREADS for budget in BUDGETS]
    for answerer in opened.values():
        answer(answerer, texts[:100], max(BUDGETS))
    seconds: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    for _ in range(blocks):
        for threads, budget in random.sample(ways, len(ways)):
            seconds[threads, budget].append(answer(opened[threads], texts, budget))
    for way in ways:
        speeds = [len(texts) / taken for taken in seconds[way]]
        said = f"{statistics.median(speeds):.1f} [{min(speeds):.1f}, {max(speeds):.1f}] texts/s"
        print(f"{backend}, {way[0]} threads, budget {way[1]}: {said}", flush=True)


def memory_of(way: str, rows: int, least_chars: int) -> int:
    backend, budget = way.split()
    answerer = open_for(backend, 1)
    before = peak_bytes()
    answer(answerer, read_texts(rows, least_chars), int(budget))
    return (peak_bytes() - before) // 2**20


def open_for(backend: str, threads: int) -> Answerer:
    return open_answerer(load_encoder(ENCODER), backend, RunSettings(threads, spins=threads > 1))


def answer(answerer: Answerer, texts: list[str], budget: int) -> float:
    batches = list(make_batches(answerer.tokenize(texts), BudgetPlan(budget)))
    started = time.perf_counter()
    for batch in batches:
        answerer.answer(batch)
    return time.perf_counter() - started


def read_texts(rows: int, least_chars: int) -> list[str]:
    with gzip.open(find_comments(), "rt", encoding="utf-8", newline="") as file:
        texts = [row["body"] for row in csv.DictReader(file) if len(row["body"]) >= least_chars]
    return texts[:rows]


if __name__ == "__main__":
    main()
