"""Score shards of a plan: those that are whole are left alone, and each output is sealed when it is done."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from driftgate.edges.spelling import option
from driftgate.errors import OptionError, OutputError
from driftgate.files import locked
from driftgate.predict.answerer import open_answerer
from driftgate.predict.job import run_job
from driftgate.predict.journal import read_journal
from driftgate.predict.outputs import naming
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Silent, Summary, Watcher
from driftgate.predict.reading.formats import Format
from driftgate.predict.shards.folders import LocalFolder, SealedFile
from driftgate.predict.shards.machines import describe_machine
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.seal import Seal, ShardFiles, files_of, write_seal
from driftgate.predict.shards.send import send, workplace_of
from driftgate.predict.shards.shard_state import find_state
from driftgate.predict.shards.unchanged import require_same_file, require_unchanged
from driftgate.predict.shards.written_rows import check_rows
from driftgate.predict.team import OpenModel


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
    plan_path: Path | str,
    plan: Plan,
    places: Sequence[int],
    job: PredictionJob,
    *,
    progress: Watcher | None = None,
    open_model: OpenModel = open_answerer,
    overwrite: bool = False,
) -> ShardsDone:
    """Score those shards of the plan that are not whole yet.

    Args:
        plan_path: a file or a URL.
        job: model and options; its input, output and ways of reading are the plan's.
        overwrite: replace what is in the way: outputs of another plan, model or options, and files of nobody's.

    Raises:
        CorpusError: an input is not what it was when the plan was made.
        OutputError: something is in the way; an output does not have the rows that it should have.
        OptionError: another model, or other options, than the plan's. Whatever `run_job` raises.
    """
    progress = progress or Silent()
    scored = whole = held = rows = 0
    if job.workers == 1:
        open_model = lru_cache(maxsize=1)(open_model)  # loaded for the first shard only
    job = replace(job, **plan.reading, required_identity=plan.identity)
    for place in places:
        files = files_of(plan_path, plan.shards[place])
        work = files if isinstance(files.folder, LocalFolder) else workplace_of(files, plan)
        with _held(work) as is_ours:
            if not is_ours:
                held += 1
                progress.say(f"{files}: another process is at work on it")
                continue
            state = find_state(files, plan, place, job)
            if state.in_the_way and not overwrite:
                raise OutputError(f"{files}: {state.in_the_way}, or replace it with {option('overwrite', True)}")
            if state.whole:
                whole += 1
                continue
            if work is files:
                _score_shard(plan, place, work, job, progress, open_model, start_over=overwrite)
            else:
                # Nobody else writes there: what is whole has not been sent, and anything else may be replaced.
                here = find_state(work, plan, place, job)
                if not here.whole:
                    _score_shard(plan, place, work, job, progress, open_model, start_over=bool(here.in_the_way))
                if not send(work, files, plan, place, state):
                    whole += 1
                    progress.say(f"{files}: another worker was done first, and its output stays")
                    continue
            scored += 1
            rows += plan.shards[place].part.rows
    return ShardsDone(scored, whole, held, rows)


def _score_shard(
    plan: Plan,
    place: int,
    files: ShardFiles,
    job: PredictionJob,
    progress: Watcher,
    open_model: OpenModel,
    *,
    start_over: bool,
) -> None:
    shard = plan.shards[place]
    looked_at = require_unchanged(plan, place)
    write_seal(files, Seal(plan.sha256, place))
    output, rejects = Path(files.folder.path(files.name)), Path(files.folder.path(files.rejects))
    own = replace(job, input=shard.input, output=str(output), part=shard.part)
    start_over = start_over or _is_of_another_machine(own)
    # What is there under our names is not whole.
    own = replace(own, resume=not start_over, overwrite=start_over or output.exists() or rejects.exists())
    summary = run_job(own, progress=progress, open_model=open_model)
    require_same_file(shard.input, looked_at, summary.identity["input"])
    _seal(plan, place, files, own, summary)
    progress.say(f"{files}: {summary.counts.rows:,} rows, {summary.rows_per_second:,.0f} rows/s")


def _is_of_another_machine(job: PredictionJob) -> bool:
    """Whether a machine of another kind has left an interrupted run there: its rows may have other bits."""
    journal = read_journal(job.paths.journal) if job.paths else None
    return journal is not None and journal.identity.get("machine", "") != job.machine


def _seal(plan: Plan, place: int, files: ShardFiles, job: PredictionJob, summary: Summary) -> None:
    output, rejects = Path(files.folder.path(files.name)), Path(files.folder.path(files.rejects))
    form, part = Format(str(plan.reading["output_format"])), plan.shards[place].part
    rejected = rejects if rejects.is_file() else None
    digests = check_rows(output, rejected, form, part)
    sealed, also = (
        SealedFile(path.name, path.stat().st_size, sha256) if path else None
        for path, sha256 in zip((output, rejected), digests, strict=True)
    )
    identity = {name: summary.identity[name] for name in ("model", "options")}
    made = (identity, summary.counts.rows, summary.head_bytes, sealed, also, describe_machine(), job.precision)
    write_seal(files, Seal(plan.sha256, place, *made))


@contextmanager
def _held(files: ShardFiles) -> Iterator[bool]:
    """Hold a shard from the look at its output to its seal; False where another process does."""
    output = Path(files.folder.path(files.name))
    with ExitStack() as held:
        is_ours = True
        with naming(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(locked(output.with_name(f"{output.name}.shard.lock")))
            except BlockingIOError:
                is_ours = False
        yield is_ours
