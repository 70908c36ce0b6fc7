"""The table of pytest options: the parser is made of it, and so are the arguments of a build of `git:REF`."""

from dataclasses import dataclass
from enum import Enum

from driftgate.backends import DEFAULT_BACKENDS
from driftgate.inputs.batches import DEFAULT_TOKEN_BUDGET


class Decides(Enum):
    """What an option has a say in."""

    BUILD = "which artifacts are built, or which gated cells they have"
    """Handed on to the build of a baseline from a commit (`--gate-baseline git:REF`), which would be another one without it."""
    RUN = "what a run does with them, checks and writes"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--encoder` has the ini twin `driftgate_encoder`, `--driftgate-threads` has `driftgate_threads`.

    Args:
        decides: has no default, so that nobody adds an option without saying.
        metavar: "" for a switch.
        is_path: names a file, of which a commit may have its own.
    """

    flag: str
    help: str
    decides: Decides
    metavar: str = ""
    default: str = ""
    is_path: bool = False

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--driftgate-").removeprefix("--").replace("-", "_")

    @property
    def ini(self) -> str:
        return f"driftgate_{self.name}"

    @property
    def dest(self) -> str:
        """Of the command line's value, in pytest's `config.option`."""
        return f"driftgate_{self.name}"

    @property
    def is_switch(self) -> bool:
        return not self.metavar


OPTIONS = (
    Option("--encoder", "folder or hub id of the encoder to judge", Decides.BUILD, "DIR|ID", is_path=True),
    Option(
        "--corpus",
        "labelled or unlabelled texts: .csv, .tsv, .jsonl (each also .gz), .parquet, or hub:NAME[@REVISION][:CONFIG][:SPLIT]",
        Decides.BUILD,
        "FILE",
        is_path=True,
    ),
    Option(
        "--backends",
        "comma-separated backends, or published artifacts as name[:class]=PATH",
        Decides.BUILD,
        "NAMES",
        ",".join(DEFAULT_BACKENDS),
    ),
    Option("--bounds", "bounds of your own; they go before the suite's", Decides.RUN, "FILE"),
    Option(
        "--driftgate-not-shown",
        "what ends a run with 7 where the rows do not show that bounds are kept: drift, fail (any bound), or warn (none)",
        Decides.RUN,
        "WHAT",
        "drift",
    ),
    Option("--save-predictions", "write every backend's logits to this .npz or .parquet file", Decides.RUN, "FILE"),
    Option(
        "--accuracy-baseline", "compare each backend with its own past; the first run saves it here", Decides.RUN, "DIR"
    ),
    Option(
        "--accuracy-baseline-update",
        "take this run as the new baseline if it passes, instead of comparing",
        Decides.RUN,
    ),
    Option(
        "--graph-lock", "hold the facts of each ONNX graph to this file, such as graphs.lock.json", Decides.RUN, "FILE"
    ),
    Option(
        "--graph-lock-update",
        "write the facts of this run's graphs to that file; the run fails all the same",
        Decides.RUN,
    ),
    Option(
        "--ledger",
        "ask the file after each build step, and table what the step adds in drift, flips and bytes",
        Decides.RUN,
    ),
    Option("--allow-pickle", "load pickled weights, which can run code", Decides.BUILD),
    Option("--driftgate-device", "cpu, cuda or cuda:N", Decides.BUILD, "DEVICE", "cpu"),
    Option(
        "--driftgate-calibration",
        "texts that calibrated build steps watch the graph on; default: embedded ones",
        Decides.BUILD,
        "FILE",
        is_path=True,
    ),
    Option(
        "--driftgate-threads",
        "intra-op threads of every backend; 0 means every core this process may use",
        Decides.BUILD,
        "N",
        "0",
    ),
    Option("--driftgate-batch-sizes", "batch sizes of the benchmark", Decides.BUILD, "N,N", "1,8,32"),
    Option(
        "--driftgate-token-budget",
        "padded tokens a batch of the budget plan may hold",
        Decides.BUILD,
        "N",
        str(DEFAULT_TOKEN_BUDGET),
    ),
    Option("--driftgate-sample-rows", "texts in each benchmark cell", Decides.BUILD, "N", "32"),
    Option(
        "--driftgate-throughput-corpus",
        "normal, long, or corpus for the texts of --corpus",
        Decides.BUILD,
        "NAME",
        "normal",
    ),
    Option(
        "--driftgate-corpus-rows",
        "judge on this many rows of the corpus, drawn with a fixed seed; 0 means all",
        Decides.BUILD,
        "N",
        "0",
    ),
    Option(
        "--driftgate-text-column",
        "column of the texts: a name, or a position where the file has no header",
        Decides.BUILD,
        "COLUMN",
    ),
    Option(
        "--driftgate-pair-column", "column of the second texts, likewise, where rows are pairs", Decides.BUILD, "COLUMN"
    ),
    Option("--driftgate-label-column", "column of the labels, likewise", Decides.BUILD, "COLUMN"),
    Option("--driftgate-label-separator", "what separates several labels in one field", Decides.BUILD, "TEXT", ","),
    Option(
        "--driftgate-problem-type", "single_label_classification or multi_label_classification", Decides.BUILD, "TYPE"
    ),
    Option(
        "--driftgate-max-tokens",
        "cut texts at this many tokens, special ones included; default: the encoder's own limit",
        Decides.BUILD,
        "N",
    ),
    Option("--driftgate-revision", "revision of a hub encoder", Decides.BUILD, "REVISION"),
    Option("--driftgate-results", "folder for results.json", Decides.RUN, "DIR", ".driftgate"),
    Option("--driftgate-rebuild", "build every artifact anew", Decides.RUN),
    Option(
        "--driftgate-show-texts",
        "print texts of the corpus in failures; by default row ids stand for them",
        Decides.RUN,
    ),
    Option("--driftgate-trust-remote-code", "run code that the encoder brings; read it first", Decides.BUILD),
)

GATE_OPTIONS = (
    Option(
        "--gate", "time every ONNX backend beside its baseline's artifact, and fail where it is slower", Decides.RUN
    ),
    Option(
        "--gate-baseline",
        "folder of the baseline's artifacts, or git:REF to build them from that commit",
        Decides.RUN,
        "DIR|git:REF",
        ".driftgate-baseline",
    ),
    Option(
        "--gate-baseline-python",
        "Python whose environment runs the baseline's side, in a worker process",
        Decides.RUN,
        "PYTHON",
    ),
    Option("--gate-accept", "if the run passes, keep its artifacts as the baseline of later ones", Decides.RUN),
    Option("--gate-detect", "the slowdown that has to be found", Decides.RUN, "PERCENT", "10%"),
    Option(
        "--gate-tolerance", "the slowdown that nobody minds: as much may not fail a run", Decides.RUN, "PERCENT", "2%"
    ),
    Option(
        "--gate-alpha",
        "slowdowns within the tolerance that may fail a run, over all its cells",
        Decides.RUN,
        "PERCENT",
        "1%",
    ),
    Option("--gate-beta", "slowdowns of that size that may pass", Decides.RUN, "PERCENT", "5%"),
    Option("--gate-budget", "seconds to time pairs for", Decides.RUN, "SECONDS", "600"),
    Option(
        "--gate-not-measurable",
        "what becomes of cells left undecided: fail (exit code 7) or warn",
        Decides.RUN,
        "POLICY",
        "fail",
    ),
    Option(
        "--gate-work",
        "counted work (multiply-adds, bytes moved) that a cell may have more than its baseline; default: it is reported only",
        Decides.RUN,
        "PERCENT",
    ),
    Option("--gate-measure-identical", "time artifacts that are the baseline's byte for byte too", Decides.RUN),
    Option(
        "--gate-report", "write the verdicts to these files, .md or .json, separated by commas", Decides.RUN, "FILES"
    ),
)

TABLE = (*OPTIONS, *GATE_OPTIONS)
