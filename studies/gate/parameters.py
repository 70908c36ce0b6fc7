"""Everything that is chosen before the speed gate is studied. Changed after a recording, the recording is void."""

from driftgate.gate.rule import SpeedRule

RULE = SpeedRule()
"""The promise as shipped: 10% found, 1% false alarms a run, 5% misses a cell."""

BACKENDS = ("onnx-fp32", "onnx-int8")
"""Recorded in turn, a part each."""
PART_SECONDS = 55.0
"""A part is one call of the gate's schedule; it is saved when it ends, and a line is printed."""
CELL_ROWS = {"b1": 1, "b2": 2}
"""Cells of a gated run: one batch of so many texts, short to long. The gate's own cells have 32 texts, and turns of 20 ms."""
PADDED_TOKENS = 128
"""To which the variant `padded` pads what would be padded to its longest text."""

SLOWDOWNS = (0.03, 0.05, 0.07, 0.10, 0.15, 0.20)
INJECTED = {f"slower {share:.0%}": share for share in SLOWDOWNS}
NATURAL = ("no optimizations", "unfused", "one thread fewer", "padded")
"""`no optimizations`: the session leaves the graph as it is; `unfused`: it folds constants, and fuses nothing."""
SAME = "same"
COPIES = {SAME: 2, "slower 10%": 3}
"""Contests a round of each variant; one where nothing is said. Each is loaded afresh, and has a control of its own."""

MOST_ROUNDS = 60
"""A replayed run that is undecided after so many is NOT MEASURABLE: about what five minutes cover."""
ROC_ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 5e-2, 0.1, 0.2, 0.3, 0.45)
"""What `alpha` is swept over; shipped is 1%."""

STOCK_ROUNDS = 8
"""Rounds that a stock rule is given, 32 times a side and cell: about what the gate takes."""
CONFIDENCE = 0.95

CALIBRATION_TOLERANCE = 0.005
CALIBRATION_STEPS = 8
WIDE_BACKENDS = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static")
"""With four batch plans each: 20 cells."""
WIDE_BATCH_SIZES = (1, 8, 32)
WIDE_ROWS = 32
WIDE_BUDGET_SECONDS = 600.0
LIVE_BUDGET_SECONDS = 90.0
