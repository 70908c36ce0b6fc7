"""How many processes are worth it: teams take turns on a sample of the first rows, and the fastest answers the file."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain, cycle, islice

from driftgate.errors import WorkerError
from driftgate.predict.answerer import AnsweredWindow
from driftgate.predict.job_identity import bits_depend_on_threads
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.reading.rows import Window, count_chars
from driftgate.predict.team import Alone, Team
from driftgate.predict.workers.crew import Crew
from driftgate.run.device import available_threads

WORTH_A_TRIAL = 10.0
"""How many times as long as the turns of its first trial a job has to take."""
TURN_SECONDS, TURNS = 1.0, 2
WORTH_A_CREW = 1.05
"""How much faster a crew has to be: it needs more memory."""
_PIECE_CHARS, _MOST_PIECE_ROWS = 4_096, 32
_LEAST_PIECES = 4  # for each worker and turn: whoever has the last one lets the others wait

StartCrew = Callable[[int, int], Crew]


def crews_to_try(job: PredictionJob) -> list[tuple[int, int]]:
    """Workers and threads of each, from few workers to many: each doubles them. Empty where one process is the only choice.

    That is on a GPU, on one core, and where bits depend on the number of threads: a file would have others on another machine.
    """
    cores = available_threads()
    fixed = job.settings.threads if job.settings else 0
    if (job.settings and job.settings.device.kind != "cpu") or (not fixed and bits_depend_on_threads(job.backend)):
        return []
    counts = [2**power for power in range(1, cores.bit_length()) if 2**power * max(fixed, 1) <= cores]
    return [(workers, fixed or cores // workers) for workers in counts]


class Trial:
    """One process, unless a crew turns out to be faster on a job that is long enough.

    Args:
        start: a crew of so many workers, with so many threads each.
        crews: workers and threads to try, until more workers are no faster.
        total: of the input, in the unit of positions; 0 where nobody knows, and then any job that fills a window is long enough.
        say: called with what was chosen.
    """

    def __init__(
        self, alone: Alone, start: StartCrew, crews: list[tuple[int, int]], total: int, say: Callable[[str], object]
    ) -> None:
        self._team: Team = alone
        self._start, self._crews, self._total, self._say = start, crews, total, say
        self.sha256 = alone.sha256

    def answer(self, windows: Iterator[Window]) -> Generator[AnsweredWindow]:
        """The windows with their logits, in order.

        Raises:
            DriftgateError: as the team that was chosen.
        """
        head = list(islice(windows, 2))
        if len(head) > 1 and head[0].rows:
            self._choose(head[0])
        with closing(self._team.answer(chain(head, windows))) as answered:
            yield from answered

    def close(self) -> None:
        """End what was started."""
        self._team.close()

    def _choose(self, window: Window) -> None:
        pieces = _cut(window)
        _turn(self._team, pieces[:1])  # the first answers of a model take longer
        seconds = _turn(self._team, pieces[:1])
        share = window.position / self._total if self._total else 0.0
        turns = 2 * TURNS * max(TURN_SECONDS, seconds * self._crews[0][0] * _LEAST_PIECES)
        if share and seconds * len(pieces) / share < WORTH_A_TRIAL * turns:
            return
        for workers, threads in self._crews:
            if not self._try(workers, threads, pieces, seconds):
                return

    def _try(self, workers: int, threads: int, pieces: list[Window], seconds: float) -> bool:
        """Whether that crew is so much faster than the team so far that it is worth it; then it is the team from now on."""
        count = workers * max(round(TURN_SECONDS / seconds / workers), _LEAST_PIECES)
        turn = list(islice(cycle(pieces), count))
        crew = self._start(workers, threads)
        kept = False
        try:
            _turn(crew, list(islice(cycle(pieces), workers)))
            times = [(_turn(self._team, turn), _turn(crew, turn)) for _ in range(TURNS)]
            ratio = sum(before for before, _ in times) / sum(now for _, now in times)
            kept = ratio >= WORTH_A_CREW
        except WorkerError as error:
            self._say(f"{workers} processes are not used: {error}")
        finally:
            if not kept:
                crew.close()
        if kept:
            self._team.close()
            self._team = crew
            self._say(f"{workers} processes of {threads} threads: {ratio:.2f} times as fast as fewer")
        return kept


def _cut(window: Window) -> list[Window]:
    """Pieces of a window, of its short and its long texts alike: a batch or a few each."""
    rows = window.rows
    count = min(max(len(rows) // _MOST_PIECE_ROWS, sum(map(count_chars, rows)) // _PIECE_CHARS, 1), len(rows))
    return [Window(window.rows[at::count], (), 0) for at in range(count)]


def _turn(team: Team, pieces: list[Window]) -> float:
    """Seconds that a team takes for them."""
    started = time.monotonic()
    for _ in team.answer(iter(pieces)):
        pass
    return time.monotonic() - started
