"""Print the tables of README.md from `coverage.json`: `python studies/verdict/table.py`."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("coverage.json")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def before_and_after(found: list[dict[str, Any]]) -> str:
    return table(
        ["true loss", "rows", "bootstrap", "now", "true loss within the limit"],
        [
            [f"{one['loss']:.3f}", str(one["rows"]), *(f"{one[key]:.0%}" for key in ("before", "after", "covered"))]
            for one in found
        ],
    )


def uppers(found: list[dict[str, Any]]) -> str:
    names = list(found[0]["upper limit below the truth"])
    return table(
        ["drift of", "rows", *names, "width"],
        [
            [one["population"], str(one["rows"])]
            + [f"{one['upper limit below the truth'][name]:.0%}" for name in names]
            + [f"{one['upper limit, share of the truth'] - 1:+.0%}"]
            for one in found
        ],
    )


def lowers(found: list[dict[str, Any]]) -> str:
    names = list(found[0]["lower limit, share of the truth"])
    return table(
        ["drift of", "rows", *names, "above the truth at 5%", "FAIL at three times the bound"],
        [
            [one["population"], str(one["rows"])]
            + [f"{one['lower limit, share of the truth'][name]:.2f}" for name in names]
            + [f"{one['lower limit at 5% above the truth']:.0%}", f"{one['FAIL of three times the bound']:.0%}"]
            for one in found
        ],
    )


def lower_losses(found: list[dict[str, Any]]) -> str:
    names = list(found[0]["above"])
    return table(
        ["backend", "rows", "runs", *names],
        [
            [one["backend"], str(one["rows"]), str(one["runs"]), *(str(one["above"][name]) for name in names)]
            for one in found
        ],
    )


def good_builds(found: dict[str, Any], bound: str, backend: str | None = None) -> str:
    """Shares of PASS / FAIL / NOT SHOWN by metric and rows, over all backends or of one."""
    sizes = [size for size in found if size.isdigit()]
    counts: dict[str, dict[str, Counter[str]]] = {}
    for size in sizes:
        for name, metrics in found[size][bound].items():
            for metric, verdicts in metrics.items() if backend in {None, name} else ():
                counts.setdefault(metric, {}).setdefault(size, Counter()).update(verdicts)
    return table(
        ["metric", *(f"{size} rows" for size in sizes)],
        [[metric, *(_shares(by_size.get(size, Counter())) for size in sizes)] for metric, by_size in counts.items()],
    )


def _shares(verdicts: Counter[str]) -> str:
    total = verdicts.total()
    return " / ".join(f"{verdicts[kind] / total:.0%}" for kind in ("pass", "fail", "not-shown")) if total else "-"


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    print(before_and_after(results["before_after"]))
    builds = results["good_builds"]
    sizes = [size for size in builds if size.isdigit()]
    runs = [[size, str(builds[size]["runs"]), str(builds[size]["runs with a FAIL"])] for size in sizes]
    print(table(["rows", "runs", "runs with a FAIL"], runs))
    print(good_builds(builds, "at the bound"))
    for backend in ("onnx-fp16", "onnx-int8"):
        print(f"{backend}\n\n{good_builds(builds, 'with room', backend)}")
    print(uppers(results["means"]))
    print(lowers(results["means"]))
    print(lower_losses(results["lower_losses"]))


if __name__ == "__main__":
    main()
