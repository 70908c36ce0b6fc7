"""pytest options, each with an ini twin, read once into a frozen record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driftgate.backends import DEFAULT_BACKENDS, REGISTRY, BackendSpec, parse_backends
from driftgate.errors import OptionError
from driftgate.inputs.batches import DEFAULT_TOKEN_BUDGET
from driftgate.inputs.corpus_files import Columns
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.limits import BATCH_SIZE, CORPUS_ROWS, SAMPLE_ROWS, TOKEN_BUDGET
from driftgate.run.device import RunSettings, available_threads, core_limit, parse_device


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--encoder` has the ini twin `driftgate_encoder`, `--driftgate-threads` has `driftgate_threads`."""

    flag: str
    help: str
    metavar: str = ""
    default: str = ""

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--driftgate-").removeprefix("--").replace("-", "_")

    @property
    def ini(self) -> str:
        return f"driftgate_{self.name}"

    @property
    def is_switch(self) -> bool:
        return not self.metavar


OPTIONS = (
    Option("--encoder", "folder or hub id of the encoder to judge", "DIR|ID"),
    Option(
        "--corpus",
        "labelled or unlabelled texts: .csv, .tsv, .jsonl (each also .gz), .parquet, or hub:NAME[@REVISION][:CONFIG][:SPLIT]",
        "FILE",
    ),
    Option(
        "--backends",
        "comma-separated backends, or published artifacts as name[:class]=PATH",
        "NAMES",
        ",".join(DEFAULT_BACKENDS),
    ),
    Option("--bounds", "bounds of your own; they go before the suite's", "FILE"),
    Option(
        "--driftgate-not-shown",
        "what ends a run with 7 where the rows do not show that bounds are kept: drift, fail (any bound), or warn (none)",
        "WHAT",
        "drift",
    ),
    Option("--save-predictions", "write every backend's logits to this .npz or .parquet file", "FILE"),
    Option("--accuracy-baseline", "compare each backend with its own past; the first run saves it here", "DIR"),
    Option("--accuracy-baseline-update", "take this run as the new baseline if it passes, instead of comparing"),
    Option("--graph-lock", "hold the facts of each ONNX graph to this file, such as graphs.lock.json", "FILE"),
    Option("--graph-lock-update", "write the facts of this run's graphs to that file; the run fails all the same"),
    Option("--ledger", "ask the file after each build step, and table what the step adds in drift, flips and bytes"),
    Option("--allow-pickle", "load pickled weights, which can run code"),
    Option("--driftgate-device", "cpu, cuda or cuda:N", "DEVICE", "cpu"),
    Option(
        "--driftgate-calibration",
        "texts that calibrated build steps watch the graph on; default: embedded ones",
        "FILE",
    ),
    Option(
        "--driftgate-threads", "intra-op threads of every backend; 0 means every core this process may use", "N", "0"
    ),
    Option("--driftgate-batch-sizes", "batch sizes of the benchmark", "N,N", "1,8,32"),
    Option(
        "--driftgate-token-budget", "padded tokens a batch of the budget plan may hold", "N", str(DEFAULT_TOKEN_BUDGET)
    ),
    Option("--driftgate-sample-rows", "texts in each benchmark cell", "N", "32"),
    Option("--driftgate-throughput-corpus", "normal, long, or corpus for the texts of --corpus", "NAME", "normal"),
    Option(
        "--driftgate-corpus-rows",
        "judge on this many rows of the corpus, drawn with a fixed seed; 0 means all",
        "N",
        "0",
    ),
    Option(
        "--driftgate-text-column", "column of the texts: a name, or a position where the file has no header", "COLUMN"
    ),
    Option("--driftgate-label-column", "column of the labels, likewise", "COLUMN"),
    Option("--driftgate-label-separator", "what separates several labels in one field", "TEXT", ","),
    Option("--driftgate-problem-type", "single_label_classification or multi_label_classification", "TYPE"),
    Option("--driftgate-revision", "revision of a hub encoder", "REVISION"),
    Option("--driftgate-results", "folder for results.json", "DIR", ".driftgate"),
    Option("--driftgate-rebuild", "build every artifact anew"),
    Option("--driftgate-show-texts", "print texts of the corpus in failures; by default row ids stand for them"),
    Option("--driftgate-trust-remote-code", "run code that the encoder brings; read it first"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a run was asked for, parsed."""

    encoder: str
    corpus: str
    backends: tuple[BackendSpec, ...]
    bounds: Path | None
    not_shown: NotShown
    save_predictions: Path | None
    accuracy_baseline: Path | None
    accuracy_baseline_update: bool
    graph_lock: str
    graph_lock_update: bool
    ledger: bool
    calibration: str
    settings: RunSettings
    batch_sizes: tuple[int, ...]
    token_budget: int
    sample_rows: int
    throughput_corpus: str
    corpus_rows: int
    columns: Columns
    problem_type: str | None
    revision: str | None
    results: Path
    rebuild: bool
    show_texts: bool
    allow_pickle: bool
    trust_remote_code: bool

    def __post_init__(self) -> None:
        for size in self.batch_sizes:
            BATCH_SIZE.require(size)
        TOKEN_BUDGET.require(self.token_budget)
        SAMPLE_ROWS.require(self.sample_rows)
        CORPUS_ROWS.require(self.corpus_rows)


def add_options(parser: pytest.Parser, options: Iterable[Option] = OPTIONS) -> None:
    group = parser.getgroup(
        "driftgate", "driftgate: is the optimized classifier still the same model, and still faster?"
    )
    for option in options:
        shown = f"{option.help} (default: {option.default})" if option.default else option.help
        escaped = shown.replace(
            "%", "%%"
        )  # argparse fills in help texts with the % operator; pytest's ini help is plain
        if option.is_switch:
            group.addoption(
                option.flag, action="store_true", default=None, dest=f"driftgate_{option.name}", help=escaped
            )
            parser.addini(option.ini, option.help, type="bool", default=False)
        else:
            group.addoption(
                option.flag, metavar=option.metavar, default=None, dest=f"driftgate_{option.name}", help=escaped
            )
            parser.addini(option.ini, option.help, type="string", default="")


def read_options(config: pytest.Config) -> Options:
    """Command line first, then ini, then the `pytest_driftgate_defaults` hook, then the built-in default.

    Raises:
        OptionError: a value that cannot be used.
    """
    values = read_values(config, OPTIONS)
    registry = dict(REGISTRY)
    for found in config.hook.pytest_driftgate_backends(config=config):
        registry |= {spec.name: spec for spec in found}
    device = parse_device(values["device"])
    return Options(
        encoder=values["encoder"],
        corpus=values["corpus"],
        backends=tuple(spec.built_for(device.kind) for spec in parse_backends(values["backends"], registry)),
        bounds=Path(values["bounds"]) if values["bounds"] else None,
        not_shown=_not_shown(values["not_shown"]),
        save_predictions=_under(config, values["save_predictions"]),
        accuracy_baseline=_under(config, values["accuracy_baseline"]),
        accuracy_baseline_update=bool(values["accuracy_baseline_update"]),
        graph_lock=values["graph_lock"],
        graph_lock_update=bool(values["graph_lock_update"]),
        ledger=bool(values["ledger"]),
        calibration=values["calibration"],
        settings=RunSettings(_threads(values["threads"]), device),
        batch_sizes=BATCH_SIZE.read_list(values["batch_sizes"], "--driftgate-batch-sizes"),
        token_budget=TOKEN_BUDGET.read(values["token_budget"], "--driftgate-token-budget"),
        sample_rows=SAMPLE_ROWS.read(values["sample_rows"], "--driftgate-sample-rows"),
        throughput_corpus=_throughput_corpus(values["throughput_corpus"]),
        corpus_rows=CORPUS_ROWS.read(values["corpus_rows"], "--driftgate-corpus-rows"),
        columns=Columns(values["text_column"], values["label_column"], values["label_separator"]),
        problem_type=values["problem_type"] or None,
        revision=values["revision"] or None,
        results=config.invocation_params.dir / values["results"],
        rebuild=bool(values["rebuild"]),
        show_texts=bool(values["show_texts"]),
        allow_pickle=bool(values["allow_pickle"]),
        trust_remote_code=bool(values["trust_remote_code"]),
    )


def read_values(config: pytest.Config, options: Iterable[Option]) -> dict[str, Any]:
    """What was given for each option, by its name: whether a switch is on, all else as text, whatever a hook made of it."""
    hook_defaults = {
        name: value for found in config.hook.pytest_driftgate_defaults(config=config) for name, value in found.items()
    }
    return {option.name: _value(config, option, hook_defaults) for option in options}


def _value(config: pytest.Config, option: Option, hook_defaults: dict[str, Any]) -> Any:
    candidates: tuple[Callable[[], Any], ...] = (
        lambda: config.getoption(f"driftgate_{option.name}"),
        lambda: config.getini(option.ini),
        lambda: hook_defaults.get(option.name),
    )
    given = (candidate() for candidate in candidates)
    if option.is_switch:
        return any(given)
    return next((str(value) for value in given if value is not False and value not in (None, "")), option.default)


def _under(config: pytest.Config, given: str) -> Path | None:
    """A path as seen from where pytest was started."""
    return config.invocation_params.dir / given if given else None


def _threads(text: str) -> int:
    return available_threads() if text == "0" else core_limit("threads").read(text, "--driftgate-threads")


def _not_shown(text: str) -> NotShown:
    if text not in list(NotShown):
        raise OptionError(f"--driftgate-not-shown {text!r}: expected {', '.join(NotShown)}")
    return NotShown(text)


def _throughput_corpus(text: str) -> str:
    if text not in ("normal", "long", "corpus"):
        raise OptionError(f"--driftgate-throughput-corpus {text!r}: expected normal, long or corpus")
    return text
