"""`driftgate ledger`: what each build step adds in drift, flips and bytes."""

from typing import Annotated

import typer

from driftgate.backends import DEFAULT_OPSET
from driftgate.cli import shared_options as shared
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.embedded import throughput_corpus
from driftgate.pipeline import choose_backends, require_buildable
from driftgate.results.console import Console
from driftgate.run.device import require_device


def ledger(
    encoder: shared.EncoderArgument,
    backends: shared.Backends,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="The texts to run every step on, with labels if changes of F1 are wanted: a file or hub:NAME. The default is "
            "texts that come with driftgate.",
            metavar="FILE",
        ),
    ] = None,
    corpus_rows: shared.CorpusRows = 200,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    label_column: shared.LabelColumn = "",
    label_separator: shared.LabelSeparator = ",",
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    opset: shared.Opset = DEFAULT_OPSET,
    no_shape_inference: shared.NoShapeInference = False,
    calibration: shared.Calibration = None,
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Show what each build step of a backend adds in drift, flips and bytes.

    The file after each step answers the same texts. Its probabilities are compared with those of torch and with those of the step
    before, so that a step that does damage can be named. Nothing is written.

    Examples:

    `driftgate ledger fixtures/encoders/goemotions-roberta-mini --backends onnx-int8`

    `driftgate ledger path/to/encoder --backends onnx-fp16 --corpus dev.tsv --text-column 0 --label-column 1 --corpus-rows 0`
    """
    shared.let_idle_threads_sleep()
    shared.require_file(corpus or calibration, "--corpus or --calibration", ("--text-column", text_column))
    shared.require_file(corpus, "--corpus", ("--label-column", label_column))
    source = shared.open_source(encoder, revision, allow_pickle, max_tokens, pair_column)
    columns = Columns(text_column, label_column, label_separator, pair=pair_column)
    texts = load_corpus(corpus, source, columns) if corpus else throughput_corpus("normal", pairs=source.takes_pairs)
    settings = shared.read_settings(threads, device)
    require_device(settings.device)
    specs = choose_backends(
        backends,
        device=settings.device.kind,
        calibration=shared.read_calibration(calibration, source, columns),
        opset=opset,
        shape_inference=not no_shape_inference,
    )
    require_buildable(specs)

    from driftgate.explain.ledger import tabulate_ledgers  # scikit-learn is slow to import

    console = Console(stderr=True, soft_wrap=True)
    with console.status("driftgate: ledger"):
        table = tabulate_ledgers(
            source, specs, texts.sample(corpus_rows) if corpus_rows else texts, settings, console.width
        )
    typer.echo(table, nl=False)
