"""Record raw pairs, or gate live: `python studies/gate/record.py --minutes 12 [--load] --out idle.npz`.

`--live 20` runs twenty whole gated runs without a change and twenty with a 10% slowdown, `--wide 2` two of each with 20 cells;
what they said is added to `--out FILE.json`. A recording is saved about once a minute; one that was interrupted can be used.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from calibrate import CALIBRATION, ENCODER  # noqa: E402
from live import gate_once, gate_wide  # noqa: E402
from parameters import BACKENDS, CELL_PLANS, COPIES, PART_SECONDS, SAME  # noqa: E402
from recording import Recording  # noqa: E402
from variants import Family, make_family  # noqa: E402

from driftgate.gate.cores import choose_cores, stay_on  # noqa: E402
from driftgate.gate.decisions import Round  # noqa: E402
from driftgate.gate.notes import draw_seed  # noqa: E402
from driftgate.gate.pairs import Contest, time_pairs  # noqa: E402
from driftgate.inputs.encoder import load_encoder  # noqa: E402
from driftgate.results.environment import describe_environment  # noqa: E402
from driftgate.run.device import available_threads  # noqa: E402

_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
"""Ends with this process, however that ends."""


@contextmanager
def loaded_core(wanted: bool) -> Iterator[None]:
    """A process that keeps one core busy for as long as this lasts."""
    if not wanted:
        yield
        return
    busy = subprocess.Popen([sys.executable, "-c", _BUSY])  # noqa: S603
    try:
        yield
        if busy.poll() is not None:
            raise RuntimeError(
                f"the process that loads a core ended by itself with {busy.returncode}: not a loaded run"
            )
    finally:
        busy.kill()
        busy.wait()


def make_contests(family: Family, variants: Collection[str]) -> list[Contest]:
    """Of these variants, or of all where none is named, each as often as the parameters say."""
    samples = family.draw_samples(CELL_PLANS)
    return [
        family.contest(variant, samples, f"{variant}#{copy}")
        for variant, copies in COPIES.items()
        if not variants or variant in variants
        for copy in range(copies)
    ]


def record(
    families: Sequence[Family], variants: Collection[str], recording: Recording, minutes: float, out: Path
) -> None:
    """Parts in turn until another round of all contests would exceed the time."""
    deadline = time.monotonic() + 60 * minutes
    contests = [make_contests(family, variants) for family in families]
    dearest = [0.0] * len(families)
    for number in count():
        turn = number % len(families)
        if time.monotonic() + 1.3 * dearest[turn] > deadline:
            return
        part = Part(contests[turn], min(deadline, time.monotonic() + PART_SECONDS))
        timing = time_pairs(contests[turn], part.go_on, budget_seconds=1e9, seed=draw_seed())
        recording.add(families[turn].name, timing.pairs, timing.seconds)
        recording.save(out)
        dearest[turn] = part.longest_round
        left = max(0.0, deadline - time.monotonic())
        rounds = timing.pairs[-1].round + 1
        print(
            f"{families[turn].name}: {rounds} rounds, {timing.seconds:.0f} s; {left / 60:.1f} minutes left", flush=True
        )


class Part:
    """Asked after every round whether there is time for another."""

    def __init__(self, contests: Sequence[Contest], ends: float) -> None:
        self.longest_round = 0.0
        self._cells = dict.fromkeys((cell for contest in contests for cell in contest.cells), 1.0)
        self._ends = ends
        self._began = time.monotonic()

    def go_on(self, ratios: Round) -> Mapping[str, float]:  # noqa: ARG002
        now = time.monotonic()
        self.longest_round = max(self.longest_round, now - self._began)
        self._began = now
        return self._cells if now + self.longest_round <= self._ends else {}


def gate_live(families: Sequence[Family], runs: int, document: dict[str, Any], out: Path) -> None:
    """Gated runs one after the other, without a change and with a 10% slowdown in turn, of every backend in turn."""
    for number in range(runs):
        family = families[number % len(families)]
        for variant in (SAME, "slower 10%"):
            document["runs"].append(gate_once(family, variant))
            out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            last = document["runs"][-1]
            print(f"{number + 1}/{runs} {family.name}, {variant}: {last['code']}, {last['seconds']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--minutes", type=float, help="record for so long")
    what.add_argument("--live", type=int, metavar="N", help="gate so often without a change, and with a 10%% slowdown")
    what.add_argument("--wide", type=int, metavar="N", help="the same with 20 cells")
    parser.add_argument("--load", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument(
        "--variants", type=lambda given: given.split(","), default=[], help="of --minutes; default: all"
    )
    parser.add_argument("--backends", default=",".join(BACKENDS), help="of --minutes and --live")
    parser.add_argument("--calibration", type=Path, default=CALIBRATION)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    started = time.monotonic()
    if not given.calibration.exists():
        sys.exit(f"no {given.calibration}: run python studies/gate/calibrate.py first")
    calibrated = json.loads(given.calibration.read_text(encoding="utf-8"))
    encoder = load_encoder(ENCODER)
    about = {"condition": "loaded" if given.load else "idle", "environment": asdict(describe_environment())}
    cores = choose_cores(available_threads())
    with tempfile.TemporaryDirectory() as scratch, loaded_core(given.load), stay_on(cores):
        document = {"about": about, "runs": []}
        if given.out.suffix == ".json" and given.out.exists():
            document = json.loads(given.out.read_text(encoding="utf-8"))
        if given.wide:
            gate_wide(encoder, calibrated, given.wide, document, given.out, Path(scratch))
            return
        families = [
            make_family(encoder, name, columns_of(calibrated[name]), Path(scratch))
            for name in given.backends.split(",")
        ]
        if given.live:
            gate_live(families, given.live, document, given.out)
            return
        minutes = given.minutes - (time.monotonic() - started) / 60
        record(families, given.variants, Recording(about), minutes, given.out)


def columns_of(calibrated: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Of each slowdown that was calibrated."""
    return {variant: found["columns"] for variant, found in calibrated.items()}


if __name__ == "__main__":
    main()
