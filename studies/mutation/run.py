"""Judge every mutant with the suites, and write which test killed it: `python studies/mutation/run.py`.

Takes some twenty minutes on two cores. Writes `results.json` beside this file and `docs/mutation.md`. `--only NAME ...` judges
those mutants and their controls, and puts what it finds among the results that are there.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.inputs.encoder import load_encoder
from driftgate.judge.probabilities import to_probabilities
from driftgate.results.results_file import FILE_NAME, read_results

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))

from changed_folders import FOLDERS, Folder  # noqa: E402 - beside this file
from mutants import BASES, MUTANTS, PIPELINE_FAULTS, Mutant, PipelineFault  # noqa: E402
from table import write_document  # noqa: E402

ENCODER = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
EMULATION_AT_MOST = 1e-2
"""Mean over texts of the largest probability difference between `onnx-int8-dynamic` and its emulation. Rounding that falls the
other way makes half as much of it, saturation twice as much; from the reference, which is further from both, the two cannot be
told."""
EMULATION = "comparison with the emulation"

ROWS = 0
"""All of the corpus, as the suite runs by default: what a few hundred rows kill narrowly, others may let through."""
COMMON = ("-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:benchmark", "--assert=plain", "-q")
LOCK = "accuracy/test_graph.py::test_graph_is_the_locked_one"
"""Left out: it knows none of these backends, and would fail the controls too."""


class Register:
    """A plugin: mutants as backends, and what failed for each, and for each of `published`."""

    def __init__(self, mutants: list[tuple[Mutant, str]], scratch: Path, published: Collection[str] = ()) -> None:
        self.specs = [mutant.spec(precision, scratch) for mutant, precision in mutants]
        self.names = [*(spec.name for spec in self.specs), *published]
        self.killers: dict[str, list[str]] = defaultdict(list)
        self.said: dict[str, str] = {}
        self.begun: list[str] = []

    def pytest_driftgate_backends(self, config: pytest.Config) -> list[Any]:  # noqa: ARG002
        return self.specs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test, _, parameter = report.nodeid.removesuffix("]").partition("[")
        name = next((name for name in self.names if parameter.startswith(name)), "")
        if name and name not in self.begun:
            self.begun.append(name)
            print(f"  {len(self.begun)}/{len(self.names)} {name}", file=sys.__stdout__, flush=True)
        if report.failed:
            killer = test.split("::")[-1] if report.when == "call" else f"setup of {test.split('::')[-1]}"
            if killer not in self.killers[name]:
                self.killers[name].append(killer)
                self.said.setdefault(name, _first_reason(report.longreprtext))


def _first_reason(failure: str) -> str:
    """The line of a failure that says what was found where something else was expected."""
    lines = [line.removeprefix("E ").strip() for line in failure.splitlines() if line.strip()]
    return next((line for line in lines if "expected" in line and " = " in line), lines[-1] if lines else "")[:160]


def run_pytest(arguments: list[str], plugin: object) -> int:
    """In this process; modules of the suites are imported anew each time, since a fault may be among what they import."""
    printed = io.StringIO()
    with contextlib.chdir(REPOSITORY), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = int(pytest.main([*arguments, *COMMON], plugins=[plugin]))
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith((str(REPOSITORY / "accuracy"), str(REPOSITORY / "tests"))):
            del sys.modules[name]
    if code > 1:
        raise SystemExit(printed.getvalue())
    return code


def judge(mutants: list[tuple[Mutant, str]], scratch: Path) -> tuple[list[dict[str, Any]], int, dict[str, float]]:
    """Every mutant through the accuracy suite, in one run with one reference; the rows; how well INT8 was emulated."""
    import driftgate.plugin.hold as holding

    holding.SHRINK_SECONDS = 0.0  # a counterexample is enough, a small one is not wanted here
    register = Register(mutants, scratch)
    backends = ",".join(spec.name for spec in register.specs)
    results = scratch / "results"
    predictions = results / "predictions.npz"
    run_pytest(
        [
            "accuracy",
            f"--deselect={LOCK}",
            f"--backends={backends}",
            f"--driftgate-corpus-rows={ROWS}",
            f"--driftgate-results={results}",
            f"--save-predictions={predictions}",
        ],
        register,
    )
    document = read_results(results / FILE_NAME)
    measured = document["backends"]
    found = []
    for mutant, precision in mutants:
        name = f"{mutant.name}-{precision}"
        entry = measured.get(name, {})
        found.append(
            {
                "mutant": mutant.name,
                "class": precision,
                "control": mutant.control,
                "imitates": mutant.imitates,
                "killed_by": register.killers[name],
                "over_bound": over_bound(name, document["violations"]),
                "first_failure": register.said.get(name, ""),
                "mean_drift": entry.get("drift", {}).get("largest_per_text", {}).get("mean"),
                "max_drift": entry.get("drift", {}).get("largest_per_text", {}).get("max"),
                "flips": entry.get("flips", {}).get("at 0.5", {}).get("total"),
                "macro_f1_loss": entry.get("losses", {}).get("at 0.5", {}).get("macro_f1", {}).get("loss"),
                "why_survives": (mutant.why_survives or {}).get(precision, ""),
            }
        )
    emulation = compare_emulation(predictions)
    for entry in found:
        if emulation.get(f"{entry['mutant']}-{entry['class']}_mean_difference", 0) > EMULATION_AT_MOST:
            entry["killed_by"].append(EMULATION)
    return found, document["corpus"]["rows"], emulation


def judge_folders(folders: Collection[Folder], scratch: Path) -> list[dict[str, Any]]:
    """Every published folder through the tests of what ships with it, and of its answers."""
    encoder = load_encoder(ENCODER)
    backends = ",".join(f"{folder.name}={folder.make(encoder, scratch)}" for folder in folders)
    register = Register([], scratch, [folder.name for folder in folders])
    tests = ["accuracy/test_shipped.py", "accuracy/test_drift.py"]
    run_pytest([*tests, f"--backends={backends}", f"--driftgate-results={scratch / 'folders'}"], register)
    return [
        {
            "mutant": folder.name,
            "class": "published",
            "control": folder.control,
            "imitates": folder.imitates,
            "killed_by": register.killers[folder.name],
        }
        for folder in folders
    ]


def over_bound(backend: str, violations: list[str]) -> float | None:
    """How many times the bound that it breaks most a backend has reached; None where no bound above 0 is broken."""
    rule = rf"{re.escape(backend)}: \S+ = (\S+?)(?: \[.*\])?, expected at most (\S+) "
    broken = [re.match(rule, line) for line in violations]
    ratios = [float(found[1]) / float(found[2]) for found in broken if found and float(found[2]) > 0]
    return max(ratios, default=None)


def compare_emulation(predictions: Path) -> dict[str, float]:
    """The mean over texts of the largest probability difference to `onnx-int8-dynamic` of its emulations, and flips.

    Nothing where one of them was not judged.
    """
    with np.load(predictions) as saved:
        own = dict(zip(saved["backends"].tolist(), saved["logits"], strict=True))
    probabilities = {name: to_probabilities(logits, multi_label=True) for name, logits in own.items()}
    if not {"good-int8", "emulated-int8", "saturated-int8"} <= set(probabilities):
        return {}
    good = probabilities["good-int8"]
    return {
        f"{name}_{what}": value
        for name in ("reference", "emulated-int8", "saturated-int8")
        for what, value in (
            ("mean_difference", float(np.abs(probabilities[name] - good).max(axis=1).mean())),
            ("flips", int(((probabilities[name] >= 0.5) != (good >= 0.5)).sum())),
        )
    }


def judge_pipeline(fault: PipelineFault | None, tests: tuple[str, ...]) -> list[str]:
    """The tests that fail with the fault in place; none may fail without one."""
    register = Register([], Path())
    with fault.put() if fault else contextlib.nullcontext():
        run_pytest([*tests, "-m", "not slow"], register)
    return register.killers[""]


def judge_pipeline_faults(faults: Collection[PipelineFault]) -> list[dict[str, Any]]:
    """Every fault that reference and backend share, through the tests that own the behaviour."""
    for tests in dict.fromkeys(fault.tests for fault in faults):
        if judge_pipeline(None, tests):
            raise SystemExit(f"{', '.join(tests)} fail without a fault: the matrix says nothing")
    return [
        {
            "mutant": fault.name,
            "class": "pipeline",
            "control": False,
            "imitates": fault.imitates,
            "killed_by": judge_pipeline(fault, fault.tests),
        }
        for fault in faults
    ]


def choose(only: list[str], classes: list[str]) -> tuple[list[tuple[Mutant, str]], list[Folder], list[PipelineFault]]:
    """What to judge: all, or those named, in the classes named, with the controls of those classes."""
    pairs = [(mutant, precision) for mutant in MUTANTS for precision in mutant.classes if precision in classes]
    if not only:
        return pairs, list(FOLDERS), list(PIPELINE_FAULTS)
    known = {each.name for each in (*MUTANTS, *FOLDERS, *PIPELINE_FAULTS)}
    if unknown := sorted(set(only) - known):
        raise SystemExit(f"no mutant is called {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    asked = {precision for mutant, precision in pairs if mutant.name in only}
    controls = {"good", *(["emulated"] if "saturated" in only else [])}
    folders = [folder for folder in FOLDERS if folder.name in only]
    return (
        [pair for pair in pairs if pair[0].name in only or (pair[0].name in controls and pair[1] in asked)],
        [folder for folder in FOLDERS if folders and (folder.control or folder in folders)],
        [fault for fault in PIPELINE_FAULTS if fault.name in only],
    )


def judge_all(only: list[str], classes: list[str]) -> dict[str, Any]:
    """The results document: mutants, and what they were judged with."""
    from dataclasses import asdict

    from driftgate.results.environment import describe_environment

    started = time.monotonic()
    pairs, folders, faults = choose(only, classes)
    print(f"{len(pairs)} mutated backends and controls, {len(folders)} folders, {len(faults)} faults ...", flush=True)
    found, rows, emulation = [], 0, {}
    with tempfile.TemporaryDirectory() as scratch:
        if pairs:
            found, rows, emulation = judge(pairs, Path(scratch))
        if folders:
            found += judge_folders(folders, Path(scratch))
    broken = [entry["mutant"] for entry in found if entry["control"] and entry["killed_by"]]
    if broken:
        raise SystemExit(f"the controls {', '.join(broken)} fail: the matrix says nothing")
    found += judge_pipeline_faults(faults)
    for entry in found:
        print(f"  {entry['mutant']}-{entry['class']}: {', '.join(entry['killed_by'][:3]) or 'survives'}", flush=True)
    environment = asdict(describe_environment())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.monotonic() - started),
        "rows": rows,
        "labels": len(load_encoder(ENCODER).labels),
        "versions": {name: environment["versions"].get(name) for name in ("torch", "onnxruntime", "transformers")},
        "instruction_sets": environment["instruction_sets"],
        "emulation": emulation,
        "mutants": found,
    }


def put_among(document: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Results of before with the mutants of `document` in place of theirs; those that are no more are left out.

    Controls stay as they were, so that what the rest is compared with was judged with it.
    """
    kept = {(entry["mutant"], entry["class"]): entry for entry in before["mutants"]}
    found = dict(kept)
    for entry in document["mutants"]:
        key = entry["mutant"], entry["class"]
        if key not in kept or not entry["control"]:
            found[key] = {**entry, "later_rows": document["rows"]}
    order = [(mutant.name, precision) for mutant in MUTANTS for precision in mutant.classes]
    order += [(folder.name, "published") for folder in FOLDERS]
    order += [(fault.name, "pipeline") for fault in PIPELINE_FAULTS]
    return {
        **before,
        "emulation": document["emulation"] or before["emulation"],
        "not_judged": [list(key) for key in order if key not in found],
        "mutants": [found[key] for key in order if key in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="mutants to judge; all by default")
    parser.add_argument("--classes", nargs="+", default=list(BASES), choices=list(BASES), help="of mutated backends")
    parser.add_argument("--print", action="store_true", help="write nothing")
    options = parser.parse_args()
    document = judge_all(options.only, options.classes)
    if options.print:
        return
    results = HERE / "results.json"
    if options.only or options.classes != list(BASES):
        document = put_among(document, json.loads(results.read_text(encoding="utf-8")))
    results.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    write_document(document, REPOSITORY / "docs/mutation.md")
    print(f"docs/mutation.md written after {document['seconds']} s")


if __name__ == "__main__":
    main()
