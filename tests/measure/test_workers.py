"""Teams of worker processes: they start together, the slowest counts, and none outlives a failure or its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from driftgate.errors import WorkerError
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.measure import workers
from driftgate.measure.shares import write_tokens
from driftgate.measure.workers import Team, start_team

# What a row does when it is answered: the first token id says it.
SLEEPS, DIES, HANGS, FAILS, BREAKS, SHORT = 20, 30, 40, 50, 60, 70
STAND_IN = f"""
import os, sys, time
import numpy as np
from driftgate.measure.remote import serve
from driftgate.measure.shares import ShareWorker
from driftgate.run.backend import InForce


class StandIn:
    in_force = InForce("stand-in", "float32", os.getpid())

    def prepare(self, batch):
        what, primed = int(batch.input_ids[0, 0]), []

        def run():
            if not primed:  # whatever a batch does, it does it from its second answer on
                primed.append(True)
            elif what == {SLEEPS}:
                time.sleep(0.3)
            elif what == {DIES}:
                print("out of luck", file=sys.stderr, flush=True)
                os._exit(3)
            elif what == {HANGS}:
                time.sleep(600)
            elif what == {FAILS}:
                raise ArithmeticError("an answer that cannot be given")
            rows = len(batch.rows) - (what == {SHORT})
            return np.full((rows, 2), np.nan if what == {BREAKS} else 0.0, np.float32)

        return run


serve(ShareWorker(lambda model: StandIn()).answer)
"""

Open = Callable[[int], "Team"]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its folder has to be on the PYTHONPATH of whoever starts a team."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "stand_in_team.py").write_text(STAND_IN, encoding="utf-8")
    return str(folder)


@pytest.fixture
def stand_in(module: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", module)
    return "stand_in_team"


def tokens_of(path: Path, *first_ids: int) -> Path:
    """A file of rows that each begin with one of the ids."""
    rows = tuple(np.array([first, 1], dtype=np.int64) for first in first_ids)
    write_tokens(path, TokenizedTexts(rows, None, (False,) * len(rows), 0))
    return path


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ended(pids: list[int], seconds: float = 5.0) -> bool:
    limit = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < limit:
        time.sleep(0.01)
    return not any(map(is_running, pids))


def pids_of(team: Team) -> list[int]:
    return [worker._process.pid for worker in team._workers]


def test_workers_start_together_answer_their_shares_and_the_slowest_counts(stand_in: str, tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path / "tokens.npz", 1, 2)
    with start_team("stand-in", 2, {}, module=stand_in) as team:
        assert team.facts["provider"] == "stand-in"
        assert team.facts["threads"] in pids_of(team)
        block = team.time_block(4, tokens, [[[0]], [[1]]])
        alone = team.time_block(5, tokens, [[[0], [1]]])
        # What ends a whole group reaches workers too; they wait for what the parent decides.
        for pid in pids_of(team):
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        again = team.time_block(6, tokens, [[[0]], [[1]]])
    assert (block.number, alone.number, again.number) == (4, 5, 6)
    assert len(block.begun_ns) == 2
    assert len(alone.begun_ns) == 1
    assert min(block.begun_ns) >= block.start_ns  # nobody begins before the others are ready
    assert ended(pids_of(team))


def test_a_block_is_as_long_as_its_slowest_share(stand_in: str, tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path / "tokens.npz", 1, SLEEPS)
    with start_team("stand-in", 2, {}, module=stand_in) as team:
        block = team.time_block(0, tokens, [[[0], [0], [0]], [[1], [1]]])
    assert block.worker_seconds[1] >= 0.3  # of two such batches, the one that was primed sleeps
    assert block.worker_seconds[0] < 0.3
    assert block.seconds >= 0.3


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            DIES,
            r"(?s)stand-in, worker 2 of 2: it died at 'run', exit code 3; the last lines of its standard error:\nout of luck",
        ),
        (FAILS, r"(?s)worker 2 of 2: 'run' failed:.*an answer that cannot be given"),
        (BREAKS, r"(?s)worker 2 of 2: 'run' failed:\n1 rows have NaN"),
        (SHORT, r"expected answers for 2 rows, found 1"),
    ],
)
def test_a_worker_that_fails_is_shown_and_the_others_are_ended(
    what: int, words: str, stand_in: str, tmp_path: Path
) -> None:
    # Beside one that dies, the other would sleep for minutes.
    tokens = tokens_of(tmp_path / "tokens.npz", 1 if what == SHORT else HANGS, what)
    started = time.monotonic()
    with start_team("stand-in", 2, {}, module=stand_in) as team:
        with pytest.raises(WorkerError, match=words):
            team.time_block(0, tokens, [[[0]], [[1]]])
        if what != SHORT:
            assert ended(pids_of(team))
    assert time.monotonic() - started < 30


def test_a_worker_that_hangs_is_ended_after_its_time(
    stand_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LEAST_RUN_SECONDS", 0.3)
    tokens = tokens_of(tmp_path / "tokens.npz", 1, HANGS)
    with start_team("stand-in", 2, {}, module=stand_in) as team:
        with pytest.raises(WorkerError, match=r"worker 2 of 2: no answer to 'run' in 0.3 s; it was ended"):
            team.time_block(0, tokens, [[[0]], [[1]]])
        assert ended(pids_of(team))


PARENT = """
import sys
from pathlib import Path
from driftgate.measure.workers import start_team
with start_team("stand-in", 2, {}, module="stand_in_team") as team:
    print(*(worker._process.pid for worker in team._workers), flush=True)
    team.time_block(0, Path(sys.argv[1]), [[[0]], [[1]]])
"""


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc to see other processes")
def test_no_worker_outlives_a_parent_that_is_killed(stand_in: str, tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path / "tokens.npz", HANGS, HANGS)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tokens)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_running, pids))
        time.sleep(0.2)  # some way into the calls
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert ended(pids)
