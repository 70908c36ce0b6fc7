"""Raw pairs on disk, as the gate's own schedule timed them, and gated runs replayed from disjoint blocks of their rounds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from parameters import MOST_ROUNDS

from driftgate.gate.decisions import Referee
from driftgate.gate.pairs import Pair, controls_of, rounds_of
from driftgate.gate.rule import SpeedRule, Verdict, exit_code
from driftgate.gate.verdicts import TimedRun, judge_cells


@dataclass
class Recording:
    """Pairs of every contest, by backend; rounds count on from part to part.

    Args:
        about: condition ("idle" or "loaded"), environment, parameters.
        parts: of each, its backend, and how many rounds it had, of how many contests, in how many seconds.
        joined: the same of every recording that was joined to this one.
    """

    about: dict[str, Any]
    parts: list[dict[str, Any]] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    joined: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sittings(self) -> int:
        """Recordings that were joined, this one included."""
        return 1 + len(self.joined)

    @property
    def machines(self) -> list[str]:
        """Their processors and cores, each once."""
        environments = [about["environment"] for about in (self.about, *self.joined)]
        return sorted({f"{own['cpu']}, {own['usable_cores']} cores" for own in environments})

    def add(self, backend: str, pairs: Sequence[Pair], seconds: float) -> None:
        """Append a part."""
        self._append(backend, pairs)
        rounds = pairs[-1].round + 1
        contests = len({pair.backend for pair in pairs})
        self.parts.append({"backend": backend, "rounds": rounds, "contests": contests, "seconds": seconds})

    def join(self, later: "Recording") -> None:
        """Append a recording of the same condition."""
        for backend, pairs in later.pairs.items():
            self._append(backend, pairs)
        self.parts += later.parts
        self.joined += [later.about, *later.joined]

    def _append(self, backend: str, pairs: Sequence[Pair]) -> None:
        own = self.pairs.setdefault(backend, [])
        first = own[-1].round + 1 if own else 0
        own += [replace(pair, round=first + pair.round) for pair in pairs]

    def seconds_a_round(self, backend: str) -> float:
        """Of one contest."""
        own = [part for part in self.parts if part["backend"] == backend]
        return sum(part["seconds"] for part in own) / sum(part["rounds"] * part["contests"] for part in own)

    def block_of(self, backend: str, number: int) -> int:
        """Which of the backend's parts a round belongs to."""
        ends = np.cumsum([part["rounds"] for part in self.parts if part["backend"] == backend])
        return int(np.searchsorted(ends, number, side="right"))

    def contests(self, backend: str) -> dict[str, list[Pair]]:
        """Pairs by contest, in the order they were timed."""
        found: dict[str, list[Pair]] = {}
        for pair in self.pairs[backend]:
            found.setdefault(pair.backend, []).append(pair)
        return found

    def save(self, path: Path) -> None:
        """Written whole or not at all."""
        rows = [(backend, pair) for backend, pairs in self.pairs.items() for pair in pairs]
        columns = {
            "backend": np.array([backend for backend, _ in rows]),
            "contest": np.array([pair.backend for _, pair in rows]),
            "cell": np.array([pair.cell for _, pair in rows]),
            "round": np.array([pair.round for _, pair in rows], dtype=np.int32),
            "baseline_ns": np.array([pair.baseline_ns for _, pair in rows], dtype=np.int64),
            "candidate_ns": np.array([pair.candidate_ns for _, pair in rows], dtype=np.int64),
            "candidate_first": np.array([pair.candidate_first for _, pair in rows], dtype=np.bool_),
            "is_control": np.array([pair.is_control for _, pair in rows], dtype=np.bool_),
        }
        header = np.array(json.dumps({"about": self.about, "parts": self.parts}))
        half_made = path.with_suffix(".tmp.npz")
        np.savez_compressed(half_made, header=header, **columns)
        half_made.replace(path)


def load_recording(path: Path) -> Recording:
    """What `Recording.save` wrote."""
    with np.load(path) as file:
        header = json.loads(str(file["header"]))
        columns = {name: file[name].tolist() for name in file.files if name != "header"}
    recording = Recording(header["about"], header["parts"])
    names = ("contest", "cell", "round", "baseline_ns", "candidate_ns", "candidate_first", "is_control")
    for backend, *values in zip(columns["backend"], *(columns[name] for name in names), strict=True):
        recording.pairs.setdefault(backend, []).append(Pair(*values))
    return recording


@dataclass(frozen=True)
class Run:
    """A replayed gated run: rounds `start` to `start + rounds` of a contest, and what the gate said of its cells."""

    start: int
    rounds: int
    verdicts: Mapping[str, Verdict]

    @property
    def code(self) -> int:
        """pytest's exit code: 0 pass, 1 regression, 7 not measurable."""
        return exit_code(self.verdicts.values())


def replay(timed: TimedRun, rule: SpeedRule, most_rounds: int = MOST_ROUNDS) -> list[Run]:
    """Gated runs one after the other, each from the round after the one at which the run before was decided.

    What is left at the end and decides nothing is no run.
    """
    runs: list[Run] = []
    start = 0
    while start < len(timed.rounds):
        referee, rounds = Referee(list(timed.backends), rule), 0
        for ratios in timed.rounds[start : start + most_rounds]:
            referee.add(ratios)
            rounds += 1
            if not referee.rounds_left():
                break
        else:
            if rounds < most_rounds:
                break
        judged = judge_cells(cut(timed, start, rounds), rule)
        runs.append(Run(start, rounds, {cell: found.verdict for cell, found in judged.items()}))
        start += rounds
    return runs


def cut(timed: TimedRun, start: int, rounds: int) -> TimedRun:
    """Those rounds alone."""
    chosen = slice(start, start + rounds)
    return TimedRun(timed.backends, timed.rounds[chosen], {name: own[chosen] for name, own in timed.controls.items()})


def timed_of(pairs: Sequence[Pair]) -> TimedRun:
    """One contest, as the gate's judge takes it."""
    cells = dict.fromkeys(pair.cell for pair in pairs if not pair.is_control)
    return TimedRun(dict.fromkeys(cells, pairs[0].backend), rounds_of(pairs), controls_of(pairs))


def slow_down(timed: TimedRun, share: float) -> TimedRun:
    """The same rounds with the candidate's times multiplied by 1 + `share`."""
    rounds = [{cell: ratio + float(np.log1p(share)) for cell, ratio in ratios.items()} for ratios in timed.rounds]
    return replace(timed, rounds=rounds)


def control_as_candidate(pairs: Sequence[Pair]) -> TimedRun:
    """The second load of the baseline judged as if it were a candidate; there is no control of its own to void a verdict."""
    (ratios,) = controls_of(pairs).values()
    return TimedRun({"control": pairs[0].backend}, [{"control": ratio} for ratio in ratios], {})
