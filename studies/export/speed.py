"""Is an encoder as fast from one exporter as from another? The same backends from two builds, in alternating blocks.

    python studies/export/speed.py BEFORE AFTER [--encoder FOLDER] [--blocks 30] [--backends onnx-fp32,...]
        [--plans "batch 1,..."]

BEFORE and AFTER are folders that `driftgate build` wrote with the two versions, each from an environment of its own, with a
folder for each backend in them. Prints a table of the ratio before/after (above 1: the second build is faster), and writes
`speed.json` beside this file.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import onnx

from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, spread_sample
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.measure.workload import prepare_workload, time_blocks
from driftgate.pipeline import open_backend
from driftgate.results.environment import describe_environment
from driftgate.run.device import RunSettings, available_threads

HERE = Path(__file__).parent
EMBEDDED = HERE.parents[1] / "fixtures/encoders/goemotions-roberta-mini"
BACKENDS = "onnx-fp32,onnx-fp16,onnx-int8,onnx-int8-dynamic"
PLANS: dict[str, BatchPlan] = {
    "batch 1": ArrivalPlan(1), "batch 8": ArrivalPlan(8), "batch 32": ArrivalPlan(32), "budget": BudgetPlan()
}  # fmt: skip
ROWS = {"batch 1": 8, "batch 8": 8, "batch 32": 32, "budget": 16}
LEVEL = 0.05


def compare(
    encoder: Encoder, before: Path, after: Path, backends: list[str], plans: list[str], blocks: int
) -> dict[str, Any]:
    """Ratios of each backend under each plan, with the largest difference between the two builds' logits."""
    every = tokenize(encoder, throughput_corpus("normal").texts)
    settings = RunSettings(available_threads())
    cells: dict[str, Any] = {}
    print(
        "| backend, plan | before / after | 90% interval | before, ms | after, ms | nodes | largest difference of logits |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in backends:
        sides = {
            side: open_backend(encoder, f"{side}-{name}={folder / name / 'model.onnx'}", settings)
            for side, folder in (("before", before), ("after", after))
        }
        nodes = {
            side: len(onnx.load(backend.spec.published, load_external_data=False).graph.node)
            for side, backend in sides.items()
        }
        for plan_name in plans:
            plan = PLANS[plan_name]
            rows = every.take(spread_sample(every, ROWS[plan_name]))
            workloads = {side: prepare_workload(backend, rows, plan) for side, backend in sides.items()}
            answers = [workload.logits(workload.run()) for workload in workloads.values()]
            seconds = time_blocks(workloads, blocks)
            ratios = np.log(np.array(seconds["before"]) / np.array(seconds["after"]))
            low, high = np.exp(_interval(ratios))
            cells[f"{name}, {plan_name}"] = {
                "ratio": float(np.exp(np.median(ratios))), "low": float(low), "high": float(high),
                "milliseconds": {side: float(np.median(found) * 1e3) for side, found in seconds.items()},
                "largest_logit_difference": float(np.abs(answers[0] - answers[1]).max()),
                "nodes": nodes,
            }  # fmt: skip
            _print(f"{name}, {plan_name}", cells[f"{name}, {plan_name}"])
    environment = describe_environment()
    return {"encoder": encoder.name, "blocks": blocks, "processor": environment.cpu, "versions": dict(environment.versions),
            "cells": cells}  # fmt: skip


def _print(name: str, cell: dict[str, Any]) -> None:
    times, nodes = cell["milliseconds"], cell["nodes"]
    print(
        f"| {name} | {cell['ratio']:.3f} | [{cell['low']:.3f}, {cell['high']:.3f}] | {times['before']:.1f} | "
        f"{times['after']:.1f} | {nodes['before']} -> {nodes['after']} | {cell['largest_logit_difference']:.1e} |",
        flush=True,
    )


def _interval(values: Any) -> Any:
    """Of the median, by the percentile bootstrap."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    return np.quantile(np.median(draws, axis=1), [LEVEL, 1 - LEVEL])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--encoder", type=Path, default=EMBEDDED)
    parser.add_argument("--backends", default=BACKENDS)
    parser.add_argument("--plans", default=",".join(PLANS))
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--out", type=Path, default=HERE / "speed.json")
    given = parser.parse_args()
    found = compare(
        load_encoder(given.encoder),
        given.before,
        given.after,
        given.backends.split(","),
        given.plans.split(","),
        given.blocks,
    )
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
