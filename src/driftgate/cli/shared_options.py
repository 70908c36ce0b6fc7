"""Arguments and options that several commands have, each declared once: its name, its type and what `--help` says of it.

An option that only one command has is declared in that command.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from driftgate.errors import EncoderError, OptionError
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.thresholds import limit_tokens
from driftgate.publish.layout import Layout
from driftgate.run.device import RunSettings, available_threads, parse_device

COLUMNS = "Columns"
"""The panel of `--help` with the columns of a file of texts."""

EncoderArgument = Annotated[
    str, typer.Argument(help="The encoder: a folder, or the id of a model on the Hugging Face hub.", metavar="ENCODER")
]
_MODEL = typer.Argument(
    help="The model: an encoder, a folder that build or publish wrote, a hub id, or an .onnx file in one folder with its "
    "tokenizer.",
    metavar="MODEL",
)
ModelArgument = Annotated[str, _MODEL]
ModelUnlessPlanned = Annotated[str | None, _MODEL]
Revision = Annotated[str | None, typer.Option(help="The revision of a model on the hub: a branch, a tag or a commit.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Load pickled weights. Such files can run code when they are loaded.")
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        help="Truncate texts to this many tokens, special tokens included. The default is the encoder's own limit.",
        min=1,
    ),
]

OwnBounds = Annotated[
    Path | None,
    typer.Option(help="A file with bounds of your own. They take precedence over those of the accuracy suite."),
]
Device = Annotated[
    str, typer.Option(help="The device to run on and to build for: cpu, cuda or cuda:N.", metavar="DEVICE")
]
Threads = Annotated[
    int,
    typer.Option(help="How many threads a backend uses. 0 means every core that this process may use.", min=0),
]
ThreadCounts = Annotated[
    str, typer.Option(help="How many threads a backend uses, or several such numbers to compare, such as 1,2.")
]

Backends = Annotated[str, typer.Option(help="The backends, separated by commas, such as onnx-fp16,onnx-int8.")]
TimedBackends = Annotated[
    str,
    typer.Option(
        help="The backends to time, separated by commas. The default is torch,onnx-fp32,onnx-int8 for an encoder, and "
        "otherwise the ONNX file.",
        show_default=False,
    ),
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Build every artifact again instead of taking it from the cache.")
]
Opset = Annotated[
    int, typer.Option(help="The version of ONNX's operators, from 17 to 22. Row-wise INT8 needs at least 18.")
]
NoShapeInference = Annotated[
    bool,
    typer.Option(
        "--no-shape-inference",
        help="Skip the inference of shapes before float16, for very large models. ONNX Runtime's quantizers always "
        "infer them.",
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        help="A file of texts for build steps that calibrate. The default is texts that come with driftgate.",
    ),
]
ArtifactFolder = Annotated[
    Path,
    typer.Option(help="The folder to write, which must be new or empty. Several backends get a folder each in it."),
]
LayoutOption = Annotated[
    Layout | None,
    typer.Option(
        help="folder, which is the default, writes model.onnx with everything that loads it. hub writes onnx/model.onnx, "
        "onnx/model_fp16.onnx and so on.",
    ),
]

TokenBudget = Annotated[
    int,
    typer.Option(help="How many tokens, padding included, a batch of texts of similar length may have.", min=1),
]

CorpusRows = Annotated[
    int, typer.Option(help="Use this many rows of the corpus, drawn with a fixed seed. 0 means all rows.", min=0)
]
TextColumn = Annotated[
    str,
    typer.Option(
        help="The column of the texts: its name, or its position (from 0) if the file has no header. The default is "
        "text.",
        rich_help_panel=COLUMNS,
    ),
]
PairColumn = Annotated[
    str,
    typer.Option(
        help="The column of the second texts, by name or position, if the rows are pairs of texts.",
        rich_help_panel=COLUMNS,
    ),
]
LabelColumn = Annotated[
    str,
    typer.Option(
        help="The column of the labels, by name or position. The default is labels or label.", rich_help_panel=COLUMNS
    ),
]
LabelSeparator = Annotated[
    str, typer.Option(help="What separates several labels in one field.", rich_help_panel=COLUMNS)
]

Json = Annotated[bool, typer.Option("--json", help="Print the whole result as one JSON document.")]
ResultsFolder = Annotated[Path | None, typer.Option(help="The folder to write the results to.")]
OverwriteResults = Annotated[
    bool, typer.Option("--overwrite", help="Replace results of the same names in that folder.")
]


def let_idle_threads_sleep() -> None:
    """Before torch is imported: its idle threads would spin, and take the cores from what runs beside them or after them."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def open_source(
    encoder: str,
    revision: str | None,
    allow_pickle: bool,
    max_tokens: int | None,
    pair_column: str,
    *,
    allow_score: bool = False,
) -> Encoder:
    """The encoder that a command was given, as it is to be used: with its limit of tokens, on texts or on pairs of texts.

    Raises:
        EncoderError: it cannot be loaded. OptionError: a limit of tokens that leaves no room for text.
    """
    loaded = load_encoder(encoder, allow_pickle=allow_pickle, revision=revision)
    if loaded.gives_score and not allow_score:
        raise EncoderError(
            f"{encoder}: expected an encoder of labels, found one whose logit is a score, which this command cannot judge; the "
            "accuracy suite, driftgate build and driftgate predict take it"
        )
    return limit_tokens(replace(loaded, takes_pairs=bool(pair_column)), max_tokens)


def read_calibration(path: Path | None, encoder: Encoder, columns: Columns) -> Corpus | None:
    """The texts of `--calibration`, without their labels; None for those that come with driftgate.

    Raises:
        CorpusError: the file cannot be used.
    """
    return load_corpus(path, encoder, columns, labelled=False) if path else None


def require_file(file: object, option: str, *columns: tuple[str, str]) -> None:
    """Refuse columns of a file that was not given: the texts that come with driftgate have none.

    Args:
        option: of the file. `columns`: each option with its value.

    Raises:
        OptionError: names the first column that was given.
    """
    for name, value in columns:
        if value and not file:
            raise OptionError(
                f"{name} {value!r}: it names a column of the file of {option}, and none was given; the texts that come with "
                "driftgate have no columns"
            )


def read_settings(threads: int, device: str) -> RunSettings:
    """Threads, 0 for every core of this process, and device.

    Raises:
        OptionError: more threads than the machine has cores, or no such device.
    """
    return RunSettings(threads or available_threads(), parse_device(device))
