"""Everything that is chosen before the speed gate is studied. Changed after a recording, the recording is void."""

from driftgate.gate.rule import SpeedRule
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan

RULE = SpeedRule()
"""The promise as shipped: 10% found, 1% false alarms a run, 5% misses a cell."""

BACKENDS = ("onnx-fp32", "onnx-int8")
"""Recorded in turn, a part each."""
PART_SECONDS = 55.0
"""A part is one call of the gate's schedule; it is saved when it ends, and a line is printed."""
TEXTS = 32
CELL_PLANS = (ArrivalPlan(1), ArrivalPlan(2))
"""A run has two cells: batches of one and of two of 32 texts, timed as the gate times them."""

SAME = "same"
INJECTED = {"slower 5%": 0.05, "slower 10%": 0.10}
"""By real work in the graph, of the study's two cells on average."""
EVERY_CELL = "every cell slower 10%"
"""Of the runs with twenty cells: by 10% in the cell that real work slows least, and by more in the others."""
EVERY_CELL_SLOWDOWN = 0.10
MULTIPLIED = (0.0, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15)
"""By multiplying the candidate's times of equal artifacts."""
COPIES = {SAME: 4, "slower 5%": 1, "slower 10%": 1}
"""Contests a round of each variant. Each is loaded afresh, and has a control of its own."""

MOST_ROUNDS = 60
"""A replayed run that is undecided after so many is NOT MEASURABLE."""
ROC_ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 5e-2, 0.1, 0.2, 0.3, 0.45)
"""What `alpha` is swept over; shipped is 1%."""

CONFIDENCE = 0.95
SIGNS_CONFIDENCE = 0.99
"""Of the shares of positive signs, all cells together."""

CALIBRATION_TOLERANCE = 0.005
CALIBRATION_STEPS = 8
WIDE_BACKENDS = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static")
"""With four batch plans each: 20 cells."""
WIDE_PLANS = (ArrivalPlan(1), ArrivalPlan(8), ArrivalPlan(32), BudgetPlan())
WIDE_BUDGET_SECONDS = 180.0
LIVE_BUDGET_SECONDS = 90.0
