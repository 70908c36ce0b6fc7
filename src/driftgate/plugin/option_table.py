"""The table of pytest options: the parser is made of it, and so are the arguments of a build of `git:REF`."""

from driftgate.backends import DEFAULT_BACKENDS
from driftgate.plugin.option_record import Decides, Option
from driftgate.plugin.speed.cell_option_table import CELL_OPTIONS
from driftgate.plugin.speed.gate_option_table import GATE_OPTIONS

OPTIONS = (
    Option(
        "--encoder",
        "The encoder to judge: a folder, or the id of a model on the Hugging Face hub.",
        Decides.BUILD,
        "DIR|ID",
        is_path=True,
    ),
    Option(
        "--corpus",
        "The texts to judge it on, with or without labels: a .csv, .tsv or .jsonl file (each may be compressed as .gz), a "
        ".parquet file, or a data set of the hub as hub:NAME[@REVISION][:CONFIG][:SPLIT].",
        Decides.BUILD,
        "FILE",
        is_path=True,
    ),
    Option(
        "--backends",
        "The backends to judge, separated by commas. A published artifact is given as name[:class]=PATH.",
        Decides.BUILD,
        "NAMES",
        ",".join(DEFAULT_BACKENDS),
    ),
    Option(
        "--bounds",
        "A file with bounds of your own. They take precedence over the bounds that come with the suites.",
        Decides.RUN,
        "FILE",
    ),
    Option(
        "--driftgate-not-shown",
        "Which bounds have to be shown to hold for the run to pass. If the rows are too few to show it, the run ends with exit "
        "code 7. The values are drift (the bounds of drift), fail (all bounds) and warn (none).",
        Decides.RUN,
        "WHAT",
        "drift",
    ),
    Option(
        "--save-predictions", "Write the logits of every backend to this .npz or .parquet file.", Decides.RUN, "FILE"
    ),
    Option(
        "--accuracy-baseline",
        "Compare each backend with its own answers in an earlier run. The first run that passes saves them in this folder.",
        Decides.RUN,
        "DIR",
    ),
    Option(
        "--accuracy-baseline-update",
        "Save the answers of this run as the new accuracy baseline if it passes, instead of comparing with the old one.",
        Decides.RUN,
    ),
    Option(
        "--graph-lock",
        "Compare the facts of each ONNX graph with those in this file, such as graphs.lock.json.",
        Decides.RUN,
        "FILE",
    ),
    Option(
        "--graph-lock-update",
        "Write the facts of this run's graphs to the file of --graph-lock. The run fails all the same, so that the change is "
        "reviewed.",
        Decides.RUN,
    ),
    Option(
        "--ledger",
        "Run the file after each build step, and print what each step adds in drift, flips and bytes.",
        Decides.RUN,
    ),
    Option("--allow-pickle", "Load pickled weights. Such files can run code when they are loaded.", Decides.BUILD),
    Option("--driftgate-device", "The device to run on: cpu, cuda or cuda:N.", Decides.BUILD, "DEVICE", "cpu"),
    Option(
        "--driftgate-calibration",
        "The texts that build steps with calibration run the model on. By default these are texts that come with driftgate.",
        Decides.BUILD,
        "FILE",
        is_path=True,
    ),
    Option(
        "--driftgate-threads",
        "How many intra-op threads every backend uses. 0 means every core that this process may use.",
        Decides.BUILD,
        "N",
        "0",
    ),
    Option(
        "--driftgate-corpus-rows",
        "Judge on this many rows of the corpus, drawn with a fixed seed. 0 means all rows.",
        Decides.BUILD,
        "N",
        "0",
    ),
    Option(
        "--driftgate-text-column",
        "The column of the texts: its name, or its position (from 0) if the file has no header. The default is text.",
        Decides.BUILD,
        "COLUMN",
    ),
    Option(
        "--driftgate-pair-column",
        "The column of the second texts, by name or position, if the rows are pairs of texts.",
        Decides.BUILD,
        "COLUMN",
    ),
    Option(
        "--driftgate-group-column",
        "The column that names the group a row is a candidate of, such as its query, for encoders that give a score.",
        Decides.RUN,
        "COLUMN",
    ),
    Option(
        "--driftgate-label-column",
        "The column of the labels, by name or position. The default is labels or label.",
        Decides.BUILD,
        "COLUMN",
    ),
    Option("--driftgate-label-separator", "What separates several labels in one field.", Decides.BUILD, "TEXT", ","),
    Option(
        "--driftgate-problem-type",
        "The problem type of the encoder, if its configuration does not say it: single_label_classification or "
        "multi_label_classification.",
        Decides.BUILD,
        "TYPE",
    ),
    Option(
        "--driftgate-max-tokens",
        "Truncate texts to this many tokens, special tokens included. The default is the encoder's own limit.",
        Decides.BUILD,
        "N",
    ),
    Option(
        "--driftgate-revision",
        "The revision of an encoder on the hub: a branch, a tag or a commit.",
        Decides.BUILD,
        "REVISION",
    ),
    Option(
        "--driftgate-results",
        "The folder that results.json is written to, relative to where pytest was started.",
        Decides.RUN,
        "DIR",
        ".driftgate",
    ),
    Option(
        "--driftgate-report",
        "What is written beside results.json for people to read: all, which is report.html and report.md, or none.",
        Decides.RUN,
        "WHAT",
        "all",
    ),
    Option(
        "--driftgate-history",
        "Append one line to this .jsonl file if the run ends with exit code 0: its verdicts, metrics, versions and "
        "commit.",
        Decides.RUN,
        "FILE",
    ),
    Option("--driftgate-rebuild", "Build every artifact again instead of taking it from the cache.", Decides.RUN),
    Option(
        "--driftgate-show-texts",
        "Print texts of the corpus in failures and show them in report.html. By default rows are named by their ids only.",
        Decides.RUN,
    ),
    Option(
        "--driftgate-trust-remote-code",
        "Run the Python code that comes with the encoder. Read it first.",
        Decides.BUILD,
    ),
    *CELL_OPTIONS,
)

TABLE = (*OPTIONS, *GATE_OPTIONS)
