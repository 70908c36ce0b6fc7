"""What a shard costs besides the answers of the model: the constants of docs/scale.md.

    python studies/scale/constants.py [--output constants.json]

- Planning: rows/s of `make_plan` on CSV, JSON lines and Parquet with short texts, the median of three.
- A process: `driftgate predict --plan` with one thread, the embedded encoder (`onnx-int8`) and its comments, over (shards, rows)
  of (1, n), (1, 2n) and (10, n), alternating blocks. From three times follow the seconds to start a process, to have one shard
  more, and for each row.
- Writing, sealing and joining: 28 labels and a model that costs nothing, in this process, by format. Sealing reads an output
  back.
- Reading a plan, for each of its shards.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from processes import ROOT, run, write_rows

ENCODER = ROOT / "fixtures/encoders/goemotions-roberta-mini"
COMMENTS = ROOT / "fixtures/corpora/emotions.jsonl"
LABELS, SHARDS = 28, 10


def median_seconds(act: Callable[[], Any], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def of_planning(folder: Path, rows: int) -> dict[str, Any]:
    import pyarrow.csv
    from pyarrow import parquet

    from driftgate.predict.shards.make_plan import PlanOptions, make_plan

    write_rows(folder / "in.csv", rows)
    reading = pyarrow.csv.ParseOptions(newlines_in_values=True)
    table = pyarrow.csv.read_csv(folder / "in.csv", parse_options=reading)
    parquet.write_table(table, folder / "in.parquet")
    with (folder / "in.jsonl").open("w", encoding="utf-8") as file:
        for record in table.to_pylist():
            file.write(f"{json.dumps(record)}\n")
    found = {}
    for form in ("csv", "jsonl", "parquet"):
        source = folder / f"in.{form}"
        make_plan([str(source)], PlanOptions())  # what is imported on the way is not counted
        seconds = median_seconds(lambda source=source: make_plan([str(source)], PlanOptions()))
        bytes_ = source.stat().st_size
        found[form] = {
            "rows_per_second": rows / seconds,
            "mb_per_second": bytes_ / seconds / 1e6,
            "bytes_per_row": bytes_ / rows,
        }
    return found


def of_a_process(folder: Path, rows: int, blocks: int) -> dict[str, Any]:
    texts = [json.loads(line)["text"] for line in COMMENTS.read_text(encoding="utf-8").splitlines()]
    cases = {(1, 1): rows, (1, 2): 2 * rows, (SHARDS, 1): rows}
    for (shards, times), count in cases.items():
        source = folder / f"{shards}-{times}.jsonl"
        lines = (json.dumps({"text": texts[row % len(texts)]}) for row in range(count))
        source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    for block in range(blocks + 1):
        for case in cases if block % 2 else reversed(cases):
            plan = folder / f"run-{block}-{case[0]}-{case[1]}/plan.json"
            # The smallest windows: ten shards of 512 rows and one of 5,120 are cut alike.
            source = folder / f"{case[0]}-{case[1]}.jsonl"
            run("shard", source, "--shards", case[0], "--token-budget", 256, "--out", plan)
            options = ("--backend", "onnx-int8", "--threads", 1, "--plan", plan)
            taken = run("predict", ENCODER, *options).seconds
            if block:  # the first one fills caches
                seconds[case].append(taken)
    one, twice, many = (statistics.median(seconds[case]) for case in cases)
    per_row = (twice - one) / rows
    return {
        "rows": rows,
        "seconds": {f"{shards} shards, {times} n rows": found for (shards, times), found in seconds.items()},
        "rows_per_second": 1 / per_row,
        "start_seconds": one - rows * per_row,
        "seconds_per_shard": (many - one) / (SHARDS - 1),
    }


def of_outputs(folder: Path, rows: int) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "tests/support"))
    from letter_counter import DOUBLE, tokenize_double

    from driftgate.arrays import Logits
    from driftgate.predict.answerer import Answerer
    from driftgate.predict.prediction_job import PredictionJob
    from driftgate.predict.reading.formats import Format
    from driftgate.predict.shards.make_plan import PlanOptions, make_plan
    from driftgate.predict.shards.merge import merge
    from driftgate.predict.shards.plan import read_plan, write_plan
    from driftgate.predict.shards.score import score_shards
    from driftgate.predict.shards.written_rows import check_rows
    from driftgate.run.device import RunSettings

    encoder = replace(DOUBLE, labels=tuple(f"label {number}" for number in range(LABELS)), thresholds=None)
    draw = np.random.default_rng(0)
    logits = Logits(draw.normal(-3, 2, (4096, LABELS)).astype(np.float32))
    answerer = Answerer("free", tokenize_double, lambda batch: Logits(logits[: len(batch.rows)]))
    job = PredictionJob(encoder, "double", "-", "-", RunSettings(1))
    write_rows(folder / "few.csv", rows)
    found = {}
    for form, gzipped in (("csv", False), ("csv", True), ("jsonl", False), ("parquet", False)):
        name = f"{form}.gz" if gzipped else form
        path = folder / f"run-{name}/plan.json"
        path.parent.mkdir()
        options = PlanOptions(rows=20_000, id_column="id", output_format=form, gzipped=gzipped)
        plan, _ = make_plan([str(folder / "few.csv")], options)
        write_plan(path, plan)
        plan = read_plan(path)
        started = time.perf_counter()
        score_shards(path, plan, range(len(plan.shards)), job, open_model=lambda *_: answerer)
        written = time.perf_counter() - started
        first = path.parent / plan.shards[0].output
        rejects = first.with_name(f"{first.name}.rejects.jsonl")
        sealing = median_seconds(lambda: check_rows(first, rejects, Format(form), plan.shards[0].part))  # noqa: B023
        target = folder / f"merged.{name}"
        merging = median_seconds(lambda: merge(path, plan, target, overwrite=True))  # noqa: B023
        size = target.stat().st_size
        found[name] = {
            "bytes_per_row": size / rows,
            "read_tokenize_write_and_seal_rows_per_second": rows / written,
            "seal_rows_per_second": plan.shards[0].part.rows / sealing,
            "merge_rows_per_second": rows / merging,
            "merge_mb_per_second": size / merging / 1e6,
            "merge_seconds_per_shard": merging / len(plan.shards),
        }
    return found


def of_plans(folder: Path, shards: Sequence[int] = (1_000, 50_000)) -> dict[str, Any]:
    from driftgate.predict.reading.part import Part
    from driftgate.predict.shards.plan import Input, Plan, Shard, read_plan, write_plan

    found = {}
    for count in shards:
        parts = (Part(at * 20_480, 20_480, at * 3_000_000, (at + 1) * 3_000_000, at * 20_480) for at in range(count))
        entries = tuple(
            Shard("data/comments.jsonl", part, "0" * 64, f"shard-{at:05d}.csv") for at, part in enumerate(parts)
        )
        path = folder / f"plan-{count}.json"
        write_plan(path, Plan({"text_column": "body"}, entries, (Input("data/comments.jsonl", count * 3_000_000),)))
        seconds = median_seconds(lambda: read_plan(path))  # noqa: B023
        found[str(count)] = {
            "bytes_per_shard": path.stat().st_size / count,
            "microseconds_per_shard": seconds / count * 1e6,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("constants.json"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="to plan")
    parser.add_argument("--blocks", type=int, default=5)
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "planning": of_planning(folder, options.rows),
            "process": of_a_process(folder, SHARDS * 512, options.blocks),
            "outputs": of_outputs(folder, options.rows // 5),
            "plans": of_plans(folder),
        }
    options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
