"""Find how much work makes an artifact slower by 5 and 10%: `python studies/gate/calibrate.py`.

For runs with twenty cells it is as much as slows every cell by 10%: work that slows small batches by so much slows large ones
by 6 to 7%. Writes `calibration.json` beside this file: columns of the extra product, by backend and slowdown, and the ratio each
reached. It belongs to the machine it was written on; the report says what ratio was reached while recording.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))

from parameters import (  # noqa: E402
    BACKENDS,
    CALIBRATION_STEPS,
    CALIBRATION_TOLERANCE,
    CELL_PLANS,
    EVERY_CELL,
    EVERY_CELL_SLOWDOWN,
    INJECTED,
    WIDE_BACKENDS,
    WIDE_PLANS,
)
from variants import Family, make_family  # noqa: E402

from driftgate.gate.cores import choose_cores, stay_on  # noqa: E402
from driftgate.gate.notes import draw_seed  # noqa: E402
from driftgate.gate.pairs import Contest, rounds_of, time_pairs  # noqa: E402
from driftgate.gate.schedule import Clock  # noqa: E402
from driftgate.inputs.batches import BatchPlan  # noqa: E402
from driftgate.inputs.encoder import load_encoder  # noqa: E402
from driftgate.run.device import available_threads  # noqa: E402

ENCODER = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
CALIBRATION = HERE / "calibration.json"


def bisect_columns(
    slowdown: Callable[[int], float], target: float, *, start: int, tolerance: float, steps: int
) -> tuple[int, float]:
    """Columns whose slowdown is within `tolerance` of `target`, and that slowdown; the nearest seen where none is.

    Args:
        slowdown: relative, of so many columns; rises with them but for noise. `start`: the first guess, at least 1.
        steps: measurements, at most.
    """
    seen: dict[int, float] = {}
    low, high, columns = 0, 0, start
    for _ in range(steps):
        seen[columns] = slowdown(columns)
        if abs(seen[columns] - target) <= tolerance:
            break
        if seen[columns] < target:
            low = columns
        else:
            high = columns
        # Without an upper end yet: in proportion, and a little further, so that the target is passed.
        factor = float(np.clip(1.2 * target / max(seen[columns], 1e-9), 1.5, 8))
        columns = (low + high) // 2 if high else round(low * factor)
        if columns in seen or columns < 1:
            break
    nearest = min(seen, key=lambda tried: abs(seen[tried] - target))
    return nearest, seen[nearest]


def measure_slowdown(
    contest: Contest,
    seconds: float,
    clock: Clock = time.perf_counter_ns,
    *,
    of_cells: Callable[[Sequence[float]], float] = statistics.fmean,
) -> float:
    """Relative, over as many fresh loads as fit, in the gate's own schedule.

    Args:
        of_cells: makes one slowdown of the logarithms of the cells' median ratios.
    """
    wanted = dict.fromkeys(contest.cells, 1.0)
    timing = time_pairs([contest], lambda ratios: wanted, budget_seconds=seconds, seed=draw_seed(), clock=clock)  # noqa: ARG005
    rounds = rounds_of(timing.pairs)
    medians = [float(np.median([ratios[cell] for ratios in rounds if cell in ratios])) for cell in contest.cells]
    return float(np.expm1(of_cells(medians)))


def measure_average(family: Family, columns: int, seconds: float) -> float:
    """The slowdown of the study's two cells by an extra product of so many columns."""
    return measure_slowdown(_with_columns(family, columns, CELL_PLANS), seconds)


def measure_least(family: Family, columns: int, seconds: float) -> float:
    """The slowdown of the cell that is slowed least, of those of a run with twenty cells."""
    return measure_slowdown(_with_columns(family, columns, WIDE_PLANS), 2 * seconds, of_cells=min)


def _with_columns(family: Family, columns: int, plans: Sequence[BatchPlan]) -> Contest:
    tried = replace(family, columns={"tried": columns})
    return tried.contest("tried", tried.draw_samples(plans))


def calibrate(
    family: Family, targets: Mapping[str, float], measure: Callable[[Family, int, float], float], seconds: float
) -> dict[str, dict[str, Any]]:
    """Columns and the slowdown reached, by variant; the smallest first, from which the next is guessed."""
    found: dict[str, dict[str, Any]] = {}
    guess_per_share = 2000.0
    for variant, target in sorted(targets.items(), key=lambda entry: entry[1]):
        columns, reached = bisect_columns(
            lambda columns: measure(family, columns, seconds),
            target,
            start=max(1, round(guess_per_share * target)),
            tolerance=CALIBRATION_TOLERANCE,
            steps=CALIBRATION_STEPS,
        )
        found[variant] = {"columns": columns, "slowdown": reached}
        guess_per_share = columns / target
        print(f"{family.name}: {variant}: {columns} columns reach {reached:+.1%}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="of one measurement, twice with four cells",
    )
    parser.add_argument("--backends", default=",".join(WIDE_BACKENDS))
    parser.add_argument("--out", type=Path, default=CALIBRATION)
    given = parser.parse_args()
    encoder = load_encoder(ENCODER)
    found = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch, stay_on(choose_cores(available_threads())):
        for name in given.backends.split(","):
            family = make_family(encoder, name, {}, Path(scratch))
            own = calibrate(family, INJECTED, measure_average, given.seconds) if name in BACKENDS else {}
            every = calibrate(family, {EVERY_CELL: EVERY_CELL_SLOWDOWN}, measure_least, given.seconds)
            found[name] = own | every
            given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
