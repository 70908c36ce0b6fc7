"""Take machines away from a Ray cluster in the middle of shards, and count the rows.

    PYTHONPATH=tests/support python studies/scale/ray_loss.py [--rounds 24]

A cluster of three nodes on this machine, with Ray's own settings: a head that scores nothing, and two machines of one CPU. Each
round scores the Reddit comments in five shards from the start, with the embedded encoder and `onnx-int8`. At a random moment
while both machines are at work on a shard, one of them is removed: in one round its processes are killed without a word, as if
it had lost power, and in the next one it is drained, as a machine that is given back. A new machine joins up to 6 s later. A
row is lost or doubled if the joined scores and rejected rows lack its number or have it twice, and the joined files are
compared byte for byte with those of one process. Writes `ray_loss.json` beside this file.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ray_data import ENCODER, SHARD_ROWS, write_comments
from ray_jobs import Heard, RayJob, add_machine, scoring, two_machines, workers_of

from driftgate.builder.models import find_model
from driftgate.engines.proof import make_proof
from driftgate.engines.ray_cluster import RaySettings
from driftgate.predict.answerer import open_answerer
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.shards.machines import describe_machine
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import read_plan, write_plan
from driftgate.run.device import RunSettings

RESULT = Path(__file__).with_suffix(".json")
LAST_MOMENT_SECONDS, LAST_JOIN_SECONDS = 6.0, 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=24)
    rounds = parser.parse_args().rounds
    os.environ |= {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    draw = random.Random(21)
    model = find_model(str(ENCODER), "onnx-int8")
    job = PredictionJob(model.encoder, model.backend, "-", "-", RunSettings(1))
    proof = make_proof(job)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as top, two_machines() as cluster:
        source = Path(top) / "comments.jsonl"
        rows = write_comments(source)
        alone = Path(top) / "alone.csv"
        run_job(replace(job, input=str(source), output=str(alone), id_column="id"), open_model=open_answerer)
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                shards = plan_in(Path(folder), source)
                order = replace(shards.order(proof), job=job)
                how = ("killed", "drained")[number % 2]
                found.append(one_round(cluster, shards, order, draw, how) | count(shards, alone, rows))
            print(found[-1], flush=True)
    record = {
        "rounds": rounds,
        "rows in each": rows,
        "shards in each": len(shards.plan.shards),
        "rows lost": sum(one["lost rows"] for one in found),
        "rows doubled": sum(one["doubled rows"] for one in found),
        "rounds with other bytes than one process": sum(not one["same bytes"] for one in found),
        "attempts lost": sum(one["attempts lost"] for one in found),
        "ray": version("ray"),
        "machine": describe_machine(),
        "each": found,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def plan_in(folder: Path, source: Path) -> RayJob:
    path = folder / "plan.json"
    write_plan(path, make_plan([str(source)], PlanOptions(SHARD_ROWS, id_column="id"))[0])
    return RayJob(path, read_plan(path), source, open_answerer)


def one_round(cluster: Any, shards: RayJob, order: Any, draw: random.Random, how: str) -> dict[str, Any]:
    heard, started = Heard(), time.monotonic()
    with scoring(shards, RaySettings(cluster.address), heard, order) as later:
        while shards.under_way() < 2 and not later.done():
            time.sleep(0.02)
        moment = draw.uniform(0, LAST_MOMENT_SECONDS)
        time.sleep(moment)
        while shards.under_way() < 2 and not later.done():  # between two shards: then the next one
            time.sleep(0.02)
        under_way = shards.under_way()
        cluster.remove_node(draw.choice(workers_of(cluster)), allow_graceful=how == "drained")
        join = draw.uniform(0, LAST_JOIN_SECONDS)
        time.sleep(join)
        add_machine(cluster)
        finished = later.result()
    return {
        "how": how,
        "seconds after both were at work": round(moment, 2),
        "shards under way": under_way,
        "new machine after seconds": round(join, 2),
        "attempts lost": finished.lost,
        "job seconds": round(time.monotonic() - started, 1),
    }


def count(shards: RayJob, alone: Path, rows: int) -> dict[str, Any]:
    merged = shards.plan_path.with_name("merged.csv")
    merge(shards.plan_path, shards.plan, merged)
    seen = Counter(numbers_in(merged))
    names = ("{}", "{}.rejects.jsonl")
    pairs = [(Path(name.format(merged)), Path(name.format(alone))) for name in names]
    return {
        "lost rows": len(set(range(rows)) - set(seen)),
        "doubled rows": sum(times - 1 for times in seen.values()),
        "same bytes": all(
            one.exists() == other.exists() and (not one.exists() or one.read_bytes() == other.read_bytes())
            for one, other in pairs
        ),
    }


def numbers_in(merged: Path) -> Iterator[int]:
    with merged.open(encoding="utf-8") as lines:
        next(lines)
        yield from (int(line.partition(",")[0]) for line in lines)
    rejects = merged.with_name(f"{merged.name}.rejects.jsonl")
    if rejects.exists():
        yield from (json.loads(line)["row"] for line in rejects.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    main()
