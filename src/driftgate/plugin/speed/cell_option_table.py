"""The part of the table of pytest options that says which cells are timed, and for how long."""

from driftgate.edges.limits import DEFAULT_TOKEN_BUDGET
from driftgate.plugin.option_record import Decides, Option

CELL_OPTIONS = (
    Option(
        "--driftgate-batch-sizes",
        "The batch sizes of the arrival plan in the benchmarks, separated by commas.",
        Decides.BUILD,
        "N,N",
        "1,8,32",
    ),
    Option(
        "--driftgate-token-budget",
        "How many tokens, padding included, a batch of the budget plan may have.",
        Decides.BUILD,
        "N",
        str(DEFAULT_TOKEN_BUDGET),
    ),
    Option("--driftgate-sample-rows", "How many texts each benchmark cell times.", Decides.BUILD, "N", "32"),
    Option(
        "--driftgate-precision",
        "Time each benchmark cell until the 95% confidence interval of its time reaches at most this much to each side. Each is "
        "timed at least twice and at most 20 times, and no more once that took 2 seconds.",
        Decides.RUN,
        "PERCENT",
        "10%",
    ),
    Option(
        "--driftgate-throughput-corpus",
        "The texts to time: normal or long, which come with driftgate, or corpus for the texts of --corpus.",
        Decides.BUILD,
        "NAME",
        "normal",
    ),
)
