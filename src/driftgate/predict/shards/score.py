"""Score shards of a plan: those that are whole are left alone, and each output is sealed when it is done."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from driftgate.builder.artifact import file_sha256
from driftgate.edges.spelling import option
from driftgate.errors import CorpusError, OptionError
from driftgate.inputs.encoder import Encoder
from driftgate.predict.answerer import Answerer, open_answerer
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Silent, Watcher
from driftgate.predict.shards.plan import Plan, digest_range
from driftgate.predict.shards.seal import Seal, ShardFiles, files_of, find_fault, write_seal
from driftgate.predict.team import OpenModel
from driftgate.run.device import RunSettings


@dataclass(frozen=True, slots=True)
class ShardsDone:
    """What one call did.

    Args:
        scored: shards scored now. `whole`: done before. `held`: another process is at work on them.
        rows: scored now.
    """

    scored: int
    whole: int
    held: int
    rows: int


def choose_shards(plan: Plan, share: str) -> list[int]:
    """Which shards `I/N` means: of N workers, counted from 1, the I-th takes every N-th shard.

    Raises:
        OptionError: not two numbers, or not from 1 to N.
    """
    first, _, of = share.partition("/")
    if not (first.isdecimal() and of.isdecimal() and 1 <= int(first) <= int(of)):
        raise OptionError(f"{option('shard', share)}: expected I/N with I from 1 to N, such as 1/8")
    return list(range(int(first) - 1, len(plan.shards), int(of)))


def score_shards(
    plan_path: Path,
    plan: Plan,
    places: Sequence[int],
    job: PredictionJob,
    *,
    progress: Watcher | None = None,
    open_model: OpenModel = open_answerer,
) -> ShardsDone:
    """Score those shards of the plan that are not whole yet.

    Args:
        job: model and options; its input, output and ways of reading are the plan's.

    Raises:
        CorpusError: an input is not what it was when the plan was made. Whatever `run_job` raises.
    """
    progress = progress or Silent()
    scored = whole = held = rows = 0
    opened = _opening_once(open_model) if job.workers == 1 else open_model
    for place in places:
        files = files_of(plan_path, plan.shards[place])
        with _held(files) as is_ours:
            if not is_ours:
                held += 1
                progress.say(f"{files.output}: another process is at work on it")
            elif not find_fault(files, plan, place):
                whole += 1
            else:
                scored += 1
                rows += _score_shard(plan, place, files, job, progress, opened)
    return ShardsDone(scored, whole, held, rows)


def _score_shard(
    plan: Plan, place: int, files: ShardFiles, job: PredictionJob, progress: Watcher, open_model: OpenModel
) -> int:
    """Its rows."""
    _require_unchanged(plan, place)
    shard = plan.shards[place]
    own = replace(
        job,
        **plan.reading,
        input=shard.input,
        output=str(files.output),
        part=shard.part,
        resume=True,
        # What is there under our names is not whole, or of another plan.
        overwrite=files.output.exists() or files.rejects.exists(),
    )
    files.seal.unlink(missing_ok=True)
    summary = run_job(own, progress=progress, open_model=open_model)
    rejects = file_sha256(files.rejects) if files.rejects.is_file() else ""
    identity = {name: summary.identity[name] for name in ("model", "options")}
    digest = file_sha256(files.output)
    write_seal(files, Seal(plan.sha256, place, identity, summary.counts.rows, summary.head_bytes, digest, rejects))
    progress.say(f"{files.output}: {summary.counts.rows:,} rows, {summary.rows_per_second:,.0f} rows/s")
    return summary.counts.rows


@contextmanager
def _held(files: ShardFiles) -> Iterator[bool]:
    """Hold a shard from the look at its output to its seal; False where another process does."""
    from filelock import FileLock, Timeout

    lock = FileLock(files.output.with_name(f"{files.output.name}.shard.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _require_unchanged(plan: Plan, place: int) -> None:
    shard = plan.shards[place]
    path = Path(shard.input)
    if not path.is_file():
        raise CorpusError(
            f"{path}: no such file; the plan was made of it, and names it as seen from the current folder"
        )
    if digest_range(path, shard.part.first_byte, shard.part.end_byte) != shard.sha256:
        raise CorpusError(f"{path}: it has changed since the plan was made; make the plan again with `driftgate shard`")


def _opening_once(open_model: OpenModel) -> OpenModel:
    """The model is loaded for the first shard only."""

    @lru_cache(maxsize=1)
    def opened(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
        return open_model(encoder, backend, settings)

    return opened
