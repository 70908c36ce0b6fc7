"""`docs/mutation.md` from the results of a run."""

import json
from pathlib import Path
from typing import Any

ZOO = Path(__file__).parents[1] / "zoo/results.json"
_KILLERS_SHOWN = 3
_COLUMNS = (
    "mutant", "class", "imitates", "killed by", "on unseen encoders", "over", "mean drift", "largest", "flips", "macro-F1 loss",
)  # fmt: skip
_ZOO_ROWS = "1000"
_ZOO_CLASSES = {"fp32": "onnx-fp32", "rowwise": "onnx-int8"}
_ZOO_FAULTS = {
    "mask-dropped": "mask dropped",
    "padded-in-front": "padded in front",
    "positions-shifted": "positions shifted",
    "labels-swapped": "two labels swapped",
    "softmax": "softmax for sigmoid",
    "sigmoid-twice": "probabilities handed on as logits",
    "rows-reversed": "100% of rows answered as others",
    "tensor-x1.01": "one matrix x 1.01",
    "layer-4-bits": "one layer in 4 bits",
    "layernorm-1e-3": "LayerNorm epsilon 1e-3",
    "gelu-tanh": "GELU by tanh",
    "head-dead": "a head silent",
    "label-dead": "a label never given",
    "later-checkpoint": "a later checkpoint",
    "other-checkpoint": "another checkpoint",
}
_HEAD = """# Faults that the suites must catch

Each mutant is a good pipeline with one fault, which `python studies/mutation/run.py` adds. The suite ran on the {rows:,}
embedded comments, with the embedded encoder. A mutant is killed if at least one test fails. Good pipelines (the controls) ran
as well, and no test failed on them. The class fp32 is `onnx-fp32`, int8 is `onnx-int8-dynamic`, and rowwise is `onnx-int8`.
Published is a folder as `driftgate build` writes it. Faults of the class pipeline affect the reference and the backend alike,
so that other tests have to catch them. Mutants are faults of weights, inputs, modules and folders, and not of the nodes of a
graph, so that they do not depend on an exporter.

For every property test in `accuracy/test_invariance.py` there is a fault that only this test, or one like it, finds:
`tests/support/faulty_backends.py`.

Drift is the largest difference of a label's probability on a text from that of the reference; the table has its mean and its
maximum over texts. Flips are label decisions at 0.5 that changed, of {decisions}. A macro-F1 loss below zero is a gain.
"Over" is the measured value divided by the limit, for the bound that is broken most. A number close to 1 is a narrow kill
that may not occur on other texts; without a number, the broken claim is exact or something was refused. "On unseen encoders"
is from `studies/zoo`: the number of encoders, of those that the bounds were not set on, on which the same fault FAILs in 95%
of runs of 1,000 rows or more, by drift, decisions and quality alone. Outlier channels count as an encoder of their own.

{note}Run on {date}: {versions}; instruction sets {instruction_sets}; {seconds} s.{later}

"""

_EMULATION = """
## How far the emulation of INT8 holds

`onnx-int8-dynamic` differs from the reference by {reference_mean_difference:.1e} (mean over texts of the largest probability
difference) and {reference_flips} flips. Its emulation in torch differs from it by {emulated-int8_mean_difference:.1e} and
{emulated-int8_flips}, because some values are rounded in the other direction. The emulation that saturates differs by
{saturated-int8_mean_difference:.1e} and {saturated-int8_flips}.
"""


def score(mutants: list[dict[str, Any]], precision: str) -> tuple[int, int]:
    """Mutants killed, and mutants, of one class; controls are none."""
    own = [entry for entry in mutants if entry["class"] == precision and not entry["control"]]
    return sum(bool(entry["killed_by"]) for entry in own), len(own)


def write_document(document: dict[str, Any], path: Path) -> None:
    mutants, zoo = document["mutants"], json.loads(ZOO.read_text(encoding="utf-8"))
    classes = list(dict.fromkeys(entry["class"] for entry in mutants))
    lines = [
        _HEAD.format(
            rows=document["rows"],
            date=document["date"],
            versions=", ".join(f"{name} {version}" for name, version in document["versions"].items()),
            instruction_sets=", ".join(document["instruction_sets"]),
            seconds=document["seconds"],
            decisions=f"{document['rows'] * document['labels']:,}",
            note=document.get("note", ""),
            later=_later(document),
        ),
        "| class | killed | of |\n|---|---|---|\n",
        *(f"| {name} | {score(mutants, name)[0]} | {score(mutants, name)[1]} |\n" for name in classes),
        f"\n| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n",
        *(_row(entry, zoo) for entry in mutants),
    ]
    survivors = [entry for entry in mutants if not entry["killed_by"] and not entry["control"]]
    if survivors:
        lines.append("\n## Survivors\n\n")
        good = {entry["class"]: entry for entry in mutants if entry["mutant"] == "good"}
        lines += [_survivor(entry, good[entry["class"]]) for entry in survivors]
    lines.append(_EMULATION.format(**document["emulation"]))
    path.write_text("".join(lines), encoding="utf-8")


def _later(document: dict[str, Any]) -> str:
    """Which mutants were judged by themselves since, and which were not yet."""
    later = [entry for entry in document["mutants"] if "later_rows" in entry]
    said = ""
    if later:
        names = ", ".join(f"{entry['mutant']} ({entry['class']})" for entry in later)
        rows = max(entry["later_rows"] for entry in later)
        said += (
            f" Judged separately later, by the suite of that time{f' on {rows:,} comments' if rows else ''}: {names}."
        )
    if document.get("not_judged"):
        said += f" Not judged yet: {', '.join(f'{name} ({precision})' for name, precision in document['not_judged'])}."
    return said


def _survivor(entry: dict[str, Any], good: dict[str, Any]) -> str:
    numbers, usual = (
        f"mean drift {_number(side['mean_drift'], '.1e')}, largest {_number(side['max_drift'], '.1e')}, flips "
        f"{side['flips']}, macro-F1 loss {_number(side['macro_f1_loss'], '+.4f')}"
        for side in (entry, good)
    )
    why = entry["why_survives"]
    return f"- **{entry['mutant']}, {entry['class']}**: {numbers}; without it {usual}. {why[:1].upper()}{why[1:]}.\n"


def _on_unseen_encoders(entry: dict[str, Any], zoo: dict[str, Any]) -> str:
    name = f"{_ZOO_FAULTS.get(entry['mutant'])} | {_ZOO_CLASSES.get(entry['class'])}"
    found = [
        encoder["builds"][name] for encoder in zoo.values() if encoder["half"] == "unseen" and name in encoder["builds"]
    ]
    failed = sum(build["rows"][_ZOO_ROWS]["fail"] >= 0.95 * build["runs"] for build in found)
    return f"{failed} of {len(found)}" if found else "-"


def _row(entry: dict[str, Any], zoo: dict[str, Any]) -> str:
    killers = entry["killed_by"]
    shown = ", ".join(f"`{name}`" for name in killers[:_KILLERS_SHOWN])
    more = f" and {len(killers) - _KILLERS_SHOWN} more" if len(killers) > _KILLERS_SHOWN else ""
    verdict = "(control)" if entry["control"] else shown + more or "**survives**"
    numbers = [
        _on_unseen_encoders(entry, zoo),
        _number(entry.get("over_bound"), ".3g"),
        _number(entry.get("mean_drift"), ".1e"),
        _number(entry.get("max_drift"), ".1e"),
        _number(entry.get("flips"), "d"),
        _number(entry.get("macro_f1_loss"), "+.4f"),
    ]
    return f"| {entry['mutant']} | {entry['class']} | {entry['imitates']} | {verdict} | {' | '.join(numbers)} |\n"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
