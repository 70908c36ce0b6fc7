"""What `--gate-tolerance` costs and saves, simulated: `python studies/gate/tolerance.py`, two minutes.

Rounds are normal with the spread that recordings of the embedded encoder's INT8 cells show, and slowdowns multiply times. What
real rounds do is for recordings to say; this says how the rule's three numbers play together.
"""

import argparse
from collections import Counter

import numpy as np

from driftgate.gate.decisions import Referee
from driftgate.gate.rule import SpeedRule, Verdict

TOLERANCES = (0.0, 0.01, 0.02, 0.03)
SLOWDOWNS = (0.0, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10)
MOST_ROUNDS = 60


def simulate(
    rule: SpeedRule, slowdown: float, spread: float, cells: int, draws: int, seed: int
) -> tuple[float, float, float]:
    """Shares of regressions and passes, and median rounds to a verdict, of the slower one of so many cells.

    Args:
        spread: standard deviation of a round's log ratio.
    """
    drawn = np.random.default_rng(seed).normal(0, spread, (draws, MOST_ROUNDS, cells))
    drawn[:, :, 0] += np.log1p(slowdown)
    found = []
    for run in drawn.tolist():
        referee = Referee(list(map(str, range(cells))), rule)
        for ratios in run:
            open_cells = referee.rounds_left()
            if "0" not in open_cells:
                break
            referee.add({cell: ratios[int(cell)] for cell in open_cells})
        found.append(referee.decisions["0"])
    counted = Counter(one.verdict for one in found)
    shares = [counted[verdict] / draws for verdict in (Verdict.REGRESSION, Verdict.PASS)]
    return shares[0], shares[1], float(np.median([one.rounds for one in found]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spread", type=float, default=0.05, help="of one round's log ratio")
    parser.add_argument("--cells", type=int, default=1, help="of the run, between which alpha is split")
    parser.add_argument("--draws", type=int, default=500)
    given = parser.parse_args()
    print("| tolerance | " + " | ".join(f"{share:.0%}" for share in SLOWDOWNS) + " | rounds at 0% | at 10% |")
    print("|---" * (len(SLOWDOWNS) + 3) + "|")
    for tolerance in TOLERANCES:
        rule = SpeedRule(tolerance=tolerance)
        rows = [simulate(rule, share, given.spread, given.cells, given.draws, seed=1) for share in SLOWDOWNS]
        shares = " | ".join(f"{failed:.1%}, {passed:.1%}" for failed, passed, _ in rows)
        print(f"| {tolerance:.0%} | {shares} | {rows[0][2]:.0f} | {rows[-1][2]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
