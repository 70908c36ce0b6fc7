"""Whole gated runs, from the first load to the verdict, with the gate's own schedule and judge."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parameters import (
    CELL_PLANS,
    EVERY_CELL,
    LIVE_BUDGET_SECONDS,
    RULE,
    SAME,
    WIDE_BACKENDS,
    WIDE_BUDGET_SECONDS,
    WIDE_PLANS,
)
from variants import Family, make_family

from driftgate.gate.comparison import as_judged, make_judge
from driftgate.gate.notes import draw_seed
from driftgate.gate.pairs import Contest, time_pairs
from driftgate.gate.rule import exit_code
from driftgate.gate.verdicts import judge_cells
from driftgate.inputs.encoder import Encoder


def gate(contests: Sequence[Contest], budget_seconds: float) -> dict[str, Any]:
    """One gated run as the plugin does it, JSON-ready: exit code, verdicts, seconds, and the seed of its order."""
    seed = draw_seed()
    judge = make_judge(contests, RULE, lambda said: None)  # noqa: ARG005
    timing = time_pairs(contests, judge, budget_seconds=budget_seconds, seed=seed)
    verdicts = judge_cells(as_judged(contests, timing.pairs), RULE)
    cells = {
        cell: {
            "verdict": str(found.verdict),
            "slowdown": found.slowdown,
            "rounds": found.rounds,
            "reason": found.reason,
        }
        for cell, found in verdicts.items()
    }
    code = exit_code(found.verdict for found in verdicts.values())
    return {"code": code, "seconds": timing.seconds, "seed": seed, "cells": cells}


def gate_once(family: Family, variant: str) -> dict[str, Any]:
    """The study's cells of one backend; the seconds include drawing what of them is timed."""
    started = time.monotonic()
    found = gate([family.contest(variant, family.draw_samples(CELL_PLANS))], LIVE_BUDGET_SECONDS)
    return {"backend": family.name, "variant": variant, **found, "seconds": time.monotonic() - started}


def gate_wide(
    encoder: Encoder,
    calibrated: Mapping[str, Mapping[str, Any]],
    runs: int,
    document: dict[str, Any],
    out: Path,
    scratch: Path,
) -> None:
    """Twenty cells as `pytest benchmarks --gate` has them, without a change and with every cell slower by 10%, in turn."""
    columns = {name: {EVERY_CELL: calibrated[name][EVERY_CELL]["columns"]} for name in WIDE_BACKENDS}
    families = [make_family(encoder, name, columns[name], scratch) for name in WIDE_BACKENDS]
    for number in range(runs):
        for variant in (SAME, EVERY_CELL):
            started = time.monotonic()
            contests = [family.contest(variant, family.draw_samples(WIDE_PLANS), family.name) for family in families]
            found = gate(contests, WIDE_BUDGET_SECONDS - (time.monotonic() - started))
            document["runs"].append({"variant": variant, **found, "seconds": time.monotonic() - started})
            out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            last = document["runs"][-1]
            print(
                f"{number + 1}/{runs} {len(last['cells'])} cells, {variant}: {last['code']}, {last['seconds']:.0f} s",
                flush=True,
            )
