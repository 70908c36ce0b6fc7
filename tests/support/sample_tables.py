"""Every table that a command prints, of samples with long names and many columns, by what it is of: width to text."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from driftgate.bench.compare_runs import best_table
from driftgate.bench.grid_table import GridCell, GridRow, Latency, grid_table
from driftgate.bench.throughput_files import Point, Series
from driftgate.explain.explanation import Effect, Explanation, ModuleFinding, ProductFinding, RowFinding
from driftgate.explain.tune import Cost
from driftgate.explain.tune_words import render_front
from driftgate.explain.words import list_tables
from driftgate.gate.rendering import CellTimes, GateReport, render_gate
from driftgate.gate.rule import GateOptions, SpeedRule, Verdict
from driftgate.gate.verdicts import CellVerdict
from driftgate.judge.bounds import Bound, Outcome
from driftgate.judge.proposed_bounds import Proposal
from driftgate.publish.sizes import NAIVE, WEIGHTS, Form, Sizes, render_sizes
from driftgate.report.bounds_proposal import render_proposal
from driftgate.results.tables import render
from driftgate.verify.closeness import Closeness, Tolerance
from driftgate.verify.verification import FactCheck, OutputCheck, SetCheck, Verification, render_verification

BACKEND = "onnx-int8-optimum-avx512-vnni+recipe.toml"
DIGEST = "0123456789abcdef" * 4
PATH = "distilbert.transformer.layer.11.attention.self.query"


def gate(width: int) -> str:
    cell = f"{BACKEND}-budget-emotions"
    found = CellVerdict(cell, BACKEND, Verdict.REGRESSION, "slower in 30 of 30 rounds", 0.12, 0.08, 0.2, 30)
    report = GateReport(
        GateOptions(True, False, Path(), "", "", SpeedRule(), 60.0, True, False, ()),
        (found,),
        {cell: CellTimes(10.0, 11.2, 900)} if width > 1000 else {},
        {},
        1.0,
        0,
        (),
        {},
        {},
    )
    return render_gate(report, min(width, 119))


def explanation(width: int) -> str:
    effect = Effect(0.0123, 3)
    found = Explanation(
        *(
            "encoder",
            DIGEST,
            BACKEND,
            DIGEST,
            "corpus",
            DIGEST,
            300,
            300,
            0.0125,
            0.5,
            4,
            3000,
            effect,
            effect,
            72,
            (),
            (),
        ),
        modules=(
            ModuleFinding(
                "layer 11 feed-forward", (PATH,), 0.01, 0.99, 0.02, 0.03, effect, effect, 0.5, None, sampled=True
            ),
        ),
        products=(
            ProductFinding(PATH, "node", "MatMul", "layer 11 attention", 0.0123, effect, effect, 0.5, 768, 12, 8.0),
        ),
        worst_rows=(RowFinding("a-long-identifier-of-a-row-0001", 0.125, "layer 11 feed-forward", 0.5, (1, 12, 123)),),
        together=(),
        seconds=1.0,
    )
    return "".join(render(table, width) for table in list_tables(found))


def tune(width: int) -> str:
    limits = SimpleNamespace(value=0.0123, low=0.0101, high=0.0203)
    candidate = SimpleNamespace(
        forms={PATH: "float"},
        drift=0.0123,
        time_ratio=SimpleNamespace(median=1.05, low=1.01, high=1.09),
        size_ratio=1.25,
    )
    judged = SimpleNamespace(
        candidate=candidate, cost=1.05, drift=limits, row_flips=limits, flips=12, verdict=Outcome.NOT_SHOWN
    )
    found = SimpleNamespace(
        front=(judged,),
        chosen=judged,
        verdict=Outcome.PASS,
        cost=Cost.SPEED,
        searched_rows=500,
        judged_rows=500,
        tried=9,
    )
    return "\n".join(render_front(found, width).splitlines()[:-2])  # the sentences below it are no table


def verify(width: int) -> str:
    tolerance = Tolerance(1e-3, 1e-4)
    output = OutputCheck(
        "last_hidden_state", (8, 512, 768), tolerance, Closeness(1000, 12, 0.0123, 0.0123, 0.0123), "beyond"
    )
    facts = (FactCheck("sha256", DIGEST, DIGEST, "driftgate_manifest.json", holds=False),)
    sets = (SetCheck("test_data_set_0", "their names", (output,)),)
    found = Verification("model.onnx", {}, "fp32", tolerance, "", facts, sets)
    return "\n".join(line for line in render_verification(found, width).splitlines() if not line.startswith("FAILED "))


def sizes(width: int) -> str:
    parts = dict.fromkeys(("embeddings", "attention", "feed-forward", "normalization", "head", "other"), 1250000)
    return render_sizes(
        Sizes(
            "tiny",
            1000,
            18,
            (Form(WEIGHTS, 9_000_000, parts), Form(NAIVE, 9_000_000, parts), Form(BACKEND, 8_000_000, parts)),
        ),
        width,
    )


def proposal(width: int) -> str:
    metrics = ("mean_abs_probability_drift", "max_abs_probability_drift")
    bounds = tuple(Bound(BACKEND, metric, 0.0123, True, "a reason", date(2026, 1, 1)) for metric in metrics)
    caught = {
        f"a fault of the {name} in one of the layers": metrics for name in ("weights", "masks", "scales", "labels")
    }
    return render_proposal(Proposal(BACKEND, bounds, {}, (), caught, dict.fromkeys(caught, 3)), width)


def grid(width: int) -> str:
    latency = Latency(10, *np.linspace(1, 2, 6).tolist())
    shapes = [(batch, sequence) for batch in (1, 4, 16, 64) for sequence in (8, 32, 128, 512)]
    cell = ("onnxruntime", "1.31.0", "CPUExecutionProvider", "cpu", "fp32", "", False, "model", 2, 16)
    rows = [GridRow(BACKEND, GridCell(*cell, *shape), datetime(2026, 1, 1, tzinfo=UTC), latency) for shape in shapes]
    return render(grid_table(rows), width)


def plot(width: int) -> str:
    device = "Intel-Xeon-Platinum-8488C-with-two-sockets"
    series = [Series(device, name, "a-long-name-of-a-corpus", (Point(4, 16, 1234.5),)) for name in ("torch", BACKEND)]
    return render(best_table(series, "torch"), width)


TABLES = {made.__name__: made for made in (gate, explanation, tune, verify, sizes, proposal, grid, plot)}
