"""Whole gated runs, from the first load to the verdict, with the gate's own schedule and judge."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parameters import (
    LIVE_BUDGET_SECONDS,
    RULE,
    SAME,
    WIDE_BACKENDS,
    WIDE_BATCH_SIZES,
    WIDE_BUDGET_SECONDS,
    WIDE_ROWS,
)
from variants import Batches, Family, make_cells, make_family, take_texts

from driftgate.gate.comparison import by_backend
from driftgate.gate.decisions import regression_rounds
from driftgate.gate.pairs import Contest, Pair, time_pairs
from driftgate.gate.rule import exit_code
from driftgate.gate.state import draw_seed
from driftgate.gate.verdicts import judge_cells, undecided
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan, make_batches
from driftgate.inputs.encoder import Encoder


def gate(contests: Sequence[Contest], budget_seconds: float) -> dict[str, Any]:
    """One gated run as the plugin does it, JSON-ready: exit code, verdicts, seconds, and the seed of its order."""
    seed = draw_seed()

    def still_open(pairs: Sequence[Pair]) -> set[str]:
        return undecided(by_backend(contests, pairs), RULE)

    milestones = sorted((RULE.least_rounds, regression_rounds([len(contest.cells) for contest in contests], RULE)))
    timing = time_pairs(contests, still_open, budget_seconds=budget_seconds, milestones=milestones, seed=seed)
    verdicts = judge_cells(by_backend(contests, timing.pairs), RULE)
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
    """The study's cells of one backend."""
    found = gate([family.contest(variant, make_cells(family.encoder))], LIVE_BUDGET_SECONDS)
    return {"backend": family.name, "variant": variant, **found}


def gate_wide(
    encoder: Encoder, calibrated: Mapping[str, Mapping[str, Any]], about: dict[str, Any], out: Path, scratch: Path
) -> None:
    """Twenty cells as `pytest benchmarks --gate` has them, without a change and with every backend slower by 10%."""
    batches = make_wide_cells(encoder)
    document: dict[str, Any] = {"about": about, "wide": []}
    for variant in (SAME, "slower 10%"):
        contests = []
        for name in WIDE_BACKENDS:
            columns = {"slower 10%": calibrated[name]["slower 10%"]["columns"]}
            contests.append(make_family(encoder, name, columns, scratch).contest(variant, batches, name))
        document["wide"].append({"variant": variant, **gate(contests, WIDE_BUDGET_SECONDS)})
        out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        last = document["wide"][-1]
        print(f"{len(last['cells'])} cells, {variant}: {last['code']}, {last['seconds']:.0f} s", flush=True)


def make_wide_cells(encoder: Encoder) -> Batches:
    """The benchmark's batch plans over its 32 texts."""
    texts = take_texts(encoder, WIDE_ROWS)
    plans = [*map(ArrivalPlan, WIDE_BATCH_SIZES), BudgetPlan()]
    return {plan.name: list(make_batches(texts, plan)) for plan in plans}
