"""What Ray costs: the same shards by two processes of `--shard`, by `--engine ray`, and on a Ray that is there already.

    PYTHONPATH=tests/support python studies/scale/ray_overhead.py [--blocks 5]

The Reddit comments in five shards, the embedded encoder, `onnx-int8`, two workers of one thread each. The three ways alternate in
blocks, each block in another order; every run is a whole command, from its start to its end, in a folder of its own:

- `shard`: `driftgate predict --plan PLAN --shard 1/2 --threads 1` and `2/2` at the same time;
- `ray`: `driftgate predict --plan PLAN --engine ray --workers 2`, which starts a Ray on this machine and ends it;
- `ray cluster`: the same with `--ray-address` of a Ray that was started before.

Outputs are compared byte for byte. What lies between two shards of a worker is measured apart, on 60 shards of 512 rows and a
model that counts letters: the time of a shard on Ray less its time in this process. Writes `ray_overhead.json` beside this
file.
"""

import argparse
import hashlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from letter_counter import open_double
from ray.cluster_utils import Cluster
from ray_data import ENCODER, SHARD_ROWS, write_comments
from ray_jobs import make_job

from driftgate.engines.ray_cluster import RaySettings
from driftgate.predict.shards.machines import describe_machine
from driftgate.predict.shards.score import score_shards

COMMAND = str(Path(sys.executable).with_name("driftgate"))
SMALL_SHARDS = 60
RESULT = Path(__file__).with_suffix(".json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5)
    blocks = parser.parse_args().blocks
    os.environ |= {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    draw = random.Random(21)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as top:
        source = Path(top) / "comments.jsonl"
        rows = write_comments(source)
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80 << 20},
        )
        try:
            one_run("shard", source, Path(top) / "warm", cluster.address)  # builds the artifact, fills the page cache
            for block in range(blocks):
                ways = ["shard", "ray", "ray cluster"]
                draw.shuffle(ways)
                for way in ways:
                    runs.append(one_run(way, source, Path(top) / f"{block} {way}", cluster.address))
                    print(block, runs[-1], flush=True)
            between = [seconds_between(Path(top), cluster.address, block) for block in range(blocks)]
        finally:
            cluster.shutdown()
    outputs = {run.pop("sha256") for run in runs}
    ratios = {
        way: [
            round(
                seconds_of(runs[3 * block : 3 * block + 3], way) / seconds_of(runs[3 * block : 3 * block + 3], "shard"),
                3,
            )
            for block in range(blocks)
        ]
        for way in ("ray", "ray cluster")
    }
    record = {
        "rows": rows,
        "blocks": blocks,
        "median seconds": {
            way: round(statistics.median(run["seconds"] for run in runs if run["way"] == way), 2)
            for way in ("shard", "ray", "ray cluster")
        },
        "seconds over shard, by block": ratios,
        "median rows/s while workers score": round(
            statistics.median(run["rows/s of workers"] for run in runs if run["rows/s of workers"])
        ),
        "different outputs": len(outputs),
        "milliseconds between shards": [round(1000 * seconds, 1) for seconds in between],
        "ray": version("ray"),
        "machine": describe_machine(),
        "runs": runs,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def seconds_of(block: list[dict[str, Any]], way: str) -> float:
    (found,) = (run["seconds"] for run in block if run["way"] == way)
    return float(found)


def seconds_between(top: Path, address: str, block: int) -> float:
    """What a shard takes on Ray beyond what it takes in this process."""
    jobs = []
    for way in ("ray", "here"):
        (top / f"between {block} {way}").mkdir()
        jobs.append(make_job(top / f"between {block} {way}", SMALL_SHARDS * 512, 512, open_model=open_double))
    on_ray, here = jobs
    finished = on_ray.score(RaySettings(address, workers=1))
    started = time.monotonic()
    score_shards(here.plan_path, here.plan, range(SMALL_SHARDS), here.job, open_model=open_double)
    return (finished.seconds - (time.monotonic() - started)) / SMALL_SHARDS


def run(*arguments: str) -> None:
    subprocess.run([COMMAND, *arguments], check=True, stderr=subprocess.PIPE)  # noqa: S603 - our own command


def one_run(way: str, source: Path, folder: Path, address: str) -> dict[str, Any]:
    folder.mkdir()
    plan = folder / "plan.json"
    run("shard", str(source), "--rows", str(SHARD_ROWS), "--out", str(plan))
    command = [COMMAND, "predict", str(ENCODER), "--backend", "onnx-int8", "--plan", str(plan)]
    commands = {
        "shard": [[*command, "--threads", "1", "--shard", f"{share}/2"] for share in (1, 2)],
        "ray": [[*command, "--engine", "ray", "--workers", "2"]],
        "ray cluster": [[*command, "--engine", "ray", "--workers", "2", "--ray-address", address]],
    }[way]
    started = time.monotonic()
    processes = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in commands]  # noqa: S603
    said = [process.communicate()[1] for process in processes]
    seconds = time.monotonic() - started
    assert [process.returncode for process in processes] == [0] * len(processes), said
    merged = folder / "merged.csv"
    run("merge", str(plan), "--out", str(merged))
    rate = re.search(r"at ([\d,]+) rows/s", said[0])
    return {
        "way": way,
        "seconds": round(seconds, 2),
        "rows/s of workers": int(rate[1].replace(",", "")) if rate and way != "shard" else None,
        "sha256": hashlib.sha256(merged.read_bytes()).hexdigest(),
    }


if __name__ == "__main__":
    main()
