"""Workers and threads: texts/s and memory of whole jobs of `driftgate predict`.

    python studies/scale/workers.py [--blocks 3] [--rows 10000] [--ways "onnx-int8 1 x 2,onnx-int8 2 x 1"]
        [--optimum-python .tox/optimum/bin/python] [--output workers.json]

The comments of at least 300 characters of the Reddit sample, repeated to `--rows`, and the embedded encoder. A way is a backend
with workers x threads, or the loop of `optimum_loop.py`, in an environment that has Optimum, on float32 or on the integers that
Optimum makes (`onnx-int8-dynamic-per-tensor`), at the best of its batch sizes on the first rows. Every run is a whole command,
from its start to its end; the ways alternate in blocks, each block in another order. Memory is the largest sum of the
proportional set sizes (PSS) of the command and its workers, looked at every 0.2 seconds: memory that processes share counts once.
Outputs of a backend are compared byte for byte.
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
DEFAULT_WAYS = "onnx-int8 1 x 1,onnx-int8 1 x 2,onnx-int8 2 x 1,onnx-int8 auto"
OPTIMUM_WAYS = {"optimum int8": "onnx-int8-dynamic-per-tensor", "optimum float32": "onnx-fp32"}
BATCH_SIZES, SEARCH_ROWS = (1, 2, 4, 8, 16), 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--ways", default=DEFAULT_WAYS)
    parser.add_argument("--optimum-python", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    draw, runs = random.Random(17), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "long.jsonl"
        write_long_comments(source, options.rows)
        ways = {way: command_of(way, folder, source) for way in options.ways.split(",")}
        if options.optimum_python:
            ways |= optimum_ways(options.optimum_python.absolute(), folder, source)
        first = next(iter(ways))
        for backend in {way.split()[0] for way in ways} - {"optimum"}:
            one_run(command_of(f"{backend} 1 x 2", folder, source), folder)  # builds the artifact
        for block in range(options.blocks):
            for way in draw.sample(list(ways), len(ways)):
                runs.append({"block": block, "way": way, **one_run(ways[way], folder)})
                print(runs[-1], flush=True)
    record = {
        "rows": options.rows,
        "machine": describe_machine(),
        "commands": {way: [Path(part).name for part in command] for way, command in ways.items()},
        "different outputs": {
            backend: len({run["sha256"] for run in runs if run["way"].startswith(f"{backend} ")})
            for backend in {way.split()[0] for way in ways} - {"optimum"}
        },
        "table": [summary(runs, way, first, options.rows) for way in ways],
        "runs": [{key: value for key, value in run.items() if key != "sha256"} for run in runs],
    }
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["table"], indent=1))


def command_of(way: str, folder: Path, source: Path) -> list[str]:
    """Such as `onnx-int8 2 x 1`: workers x threads."""
    backend, *shape = way.split()
    spread = ["--workers", shape[0]] + (["--threads", shape[2]] if len(shape) > 1 else [])
    files = ["--input", str(source), "--output", str(folder / "scores.csv"), "--overwrite"]
    return [str(DRIFTGATE), "predict", str(ENCODER), "--backend", backend, *files, *spread]


def optimum_ways(python: Path, folder: Path, source: Path) -> dict[str, list[str]]:
    found = {}
    few = folder / "few.jsonl"
    few.write_text(
        "".join(source.read_text(encoding="utf-8").splitlines(keepends=True)[:SEARCH_ROWS]), encoding="utf-8"
    )
    for way, backend in OPTIMUM_WAYS.items():
        built = folder / backend
        subprocess.run([DRIFTGATE, "build", ENCODER, "--backends", backend, "--out", built], check=True)  # noqa: S603
        loop = [str(python), str(Path(__file__).with_name("optimum_loop.py")), str(built)]
        target = str(folder / "scores.csv")
        seconds = {size: one_run([*loop, str(few), target, str(size)], folder)["seconds"] for size in BATCH_SIZES}
        print(way, seconds, flush=True)
        found[way] = [*loop, str(source), target, str(min(seconds, key=seconds.__getitem__))]
    return found


def write_long_comments(target: Path, rows: int) -> None:
    folder = Path(os.environ.get("DRIFTGATE_DATA") or ROOT.parent / "shared/data")
    with gzip.open(folder / "reddit/random_sample_10k.csv.gz", "rt", encoding="utf-8", newline="") as source:
        texts = [row["body"] for row in csv.DictReader(source) if len(row["body"]) >= LEAST_CHARS]
    lines = (json.dumps({"text": texts[row % len(texts)]}) + "\n" for row in range(rows))
    target.write_text("".join(lines), encoding="utf-8")


def one_run(command: list[str], folder: Path) -> dict[str, Any]:
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(pss_mib, family_of(process.pid))))
        time.sleep(0.2)
    seconds = time.monotonic() - started
    said = process.stderr.read() if process.stderr else ""
    assert process.returncode == 0, said
    return {
        "seconds": round(seconds, 2),
        "peak_mib": round(peak),
        "said": [line for line in said.splitlines() if "times as fast" in line],
        "sha256": hashlib.sha256((folder / "scores.csv").read_bytes()).hexdigest(),
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


def summary(runs: list[dict[str, Any]], way: str, first: str, rows: int) -> dict[str, Any]:
    mine = {run["block"]: run for run in runs if run["way"] == way}
    ratios = [run["seconds"] / mine[run["block"]]["seconds"] for run in runs if run["way"] == first]
    return {
        "way": way,
        "texts_per_second": round(rows / statistics.median(run["seconds"] for run in mine.values()), 1),
        f"times_{first}": [round(found, 2) for found in (statistics.median(ratios), min(ratios), max(ratios))],
        "peak_mib": round(statistics.median(run["peak_mib"] for run in mine.values())),
    }


if __name__ == "__main__":
    main()
