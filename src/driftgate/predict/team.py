"""Who answers a job's windows: this process, or worker processes."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from threading import Event
from typing import Protocol

from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.encoder import Encoder
from driftgate.predict.answerer import AnsweredWindow, Answerer, answer_windows, tokenize_windows
from driftgate.predict.overlap import overlapped
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.reading.rows import Window
from driftgate.run.device import RunSettings

OpenModel = Callable[[Encoder, str, RunSettings], Answerer]


class Team(Protocol):
    """Answers windows."""

    @property
    def sha256(self) -> str:
        """Of the files that answer."""
        ...

    def answer(self, windows: Iterator[Window]) -> Generator[AnsweredWindow]:
        """The windows with their logits, in order."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class Alone:
    """This process: one thread reads and tokenizes, another one asks the model."""

    def __init__(self, job: PredictionJob, answerer: Answerer) -> None:
        self._job, self._answerer = job, answerer
        self.sha256 = answerer.sha256

    def answer(self, windows: Iterator[Window]) -> Generator[AnsweredWindow]:
        reading, answering = Event(), Event()
        tokenized = overlapped(tokenize_windows(windows, self._answerer), reading, answering)
        plan, labels = BudgetPlan(self._job.token_budget), len(self._job.encoder.labels)
        return overlapped(answer_windows(tokenized, self._answerer, plan, labels, answering), answering)

    def close(self) -> None:
        pass


def open_alone(job: PredictionJob, open_model: OpenModel) -> Alone:
    """Load the model in this process, which has its cores to itself.

    Raises:
        DriftgateError: it cannot be loaded.
    """
    return Alone(job, open_model(job.encoder, job.backend, replace(job.run_settings, spins=True)))


def open_team(job: PredictionJob, open_model: OpenModel, total: int = 0, say: Callable[[str], object] = str) -> Team:
    """Load the model here, or where the job asks for several workers, in processes of their own.

    Args:
        total: of the input, in the unit of positions; 0 where nobody knows. Jobs that choose their workers ask for it.
        say: called with what they chose.

    Raises:
        DriftgateError: it cannot be loaded.
    """
    if job.workers == 1:
        return open_alone(job, open_model)
    from driftgate.predict.workers.crew import Crew
    from driftgate.predict.workers.started_host import Opening

    opener = f"{open_model.__module__}:{open_model.__qualname__}"

    def start_crew(workers: int, threads: int) -> Crew:
        return Crew(Opening(job.encoder, job.backend, opener, threads, job.token_budget), workers)

    if job.workers:
        return start_crew(job.workers, job.run_settings.threads)
    from driftgate.predict.workers.trial import Trial, crews_to_try

    alone, crews = open_alone(job, open_model), crews_to_try(job)
    return Trial(alone, start_crew, crews, total, say) if crews else alone
