"""Whether a worker on another machine has the model that the job means, and computes what it should.

The golden vectors beside a published model are asked where there are any. Otherwise the process that gives out the shards asks
the model a few embedded texts itself, and its answers are what the workers have to give.
"""

from dataclasses import dataclass
from pathlib import Path

from driftgate.arrays import Logits
from driftgate.backends import Precision
from driftgate.errors import ArtifactError
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.embedded import throughput_corpus
from driftgate.pipeline import choose_backends, prepare_backend
from driftgate.predict.answerer import Answerer, answer_rows, open_answerer
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.reading.rows import Row
from driftgate.run.device import RunSettings
from driftgate.verify.check_model import TOLERANCES, require_verified
from driftgate.verify.closeness import measure_closeness
from driftgate.verify.vector_sets import find_sets

_TEXTS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What a worker's model has to show.

    Args:
        sha256: of the files that answer; empty for any.
        precision: the class of arithmetic, which says how far other machines' answers may be.
        vectors: a model file with golden vectors beside it.
        answers: to the first embedded texts, float32, (texts, labels); None where there are vectors.
    """

    sha256: str = ""
    precision: str = ""
    vectors: Path | None = None
    answers: Logits | None = None


def make_proof(job: PredictionJob) -> Proof:
    """Build the model, or take it from the cache, and ask it where no golden vectors are beside it.

    Raises:
        DriftgateError: it cannot be built or loaded.
    """
    (spec,) = choose_backends(job.backend)
    built = prepare_backend(job.encoder, spec)
    precision = str(built.spec.precision)
    if built.artifact and find_sets(built.artifact.model):
        return Proof(built.artifact.sha256, precision, vectors=built.artifact.model.absolute())
    answerer = open_answerer(job.encoder, job.backend, RunSettings(1))
    return Proof(answerer.sha256, precision, answers=_ask(answerer, job))


def require_proof(proof: Proof, answerer: Answerer, job: PredictionJob, settings: RunSettings) -> None:
    """Refuse another model than the job's, and one that computes something else here.

    Raises:
        ArtifactError: with what differs.
    """
    if proof.sha256 and answerer.sha256 != proof.sha256:
        raise ArtifactError(
            f"{job.backend}: it has other bytes here (sha256 {answerer.sha256[:12]}) than where the job was started "
            f"({proof.sha256[:12]}); give a folder that `driftgate build` wrote, on a path that all machines share"
        )
    if proof.vectors and not require_verified(proof.vectors, settings):
        raise ArtifactError(
            f"{proof.vectors}: no golden vectors are beside it here, as there are where the job was started; "
            "give all machines the same folder"
        )
    if proof.answers is None:
        return
    tolerance, reason = TOLERANCES.get(proof.precision) or TOLERANCES[Precision.FP32]
    closeness = measure_closeness(proof.answers, _ask(answerer, job), tolerance)
    if closeness.beyond:
        raise ArtifactError(
            f"{job.backend}: it answers otherwise here: {closeness.beyond} of {closeness.elements} logits of embedded texts "
            f"differ by up to {closeness.max_abs:.2g}, beyond what {reason} explains; use machines on which `driftgate verify` "
            "passes"
        )


def _ask(answerer: Answerer, job: PredictionJob) -> Logits:
    texts = throughput_corpus("normal", pairs=job.encoder.takes_pairs).texts[:_TEXTS]
    rows = [Row(number, text) for number, text in enumerate(texts)]
    return answer_rows(rows, answerer, BudgetPlan(job.token_budget), len(job.encoder.labels)).logits
