"""Millions of rows through shards: several processes, some of them killed and started again, then one file with every row once.

    python studies/scale/millions.py [--rows 5000000] [--workers 4] [--kills 40] [--whole] [--output millions.json]

A tiny encoder (`onnx-fp32`), short texts. Each worker is `driftgate predict --plan PLAN --shard I/N` with one thread; a worker
that is killed (SIGKILL) is started again at once. `--whole` scores the file in one process too, and compares the bytes. The peak
of each process is the largest resident set that the system saw; it is measured on a tenth of the rows as well.
"""

import argparse
import hashlib
import json
import random
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from processes import count_rows, run, score_with_kills, tiny_encoder, write_rows

BUDGET = 4096  # windows of 8,192 rows


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def through_shards(folder: Path, encoder: Path, rows: int, shard_rows: int, workers: int, kills: int) -> dict[str, Any]:
    source, plan, merged = folder / "in.csv", folder / "run/plan.json", folder / "merged.csv"
    write_rows(source, rows)
    reading = ("--id-column", "id", "--token-budget", BUDGET)
    planned = run("shard", source, *reading, "--rows", shard_rows, "--out", plan)
    shards = len(json.loads(plan.read_text(encoding="utf-8"))["shards"])
    between = (2.0, 12.0)
    killed, hits, seconds, peaks = score_with_kills(
        plan, [encoder, "--top", 1], workers, kills, random.Random(0), between
    )
    joined = run("merge", plan, "--out", merged)
    return {
        "rows": rows,
        "shards": shards,
        "workers": workers,
        "input_bytes": source.stat().st_size,
        "output_bytes": merged.stat().st_size,
        "plan": {**asdict(planned), "rows_per_second": rows / planned.seconds, "said": ""},
        "kills": killed,
        "kills_at_work": hits,
        "score_seconds": seconds,
        "score_rows_per_second": rows / seconds,
        "score_peak_mib": max(peaks),
        "merge": {**asdict(joined), "rows_per_second": rows / joined.seconds, "said": ""},
        **count_rows(merged, rows),
        "sha256": digest(merged),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("millions.json"))
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = tiny_encoder(folder)
        (folder / "tenth").mkdir()
        tenth = through_shards(
            folder / "tenth", encoder, options.rows // 10, 50_000, options.workers, options.kills // 10
        )
        found = through_shards(folder, encoder, options.rows, 100_000, options.workers, options.kills)
        found["peaks_over_a_tenth"] = {
            "plan": found["plan"]["peak_mib"] / tenth["plan"]["peak_mib"],
            "score": found["score_peak_mib"] / tenth["score_peak_mib"],
            "merge": found["merge"]["peak_mib"] / tenth["merge"]["peak_mib"],
        }
        if options.whole:
            whole = folder / "whole.csv"
            reading = ("--input", folder / "in.csv", "--id-column", "id", "--token-budget", BUDGET, "--top", 1)
            alone = run("predict", encoder, *reading, "--output", whole, threads=2)
            rejects = [digest(Path(f"{path}.rejects.jsonl")) for path in (whole, folder / "merged.csv")]
            found["one_process"] = {"seconds": alone.seconds, "peak_mib": alone.peak_mib}
            found["same_bytes_as_one_process"] = digest(whole) == found["sha256"] and len(set(rejects)) == 1
    options.output.write_text(json.dumps({"tenth": tenth, "all": found}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
