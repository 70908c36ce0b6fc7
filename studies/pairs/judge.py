"""Judge mutants of the trained classifiers of pairs with the accuracy suite.

    python studies/pairs/judge.py OUT bert|roberta [fp32] [rowwise] [int8]

OUT is the folder that `train.py` wrote. Adds to `results.json` beside this file: for each mutant and class, the tests that
failed, its mean and largest drift, and its flips. A control that fails voids the rest.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
sys.path.insert(0, str(REPOSITORY / "studies/mutation"))

from pair_mutants import PAIR_MUTANTS, WITHOUT_EFFECT  # noqa: E402

ROWS = 400
FILES = ("test_drift.py", "test_decisions.py", "test_quality.py", "test_pairs.py")
QUIET = ("-p", "no:cacheprovider", "-p", "no:benchmark", "--assert=plain", "-q", "-m", "")


class Register:
    """A plugin: mutants as backends, and which tests failed for each."""

    def __init__(self, specs: list[Any]) -> None:
        self.specs = specs
        self.failed: dict[str, list[str]] = defaultdict(list)

    def pytest_driftgate_backends(self, config: pytest.Config) -> list[Any]:  # noqa: ARG002
        return self.specs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            test, _, parameter = report.nodeid.removesuffix("]").partition("[")
            self.failed[parameter].append(test.split("::")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("name", choices=WITHOUT_EFFECT)
    parser.add_argument("classes", nargs="*", metavar="CLASS")
    given = parser.parse_args()
    found = judge(given.out, given.name, given.classes or ["fp32", "rowwise"])
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps({**before, **found}, indent=1) + "\n", encoding="utf-8")


def judge(out: Path, name: str, classes: list[str]) -> dict[str, Any]:
    """What became of each mutant, by "family/mutant-class"."""
    import driftgate.plugin.hold as holding

    holding.SHRINK_SECONDS = 0.0  # a counterexample is enough, a small one is not wanted here
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        chosen = [mutant for mutant in PAIR_MUTANTS if mutant.name not in WITHOUT_EFFECT[name]]
        register = Register([mutant.spec(precision, scratch) for precision in classes for mutant in chosen])
        printed = io.StringIO()
        with contextlib.chdir(REPOSITORY), contextlib.redirect_stdout(printed):
            code = pytest.main(
                [
                    *(f"accuracy/{file}" for file in FILES),
                    f"--encoder={out / name}",
                    f"--corpus={out / 'unseen.jsonl'}",
                    "--driftgate-text-column=first",
                    "--driftgate-pair-column=second",
                    f"--driftgate-corpus-rows={ROWS}",
                    f"--backends={','.join(spec.name for spec in register.specs)}",
                    f"--driftgate-results={scratch}",
                    *QUIET,
                ],
                plugins=[register],
            )
        if code not in (0, 1):
            raise SystemExit(printed.getvalue())
        measured = json.loads((scratch / "results.json").read_text(encoding="utf-8"))["backends"]
    for spec in register.specs:
        if spec.name.startswith("good-") and register.failed[spec.name]:
            raise SystemExit(f"the control {spec.name} fails {register.failed[spec.name]}: nothing is said of the rest")
    return {f"{name}/{spec.name}": describe(measured[spec.name], register.failed[spec.name]) for spec in register.specs}


def describe(measured: dict[str, Any], failed: list[str]) -> dict[str, Any]:
    drift, flips = measured["drift"]["largest_per_text"], measured["flips"]["at 0.5"]
    found = {"killed_by": failed, "mean_drift": drift["mean"], "max_drift": drift["max"], "flips": flips["total"]}
    print(f"{measured['drift']['largest_per_text']['mean']:.2e} {flips['total']:4} {', '.join(failed) or 'survives'}")
    return found


if __name__ == "__main__":
    main()
