"""An accuracy baseline: the logits of one accepted run, with what they were taken on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from driftgate.arrays import Logits
from driftgate.edges.spelling import option
from driftgate.errors import BaselineError
from driftgate.files import parse_json
from driftgate.results.predictions import write_predictions

FILE_NAME = "baseline.npz"
SCHEMA = 1
_SAME = ("schema", "encoder_sha256", "corpus_sha256", "plan", "problem_type", "max_tokens")


@dataclass(frozen=True, slots=True, eq=False)
class AccuracyBaseline:
    """Logits of the reference and of each backend, float32, (rows, labels), and what they were taken on.

    `about` has the names and digests of encoder and corpus, `plan`, `problem_type`, `max_tokens`, `environment`, and under
    `backends` what each of them was.
    """

    about: dict[str, Any]
    logits: dict[str, Logits]


def write_baseline(
    folder: Path,
    about: Mapping[str, Any],
    logits: Mapping[str, Logits],
    labels: tuple[str, ...],
    row_ids: tuple[str, ...],
) -> Path:
    """Write logits, float32, (rows, labels), by backend, as `baseline.npz` into `folder`, whole or not at all."""
    path = folder / FILE_NAME
    write_predictions(path, logits, labels, row_ids, {"schema": SCHEMA, **about})
    return path


def read_baseline(folder: Path) -> AccuracyBaseline | None:
    """The baseline in `folder`, or None where there is none yet.

    Raises:
        BaselineError: a file that is damaged.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            about = parse_json(str(content["about"]))
            logits = dict(zip(content["backends"].tolist(), map(Logits, content["logits"]), strict=True))
            _ = logits["reference"], about["environment"]["instruction_sets"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, BadZipFile) as error:
        raise BaselineError(f"{path}: not a readable baseline ({error}); remove it and save one again") from error
    return AccuracyBaseline(about, logits)


def require_comparable(baseline: AccuracyBaseline, about: Mapping[str, Any]) -> None:
    """Refuse a baseline of another encoder, corpus, batch plan, problem type or limit of tokens.

    Raises:
        BaselineError: names every difference.
    """
    now = {"schema": SCHEMA, **about}
    differences = [
        f"{name}: baseline {baseline.about.get(name)!r}, now {now.get(name)!r}"
        for name in _SAME
        if baseline.about.get(name) != now.get(name)
    ]
    if differences:
        raise BaselineError(
            f"the accuracy baseline is of other inputs ({'; '.join(differences)}); "
            f"judge the same inputs, or save a new baseline with {option('accuracy_baseline_update', True)}"
        )


def require_same_kernels(baseline: AccuracyBaseline, backend: str, about: Mapping[str, Any]) -> None:
    """Refuse to compare INT8 logits across instruction sets: other kernels round and saturate otherwise.

    Args:
        baseline: with what to compare. `backend`: its name. `about`: this run's, as the baseline's is written.

    Raises:
        BaselineError: names both sets.
    """
    then, here = (side["environment"]["instruction_sets"] for side in (baseline.about, about))
    if about["backends"][backend]["arithmetic"] == "int8" and then != here:
        raise BaselineError(
            f"{backend}: the baseline's INT8 kernels ran on a CPU with {', '.join(then) or 'none'}, this one has "
            f"{', '.join(here) or 'none'} of the instruction sets that select them: the answers are not comparable; "
            f"keep a baseline for each kind of CPU, or save it again here with {option('accuracy_baseline_update', True)}"
        )


def list_changes(baseline: AccuracyBaseline, about: Mapping[str, Any], backend: str) -> list[str]:
    """What differs between then and now that can move logits: library versions, CPU, threads, the artifact."""
    then, now = baseline.about["environment"], about["environment"]
    before, after = baseline.about["backends"].get(backend, {}), about["backends"].get(backend, {})
    return [
        *_changes(then["versions"], now["versions"], sorted({*then["versions"], *now["versions"]})),
        *_changes(then, now, ("cpu",)),
        *_changes(before, after, ("artifact_sha256", "threads", "provider", "arithmetic")),
    ]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [f"{name} {before.get(name)} -> {after.get(name)}" for name in names if before.get(name) != after.get(name)]
