"""Workers and threads: texts/s and memory of whole jobs of `driftgate predict`.

    python studies/scale/workers.py [--blocks 3] [--rows 10000] [--backends onnx-int8,onnx-fp32]

The comments of at least 300 characters of the Reddit sample, repeated to `--rows`, and the embedded encoder. Every run is a whole
command, from its start to its end; the combinations alternate in blocks, each block in another order. Memory is the largest sum
of the proportional set sizes (PSS) of the command and its workers, looked at every 0.2 seconds: memory that processes share
counts once. Outputs are compared byte for byte. Writes `workers.json` beside this file.
"""

import argparse
import csv
import gzip
import hashlib
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import DRIFTGATE, ROOT

from driftgate.predict.shards.machines import describe_machine

ENCODER = ROOT / "fixtures/encoders/goemotions-roberta-mini"
RESULT = Path(__file__).with_suffix(".json")
LEAST_CHARS = 300
WAYS = {"1 x 1": (1, 1), "1 x 2": (1, 2), "2 x 1": (2, 1), "auto": ("auto", 0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--backends", default="onnx-int8")
    options = parser.parse_args()
    draw, runs = random.Random(17), []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "long.jsonl"
        write_long_comments(source, options.rows)
        for backend in options.backends.split(","):
            one_run(backend, "1 x 2", source, Path(name) / "scores.csv")  # builds the artifact, fills the page cache
            for block in range(options.blocks):
                for way in draw.sample(list(WAYS), len(WAYS)):
                    runs.append({"block": block, **one_run(backend, way, source, Path(name) / "scores.csv")})
                    print(runs[-1], flush=True)
    record = {
        "rows": options.rows,
        "machine": describe_machine(),
        "different outputs of a backend": max(
            len({run["sha256"] for run in runs if run["backend"] == backend}) for backend in options.backends.split(",")
        ),
        "table": [summary(runs, backend, way, options.rows) for backend in options.backends.split(",") for way in WAYS],
        "runs": [{key: value for key, value in run.items() if key != "sha256"} for run in runs],
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["table"], indent=1))


def write_long_comments(target: Path, rows: int) -> None:
    folder = Path(os.environ.get("DRIFTGATE_DATA") or ROOT.parent / "shared/data")
    with gzip.open(folder / "reddit/random_sample_10k.csv.gz", "rt", encoding="utf-8", newline="") as source:
        texts = [row["body"] for row in csv.DictReader(source) if len(row["body"]) >= LEAST_CHARS]
    lines = (json.dumps({"text": texts[row % len(texts)]}) + "\n" for row in range(rows))
    target.write_text("".join(lines), encoding="utf-8")


def one_run(backend: str, way: str, source: Path, target: Path) -> dict[str, Any]:
    workers, threads = WAYS[way]
    command = [
        DRIFTGATE,
        "predict",
        ENCODER,
        "--backend",
        backend,
        "--input",
        source,
        "--output",
        target,
        "--overwrite",
    ]
    command += ["--workers", workers, *(["--threads", threads] if threads else [])]
    started = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)  # noqa: S603
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(pss_mib, family_of(process.pid))))
        time.sleep(0.2)
    seconds = time.monotonic() - started
    said = process.stderr.read() if process.stderr else ""
    assert process.returncode == 0, said
    return {
        "backend": backend,
        "way": way,
        "seconds": round(seconds, 2),
        "peak_mib": round(peak),
        "said": [line for line in said.splitlines() if "times as fast" in line],
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }


def family_of(process: int) -> list[int]:
    """It and all that it started."""
    found = [process]
    for one in found:
        try:
            tasks = Path(f"/proc/{one}/task").iterdir()
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def pss_mib(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def summary(runs: list[dict[str, Any]], backend: str, way: str, rows: int) -> dict[str, Any]:
    mine = {run["block"]: run for run in runs if run["backend"] == backend and run["way"] == way}
    usual = {run["block"]: run for run in runs if run["backend"] == backend and run["way"] == "1 x 2"}
    ratios = [usual[block]["seconds"] / mine[block]["seconds"] for block in mine]
    return {
        "backend": backend,
        "workers x threads": way,
        "texts_per_second": round(rows / statistics.median(run["seconds"] for run in mine.values()), 1),
        "times_1_x_2": [round(found, 2) for found in (statistics.median(ratios), min(ratios), max(ratios))],
        "peak_mib": round(statistics.median(run["peak_mib"] for run in mine.values())),
    }


if __name__ == "__main__":
    main()
