"""Score a file with a model: `run_job(PredictionJob(...))`.

Three stages work at once: one reads, one asks the model, the caller's thread writes.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import CorpusError, DriftgateError, InputChangedError, OptionError
from driftgate.inputs.encoder import ProblemType
from driftgate.predict.answerer import AnsweredWindow, open_answerer
from driftgate.predict.job_identity import identify, require_planned
from driftgate.predict.journal import Counts, Journal, require_same, require_unchanged
from driftgate.predict.outputs import FileOutput, StreamOutput, publish
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Pace, Silent, Summary, Watcher
from driftgate.predict.reading.formats import Format, find_format, is_gzip_name, is_pipe
from driftgate.predict.reading.rows import Window, make_windows
from driftgate.predict.reading.source import Source, open_source, take_part
from driftgate.predict.score_layout import Layout
from driftgate.predict.team import OpenModel, Team, open_team
from driftgate.predict.write_access import find_journal, locked, require_apart, require_free
from driftgate.predict.writers import Writer, encode_rejected, open_writer


def run_job(job: PredictionJob, *, progress: Watcher | None = None, open_model: OpenModel = open_answerer) -> Summary:
    """Score every row of the input, in order, in constant memory.

    Raises:
        OptionError, CorpusError, OutputError: names, options or files that do not fit, before any model is loaded; a full
            disk. What is done by then is kept, and `resume` continues it.
        DriftgateError: the model cannot be loaded.
        BrokenPipeError: nobody reads the output any more.
        KeyboardInterrupt: after what is done was made safe.
    """
    progress = progress or Silent()
    source_format = find_format(job.input, job.input_format, output=False)
    if not find_format(job.output, job.output_format, output=True).is_delimited and job.csv_safe:
        raise OptionError(f"{option('csv_safe', True)}: {job.output} is neither CSV nor TSV; leave it out")
    if job.resume and (is_pipe(job.input) or is_pipe(job.output)):
        raise OptionError(
            f"{option('resume', True)}: a pipe cannot be read or written again from the middle; use files"
        )
    require_apart(job.input, job.written)
    if job.pair_column and source_format is Format.TXT:
        raise OptionError(
            f"{option('pair_column', job.pair_column)}: a file of one text a line has no second texts; give CSV, TSV, JSONL or "
            "Parquet"
        )
    options = job.of_input(job.input, full_digest=job.full_digest)
    with closing(take_part(open_source(job.input, source_format, options, job.part), job.part)) as source:
        if job.paths is None:
            if job.rejects and not job.overwrite:
                require_free(Path(job.rejects))
            return _run(job, source, None, progress, open_model)
        with locked(job.paths):
            journal = find_journal(job.paths, resume=job.resume, overwrite=job.overwrite)
            return _run(job, source, journal, progress, open_model)


def _run(
    job: PredictionJob, source: Source, journal: Journal | None, progress: Watcher, open_model: OpenModel
) -> Summary:
    done = journal.counts.rows if journal else 0
    windows = make_windows(islice(source.rows, done, None), source.position, job.rows_at_once)
    # What is wrong with the input is said before minutes of building.
    waiting = _peek(windows, job) if journal is None else windows
    with closing(open_team(job, open_model, source.total, progress.say)) as team:
        return _score(job, source, journal, progress, waiting, team)


def _score(
    job: PredictionJob,
    source: Source,
    journal: Journal | None,
    progress: Watcher,
    waiting: Iterator[Window],
    team: Team,
) -> Summary:
    identity = identify(job, team.sha256, source.opened)
    if journal is None:
        journal = Journal(identity)
    else:
        require_same(Path(job.output), journal.identity, identity)
    if job.required_identity is not None:
        require_planned(job.required_identity, identity)
    started = time.monotonic()
    writer = _open_writer(job, source)
    if job.paths is not None and journal.finished:
        publish(job.paths, writer)
        return _sum_up(job, journal.counts, journal.counts, started, identity, len(writer.head()))
    output: FileOutput | StreamOutput
    if job.paths is None:
        output = StreamOutput(job.output, Path(job.rejects).resolve() if job.rejects else None, writer)
    else:
        output = FileOutput(job.paths, writer, journal, job.commit_seconds)
    before = counts = journal.counts
    pace = Pace(before.rows, source.total)
    try:
        output.begin()
        with closing(team.answer(waiting)) as windows_done:
            for window in windows_done:
                counts = _count(counts, window)
                output.append(writer.rows(window), encode_rejected(window.rejected), counts)
                progress.update(counts.rows, *pace.at(counts.rows, window.position))
        require_unchanged(job.input, source.opened, source.identity())
        output.finish()
    except InputChangedError:
        raise  # what was done belongs to no input that there is
    except BaseException:
        _say_what_is_kept(job, output, progress)
        raise
    finally:
        output.close()
    return _sum_up(job, before, counts, started, identity, len(writer.head()))


def _say_what_is_kept(job: PredictionJob, output: FileOutput | StreamOutput, progress: Watcher) -> None:
    kept = False
    with contextlib.suppress(DriftgateError, OSError):  # a full disk stays full: what was kept before is still there
        kept = output.keep()
    if kept and is_pipe(job.input):
        progress.say(f"the rows done so far are in {job.output}.partial; a pipe cannot be resumed")
    elif kept:
        again = f"the same job with {option('resume', True)}"
        progress.say(f"the rows done so far are kept beside {job.output}; {again} continues")


def _sum_up(
    job: PredictionJob, before: Counts, counts: Counts, started: float, identity: Mapping[str, Any], head_bytes: int
) -> Summary:
    rejects = str(job.paths.rejects) if job.paths and not job.rejects else job.rejects
    seconds = time.monotonic() - started
    shown = rejects if counts.all_rejected else ""
    return Summary(counts, before.rows, seconds, job.output, shown, bool(job.pair_column), identity, head_bytes)


def _count(counts: Counts, window: AnsweredWindow) -> Counts:
    rejected = Counter(counts.rejected) + Counter(str(row.reason) for row in window.rejected)
    return Counts(
        counts.rows + len(window.numbers) + len(window.rejected),
        dict(rejected),
        counts.tokens + window.tokens,
        counts.truncated + window.truncated,
    )


def _peek(windows: Iterator[Window], job: PredictionJob) -> Iterator[Window]:
    first = next(windows, None)
    if first is None:
        raise CorpusError(f"{job.input}: it has no rows; expected at least one text")
    return chain((first,), windows)


def _open_writer(job: PredictionJob, source: Source) -> Writer:
    encoder = job.encoder
    layout = Layout(
        encoder.labels,
        encoder.problem_type is ProblemType.MULTI_LABEL,
        job.thresholds or encoder.thresholds or (0.5,) * len(encoder.labels),
        bool(job.id_column),
        job.top,
        job.logits,
        encoder.gives_score,
    )
    form = find_format(job.output, job.output_format, output=True)
    return open_writer(form, layout, gzipped=is_gzip_name(job.output), id_type=source.id_type, csv_safe=job.csv_safe)
