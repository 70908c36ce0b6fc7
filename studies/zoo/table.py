"""Print the tables of README.md: `python studies/zoo/table.py RESULTS.json [--zoo ZOO]`.

RESULTS.json is what `verdicts.py` wrote. ZOO, the folder of trained encoders, adds what they score.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from encoders import RECIPES

from driftgate.results.markdown import table

ROWS = ("10", "30", "100", "300", "1000", "3000")
MEAN = "mean_of_largest_probability_drift"
WORDS = ("family", "pieces", "task (labels)", "half", "backend", "beyond a bound", "fault")
"""Columns that are no numbers."""
Build = tuple[str, str, str, dict[str, Any]]
"""Encoder, fault ("good" for none), backend, what was found."""


def builds(results: Mapping[str, Any], half: str) -> Iterator[Build]:
    for encoder, found in results.items():
        if found["half"] == half:
            for name, build in found["builds"].items():
                fault, _, backend = name.partition(" | ")
                yield (
                    encoder,
                    fault.partition(" ")[0] if fault.startswith("good ") else fault,
                    backend,
                    build,
                )


def encoders(zoo: Path) -> str:
    rows = []
    for name, recipe in RECIPES.items():
        log = json.loads((zoo / name / "training.json").read_text(encoding="utf-8"))
        config = json.loads((zoo / name / "config.json").read_text(encoding="utf-8"))
        layers, width = (
            next(config[key] for key in keys if key in config)
            for keys in (("num_hidden_layers", "n_layers"), ("hidden_size", "dim"))
        )
        half = "seen" if recipe.bounds_set else "unseen"
        rows.append(
            [name, recipe.family, f"{layers} x {width}", recipe.pieces, f"{recipe.task} ({len(config['id2label'])})",
             f"{log['epochs'][-1]['score']:.3f}", f"{log['always the most frequent label']:.3f}", half]
        )  # fmt: skip
    return table(
        ["encoder", "family", "layers x width", "pieces", "task (labels)", "score", "most frequent label", "half"],
        rows,
        WORDS,
    )


def good(found: Iterable[Build]) -> str:
    rows = []
    for encoder, fault, backend, build in found:
        if fault == "good":
            true = build["true"]["values"]
            rows.append(
                [encoder, backend, f"{true[MEAN]:.1e}", f"{true['relative_logit_error']:.1e}",
                 f"{true['error_ratio_to_float32']:.3g}", f"{build['true']['changed rows']:.2%}",
                 *(_shares(build, size) for size in ROWS)]
            )  # fmt: skip
    return table(
        ["encoder", "backend", "mean drift", "logit error / spread", "error / float32's", "rows changed", *ROWS],
        rows,
        WORDS,
    )


def good_by_backend(found: Iterable[Build]) -> str:
    """Over the encoders that are not refused, PASS / FAIL; and those that are: with a true value beyond a bound."""
    by_backend: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for encoder, fault, backend, build in found:
        if fault == "good":
            by_backend.setdefault(backend, []).append((encoder, build))
    rows = []
    for backend, own in by_backend.items():
        beyond = [encoder for encoder, build in own if build["true"]["beyond"]]
        within = [build for _, build in own if not build["true"]["beyond"]]
        cells = []
        for size in ROWS:
            runs = sum(build["runs"] for build in within)
            passed, failed = (sum(build["rows"][size][key] for build in within) for key in ("pass", "fail"))
            cells.append(f"{passed / runs:.1%} / {failed / runs:.1%}" if runs else "-")
        rows.append([backend, str(len(own)), ", ".join(beyond) or "none", *cells])
    return table(["backend", "encoders", "beyond a bound", *ROWS], rows, WORDS)


def mutants(found: Iterable[Build]) -> str:
    """Of each fault and class: how far beyond its bounds on how many encoders, and on those the largest share of PASS by rows."""
    by_fault: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _, fault, backend, build in found:
        if fault != "good":
            by_fault.setdefault((fault, backend), []).append(build)
    rows = []
    for (fault, backend), own in sorted(by_fault.items()):
        beyond = [build for build in own if build["true"]["beyond"]]
        drift = sorted(build["true"]["values"][MEAN] for build in own)
        passes = (f"{max(_share(build, size, 'pass') for build in beyond):.0%}" if beyond else "-" for size in ROWS)
        fails = (f"{min(_share(build, size, 'fail') for build in beyond):.0%}" if beyond else "-" for size in ROWS[2:])
        rows.append(
            [fault, backend, f"{drift[0]:.1e} to {drift[-1]:.1e}", f"{len(beyond)} of {len(own)}", *passes, *fails]
        )
    header = [
        "fault",
        "backend",
        "mean drift",
        "encoders beyond",
        *(f"PASS at {size}" for size in ROWS),
        *(f"FAIL at {size}" for size in ROWS[2:]),
    ]
    return table(header, rows, WORDS)


def misses(found: Iterable[Build], good_changed: Mapping[tuple[str, str], float]) -> str:
    """Mutants that the targets ask to FAIL in 95% of runs, and do not."""
    rows = []
    for encoder, fault, backend, build in found:
        if fault == "good":
            continue
        more = build["true"]["changed rows"] - good_changed[encoder, backend]
        drift = build["true"]["values"][MEAN]
        for size, points in (("300", 0.1), ("1000", 0.05), ("3000", 0.03)):
            asked = more >= points or (size == "300" and drift >= 3 * build["mean bound"])
            if asked and (failed := _share(build, size, "fail")) < 0.95:
                rows.append([encoder, fault, backend, size, f"{drift:.1e}", f"{more:+.1%}", f"{failed:.0%}"])
    header = ["encoder", "fault", "backend", "rows", "mean drift", "rows changed more", "FAIL"]
    return table(header, rows, WORDS) if rows else "None."


def _share(build: Mapping[str, Any], size: str, key: str) -> float:
    return float(build["rows"][size][key] / build["runs"])


def _shares(build: Mapping[str, Any], size: str) -> str:
    return f"{_share(build, size, 'pass'):.0%} / {_share(build, size, 'fail'):.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--zoo", type=Path)
    given = parser.parse_args()
    results = json.loads(given.results.read_text(encoding="utf-8"))
    if given.zoo:
        print(f"{encoders(given.zoo)}\n")
    for half in ("seen", "unseen"):
        own = list(builds(results, half))
        changed = {
            (encoder, backend): build["true"]["changed rows"]
            for encoder, fault, backend, build in own
            if fault == "good"
        }
        print(
            "\n\n".join((f"# {half}", good(own), good_by_backend(own), mutants(own), misses(own, changed))), end="\n\n"
        )


if __name__ == "__main__":
    main()
