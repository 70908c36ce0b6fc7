"""The pytest options of the speed gate, as the table of options has them."""

from driftgate.plugin.option_record import Decides, Option

GATE_OPTIONS = (
    Option(
        "--gate",
        "Time every ONNX backend side by side with the artifact of the baseline, and fail if it is slower.",
        Decides.RUN,
    ),
    Option(
        "--gate-baseline",
        "The folder with the artifacts of the baseline, or git:REF to build them from that commit.",
        Decides.RUN,
        "DIR|git:REF",
        ".driftgate-baseline",
    ),
    Option(
        "--gate-baseline-python",
        "The Python interpreter whose environment runs the baseline, in a worker process of its own. By default both sides run "
        "in this environment.",
        Decides.RUN,
        "PYTHON",
    ),
    Option("--gate-accept", "Keep the artifacts of this run as the baseline of later runs if it passes.", Decides.RUN),
    Option("--gate-detect", "The slowdown that the gate has to find.", Decides.RUN, "PERCENT", "10%"),
    Option(
        "--gate-tolerance",
        "The slowdown that is acceptable: a run must not fail for as much as this.",
        Decides.RUN,
        "PERCENT",
        "2%",
    ),
    Option(
        "--gate-alpha",
        "The share of runs that may fail although no cell is slower than the tolerance allows.",
        Decides.RUN,
        "PERCENT",
        "1%",
    ),
    Option(
        "--gate-beta",
        "The share of slowdowns of the size of --gate-detect that may pass.",
        Decides.RUN,
        "PERCENT",
        "5%",
    ),
    Option("--gate-budget", "The time for measurements, in seconds.", Decides.RUN, "SECONDS", "600"),
    Option(
        "--gate-not-measurable",
        "What happens if a cell is still undecided at the end: fail ends the run with exit code 7, warn only reports it.",
        Decides.RUN,
        "POLICY",
        "fail",
    ),
    Option(
        "--gate-work",
        "How much more work than its baseline a cell may do, counted in multiply-adds and in bytes moved. By default it is only "
        "reported.",
        Decides.RUN,
        "PERCENT",
    ),
    Option("--gate-measure-identical", "Time artifacts too that equal the baseline's byte for byte.", Decides.RUN),
    Option(
        "--gate-report",
        "Write the verdicts to these files, separated by commas. Their names end in .md or .json.",
        Decides.RUN,
        "FILES",
    ),
)
