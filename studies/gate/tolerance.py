"""What `--gate-tolerance` costs and saves, simulated: `python studies/gate/tolerance.py`, two minutes.

Rounds are normal with the spread that recordings of the embedded encoder's INT8 cells show, and slowdowns multiply times. What
real rounds do is for recordings to say; this says how the rule's three numbers play together.
"""

import argparse
from collections import Counter

import numpy as np

from driftgate.gate.decisions import split_alpha
from driftgate.gate.rule import SpeedRule, Verdict
from driftgate.gate.verdicts import TimedBackend, judge_cells

TOLERANCES = (0.0, 0.01, 0.02, 0.03)
SLOWDOWNS = (0.0, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10)
MOST_ROUNDS = 60


def simulate(
    rule: SpeedRule, slowdown: float, spread: float, cells: int, draws: int, seed: int
) -> tuple[float, float, float]:
    """Shares of regressions and passes, and median rounds to a verdict, of one cell of a run with `cells` backends.

    Args:
        spread: standard deviation of a round's log ratio.
    """
    drawn = np.random.default_rng(seed).normal(np.log1p(slowdown), spread, (draws, MOST_ROUNDS))
    level, _ = split_alpha([1] * cells, rule)
    alone = SpeedRule(rule.detect, rule.tolerance, level, rule.beta)
    found = [judge_cells({"x": TimedBackend({"x": ratios}, ())}, alone)["x"] for ratios in drawn.tolist()]
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
