"""Find how much work makes an artifact slower by 5 and 10%: `python studies/gate/calibrate.py`.

Writes `calibration.json` beside this file: columns of the extra product, by backend and slowdown, and the ratio each reached.
It belongs to the machine it was written on; the report says what ratio was reached while recording.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))

from parameters import BACKENDS, CALIBRATION_STEPS, CALIBRATION_TOLERANCE, CELL_PLANS, INJECTED, WIDE_BACKENDS  # noqa: E402
from variants import Family, make_family  # noqa: E402

from driftgate.gate.cores import choose_cores, stay_on  # noqa: E402
from driftgate.gate.pairs import Contest, rounds_of, time_pairs  # noqa: E402
from driftgate.gate.state import draw_seed  # noqa: E402
from driftgate.gate.units import Clock  # noqa: E402
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


def measure_slowdown(contest: Contest, seconds: float, clock: Clock = time.perf_counter_ns) -> float:
    """Relative, of the contest's cells together, over as many fresh loads as fit, in the gate's own schedule."""
    wanted = dict.fromkeys(contest.cells, 1.0)
    timing = time_pairs([contest], lambda ratios: wanted, budget_seconds=seconds, seed=draw_seed(), clock=clock)  # noqa: ARG005
    rounds = rounds_of(timing.pairs)
    return float(
        np.expm1(np.mean([np.median([ratios[cell] for ratios in rounds if cell in ratios]) for cell in contest.cells]))
    )


def measure_columns(family: Family, columns: int, seconds: float) -> float:
    """The slowdown by an extra product of so many columns."""
    tried = replace(family, columns={"tried": columns})
    return measure_slowdown(tried.contest("tried", tried.draw_samples(CELL_PLANS)), seconds)


def calibrate(family: Family, targets: dict[str, float], seconds: float) -> dict[str, dict[str, Any]]:
    """Columns and the slowdown reached, by variant; the smallest first, from which the next is guessed."""
    found: dict[str, dict[str, Any]] = {}
    guess_per_share = 2000.0
    for variant, target in sorted(targets.items(), key=lambda entry: entry[1]):
        columns, reached = bisect_columns(
            lambda columns: measure_columns(family, columns, seconds),
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
    parser.add_argument("--seconds", type=float, default=10.0, help="of one measurement; a slowdown takes some three")
    parser.add_argument("--backends", default=",".join(WIDE_BACKENDS))
    parser.add_argument("--out", type=Path, default=CALIBRATION)
    given = parser.parse_args()
    encoder = load_encoder(ENCODER)
    found = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch, stay_on(choose_cores(available_threads())):
        for name in given.backends.split(","):
            family = make_family(encoder, name, {}, Path(scratch))
            targets = INJECTED if name in BACKENDS else {"slower 10%": INJECTED["slower 10%"]}
            found[name] = calibrate(family, targets, given.seconds)
            given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
