"""What crosses between a job and its workers on other machines: paths, options and summaries, and never a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.edges.packages import installed_versions
from driftgate.engines.proof import Proof
from driftgate.predict.answerer import open_answerer
from driftgate.predict.job_identity import bits_depend_on_threads
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.team import OpenModel

_PACKAGES = ("driftgate", "onnxruntime", "onnxruntime-gpu", "tokenizers")


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker of a job is told. Its paths have to be valid on every machine.

    Args:
        plan_path: absolute, or a URL. `plan`: the sha256 of what has to be there.
        folder: where relative paths begin.
        job: model and options; its input, output and ways of reading are the plan's.
        threads: of each worker.
        proof: what shows that a worker has loaded the same model.
        versions: of the packages that answers depend on, by name; every machine needs the same.
        mixed_machines: whether INT8 may be scored on machines of different kinds.
        overwrite: as `score_shards` has it.
        open_model: a function of a module, which workers import.
    """

    plan_path: str
    plan: str
    folder: Path
    job: PredictionJob
    threads: int
    proof: Proof
    versions: Mapping[str, str]
    mixed_machines: bool = False
    overwrite: bool = False
    open_model: OpenModel = open_answerer


def read_versions(backend: str) -> dict[str, str]:
    """Versions of the installed packages that the answers of a backend depend on."""
    return installed_versions((*_PACKAGES, *(("torch",) if bits_depend_on_threads(backend) else ())))


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker says of itself once it has loaded the model.

    Args:
        node: the machine, as the engine calls it. `host`: as people do. `process`: its number there.
        machine: `cpu` and `instruction_sets`, as in a seal.
        seconds: that it took to load the model and to prove it.
    """

    node: str
    host: str
    process: int
    machine: Mapping[str, Any]
    seconds: float
