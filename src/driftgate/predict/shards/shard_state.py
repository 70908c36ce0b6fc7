"""What is there of a shard before a job begins: a whole output, rows to go on with, or something else of the same name."""

import json
from dataclasses import dataclass

from driftgate.predict.job_identity import identify_model
from driftgate.predict.journal import differences
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.seal import ShardFiles, find_fault, parse_seal

_ELSEWHERE = "put this plan into a folder of its own"


@dataclass(frozen=True, slots=True)
class ShardState:
    """Of one shard in one folder.

    Args:
        seal: what was read under its name.
        whole: nothing is left to do.
        in_the_way: what would be lost if a job began; empty where nothing would.
    """

    seal: bytes | None
    whole: bool = False
    in_the_way: str = ""


def find_state(files: ShardFiles, plan: Plan, place: int, job: PredictionJob) -> ShardState:
    """Look at the output and its seal.

    Args:
        job: model and options, which a whole output must be of. Which file answers is only known once it is loaded.
    """
    content = files.folder.read(files.seal)
    seal = parse_seal(content)
    if seal is None:
        there = content is not None or files.folder.has(files.name)
        return ShardState(
            content, in_the_way=f"a file is there that no plan vouches for; {_ELSEWHERE}" if there else ""
        )
    if (seal.plan, seal.shard) != (plan.sha256, place):
        return ShardState(content, in_the_way=f"it is the output of another plan; {_ELSEWHERE}")
    if find_fault(files, plan, place):
        return ShardState(content)
    own = json.loads(json.dumps(identify_model(job, seal.identity["model"]["sha256"])))
    changed = "; ".join(differences(seal.identity, own))
    if changed:
        return ShardState(
            content, in_the_way=f"it was scored by another model or with other options: {changed}; {_ELSEWHERE}"
        )
    return ShardState(content, whole=True)
