"""Documents as `results.json` has them, made up to show every verdict: what a page says must not depend on a build's luck."""

import copy
from typing import Any

LABELS = ("joy", "anger", "surprise", "neutral")
HOSTILE = (
    "<script>document.title='owned'</script>",
    "\" onmouseover='alert(1)' x=\"",
    "שלום עולם مرحبا",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "\x1b[31mred\x1b[0m",
    "n" * 300,
    "--> ]]> </style></svg>",
    "[link](javascript:alert(1)) `code` | cell",
)
"""Names that mean something to a browser, a terminal or Markdown."""


def held(
    metric: str, value: float, limit: float, verdict: str, *, policy: str = "", spread: float = 0.2
) -> dict[str, Any]:
    return {
        "metric": metric,
        "policy": policy,
        "value": value,
        "low": value * (1 - spread),
        "high": value * (1 + spread),
        "limit": limit,
        "low_level": 0.01,
        "high_level": 0.05,
        "bound": "at most",
        "verdict": verdict,
        "rows_needed": 900 if verdict == "not-shown" else None,
    }


def backend(scale: float, verdict: str, labels: tuple[str, ...] = LABELS, *, labelled: bool = True) -> dict[str, Any]:
    """One whose drift is `scale`."""
    size = len(labels)
    bins = [
        {
            "low": at / 10,
            "high": (at + 1) / 10,
            "decisions": 40,
            "mean_probability": at / 10 + 0.05,
            "share_true": at / 10,
        }
        for at in range(10)
    ]
    loss = {"reference": 0.47, "backend": 0.46, "loss": scale, "low": -scale, "high": 3 * scale, "detectable": 0.01}
    stages = [
        {
            "name": name,
            "size_bytes": 56_000_000,
            "drift": _distance(share * scale),
            "added": _distance(share * scale) if share else None,
            "decisions": 400,
            "flips": {"at 0.5": 1},
            "macro_f1_change": {},
        }
        for name, share in (("torch float64", 0.0), ("torch float32", 0.0), ("export", 0.1), ("quantize", 1.0))
    ]
    worst = [
        {
            "row": row,
            "max_abs_drift": scale * 2,
            "label": labels[0],
            "reference": [0.4] * size,
            "backend": [0.4 + scale] * size,
        }
        for row in (3, 5)
    ]
    return {
        "about": {
            "precision": "int8-rowwise",
            "runtime": "onnxruntime",
            "provider": "CPUExecutionProvider",
            "arithmetic": "int8",
            "threads": 2,
            "artifact_sha256": "a" * 64,
            "size_bytes": 15_000_000,
        },
        "verdict": verdict,
        "verdicts": [
            held("mean_of_largest_probability_drift", scale, 1e-3, verdict),
            held("relative_logit_error", scale * 10, 1e-2, verdict),
            held("row_flip_rate", 0.0, 0.005, "not-shown", policy="at 0.5"),
        ],
        "checks": 2,
        "failed_checks": 0,
        "skipped": "",
        "drift": {
            "largest_per_text": {"mean": scale, "max": scale * 4},
            "quantiles_of_largest": [scale * at / 200 for at in range(201)],
            "per_label_mean_abs": {label: scale * (1 + place) for place, label in enumerate(labels)},
            "worst": worst,
        },
        "flips": {"at 0.5": {"total": 2, "decisions": 400}},
        "slices": {"length 1-16": {"rows": 40, "mean_of_largest": scale, "flips": 1}},
        "losses": {"at 0.5": {"micro_f1": loss, "macro_f1": loss}} if labelled else {},
        "quality": {"at 0.5": {"macro_f1": 0.46}} if labelled else {},
        "calibration": {"brier": 0.1, "expected_calibration_error": 0.02, "curve": bins} if labelled else {},
        "ledger": {"stages": stages},
        "throughput": {"normal": {"budget": {"texts_per_second": 812.0}}},
        "ratios": {"normal": {"budget": {"median": 2.1, "low": 1.9, "high": 2.2, "blocks": 8}}},
        "movement": {},
        "diagnosis": {},
    }


def document(
    backends: dict[str, Any], verdict: str, exit_code: int, labels: tuple[str, ...] = LABELS
) -> dict[str, Any]:
    """A run of an encoder of these labels."""
    return {
        "schema": 2,
        "environment": {
            "python": "3.11.7",
            "platform": "Linux",
            "versions": {"driftgate": "0.1.0", "torch": "2.13.0+cpu", "onnxruntime": "1.31.1"},
            "cpu": "Some Processor",
            "instruction_sets": ["avx2"],
            "cores": 2,
            "usable_cores": 2,
            "providers": ["CPUExecutionProvider"],
        },
        "options": {
            "threads": 2,
            "device": "cpu",
            "batch_sizes": [1, 8, 32],
            "token_budget": 1024,
            "sample_rows": 32,
            "backends": list(backends),
        },
        "encoder": {
            "name": "emotions",
            "sha256": "e" * 64,
            "labels": list(labels),
            "problem_type": "multi_label_classification",
            "problem_type_inferred": False,
            "thresholds": None,
            "revision": None,
            "max_tokens": 512,
        },
        "corpus": {
            "name": "comments",
            "rows": 1517,
            "sha256": "c" * 64,
            "pinned": None,
            "pairs": False,
            "drawn_from": None,
        },
        "arguments": ["accuracy", "--ledger"],
        "exit_code": exit_code,
        "verdict": verdict,
        "backends": {"reference": backend(0.0, "pass", labels), **backends},
        "violations": [],
        "row_ids": {"3": "line 4", "5": "line 6"},
        "time": {},
    }


def passing() -> dict[str, Any]:
    return document({"onnx-fp32": backend(1e-7, "pass"), "onnx-int8": backend(4e-4, "pass")}, "pass", 0)


def failing() -> dict[str, Any]:
    """One backend beyond its bounds, a slower cell, and a baseline of another library."""
    found = document({"onnx-fp32": backend(1e-7, "pass"), "onnx-scaled": backend(2e-2, "fail")}, "fail", 1)
    found["backends"]["onnx-scaled"]["diagnosis"] = {"sentence": "perhaps the weights of some layer"}
    before = copy.deepcopy(found["environment"])
    before["versions"]["onnxruntime"] = "1.30.0"
    cells = [
        cell("onnx-fp32-b1", "onnx-fp32", "PASS", 0.001),
        cell("onnx-scaled-b1", "onnx-scaled", "REGRESSION", 0.31),
    ]
    found["gate"] = gate(cells, {"environment": before}, "onnxruntime: baseline 1.30.0, now 1.31.1")
    return found


def not_shown() -> dict[str, Any]:
    """Too few rows for a verdict, and a machine that could not measure."""
    found = document({"onnx-fp32": backend(9e-4, "not-shown")}, "not-shown", 7)
    undecided = cell("onnx-fp32-b1", "onnx-fp32", "NOT MEASURABLE", None)
    found["gate"] = gate([undecided], {"x": 1})
    return found


def unlabelled() -> dict[str, Any]:
    found = document({"onnx-int8": backend(4e-4, "pass", labelled=False)}, "pass", 0)
    del found["backends"]["reference"]
    return found


def single_label() -> dict[str, Any]:
    """Decisions for the most probable label, of which there is one policy with another name."""
    found = passing()
    found["encoder"]["problem_type"] = "single_label_classification"
    for entry in found["backends"].values():
        entry["verdicts"].append(held("top1_disagreement", 0.0, 0.005, "not-shown"))
    return found


def of_labels(count: int) -> dict[str, Any]:
    labels = tuple(f"label {place}" for place in range(count))
    return document({name: backend(4e-4, "pass", labels) for name in ("onnx-fp32", "onnx-int8")}, "pass", 0, labels)


def hostile() -> dict[str, Any]:
    """Every name that comes from outside means something else to a browser."""
    found = document({name: backend(2e-2, "fail", HOSTILE) for name in HOSTILE[::2]}, "fail", 1, HOSTILE)
    found["encoder"]["name"], found["corpus"]["name"] = HOSTILE[0], HOSTILE[1]
    found["row_ids"] = {"3": HOSTILE[0], "5": HOSTILE[3]}
    found["arguments"] = list(HOSTILE)
    for entry in found["backends"].values():
        entry["skipped"] = ""
        entry["diagnosis"] = {"sentence": HOSTILE[6]}
        entry["slices"] = {name: {"rows": 4, "mean_of_largest": 1e-3, "flips": 0} for name in HOSTILE}
    return found


def gate(cells: list[dict[str, Any]], baseline: dict[str, Any], *notes: str) -> dict[str, Any]:
    """What the speed gate says of a run."""
    return {
        "schema": 2,
        "rule": {"detect": 0.1, "tolerance": 0.02, "alpha": 0.01, "beta": 0.05},
        "seconds": 10.0,
        "budget_seconds": 600.0,
        "seed": 0,
        "work_limit": None,
        "cells": cells,
        "notes": list(notes),
        "environment": {},
        "baseline": baseline,
    }


def cell(name: str, of: str, verdict: str, slowdown: float | None) -> dict[str, Any]:
    """A cell of the speed gate."""
    known = slowdown is not None
    return {
        "cell": name,
        "backend": of,
        "verdict": verdict,
        "reason": "" if known else "the machine is too busy",
        "slowdown": slowdown,
        "low": slowdown - 0.02 if known else None,
        "high": slowdown + 0.02 if known else None,
        "rounds": 5,
    }


def _distance(drift: float) -> dict[str, Any]:
    return {
        "rows": 100,
        "mean_of_largest_probability": drift,
        "max_abs_probability": drift * 3,
        "max_abs_logit": drift * 9,
    }
