"""`docs/mutation.md` from the results of a run."""

from pathlib import Path
from typing import Any

_KILLERS_SHOWN = 3
_HEAD = """# Faults that the suites must catch

Each mutant is a good pipeline with one fault, put there by `python studies/mutation/run.py`; the suites ran on {rows} of the
embedded comments, with the embedded encoder. A mutant is killed where at least one test fails; good pipelines (the controls) ran
beside them and failed none. Class fp32 is `onnx-fp32`, class int8 is `onnx-int8-dynamic`; faults in the pipeline are shared by
reference and backend, so that tests of their own must catch them.

Run on {date}: {versions}; instruction sets {instruction_sets}; {seconds} s.

"""


def score(mutants: list[dict[str, Any]], precision: str) -> tuple[int, int]:
    """Mutants killed, and mutants, of one class; controls are none."""
    own = [entry for entry in mutants if entry["class"] == precision and not entry["control"]]
    return sum(bool(entry["killed_by"]) for entry in own), len(own)


def write_document(document: dict[str, Any], path: Path) -> None:
    mutants = document["mutants"]
    classes = list(dict.fromkeys(entry["class"] for entry in mutants))
    lines = [
        _HEAD.format(
            rows=document["rows"],
            date=document["date"],
            versions=", ".join(f"{name} {version}" for name, version in document["versions"].items()),
            instruction_sets=", ".join(document["instruction_sets"]),
            seconds=document["seconds"],
        ),
        "| class | killed | of |\n|---|---|---|\n",
        *(f"| {name} | {score(mutants, name)[0]} | {score(mutants, name)[1]} |\n" for name in classes),
        "\n| mutant | class | imitates | killed by | largest drift | flips | macro-F1 loss |\n|---|---|---|---|---|---|---|\n",
        *map(_row, mutants),
    ]
    survivors = [entry for entry in mutants if not entry["killed_by"] and not entry["control"]]
    if survivors:
        lines.append("\n## Survivors\n\n")
        lines += [f"- **{entry['mutant']}, {entry['class']}**: {entry['why_survives']}.\n" for entry in survivors]
    path.write_text("".join(lines), encoding="utf-8")


def _row(entry: dict[str, Any]) -> str:
    killers = entry["killed_by"]
    shown = ", ".join(f"`{name}`" for name in killers[:_KILLERS_SHOWN])
    more = f" and {len(killers) - _KILLERS_SHOWN} more" if len(killers) > _KILLERS_SHOWN else ""
    verdict = "(control)" if entry["control"] else shown + more or "**survives**"
    numbers = [
        _number(entry.get("max_drift"), ".1e"),
        _number(entry.get("flips"), "d"),
        _number(entry.get("macro_f1_loss"), "+.4f"),
    ]
    return f"| {entry['mutant']} | {entry['class']} | {entry['imitates']} | {verdict} | {' | '.join(numbers)} |\n"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
