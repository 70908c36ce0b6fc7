"""`driftgate bounds`: bounds for an encoder of one's own, from good builds of it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from driftgate.cli import shared_options as shared
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.pipeline import OpenBackends, choose_backends, require_buildable
from driftgate.results.console import Console


def bounds(
    encoder: shared.EncoderArgument,
    corpus: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Texts of the kind that the encoder is used on, with labels if F1 is to be bounded: a file or hub:NAME.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The bounds file to write. It must not exist yet.")],
    backends: Annotated[
        str,
        typer.Option(help="Backends that are known to be good, separated by commas. The bounds allow what they do."),
    ] = "onnx-fp32,onnx-fp16,onnx-int8",
    corpus_rows: shared.CorpusRows = 0,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    label_column: shared.LabelColumn = "",
    label_separator: shared.LabelSeparator = ",",
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Propose bounds for an encoder of your own, and say which faults each of them would have caught.

    Each backend is built and compared with torch on the corpus. A bound is twice the upper confidence limit of what is measured.
    Read the reasons, change what you know better, and pass the file as `--bounds`.

    Examples:

    `driftgate bounds path/to/encoder --corpus dev.tsv --text-column 0 --label-column 1 --out bounds.toml`

    `pytest --pyargs driftgate.suites.accuracy --encoder path/to/encoder --corpus test.tsv --bounds bounds.toml`
    """
    shared.let_idle_threads_sleep()
    columns = Columns(text_column, label_column, label_separator, pair=pair_column)
    source = shared.open_source(encoder, revision, allow_pickle, max_tokens, pair_column)
    whole = load_corpus(corpus, source, columns)
    settings = shared.read_settings(threads, device)
    specs = choose_backends(backends, device=settings.device.kind)
    require_buildable(specs)

    from driftgate.assessor import Assessor, find_bounds  # SciPy and scikit-learn are slow to import
    from driftgate.judge.proposed_bounds import propose_bounds
    from driftgate.publish.acceptance import SEED
    from driftgate.report.bounds_proposal import render_proposal, require_new, write_bounds

    require_new(out)
    texts = whole.sample(corpus_rows, SEED) if corpus_rows else whole
    today = datetime.now().astimezone().date()
    shipped = find_bounds(None)
    with Console(stderr=True, soft_wrap=True).announcing() as announce:
        assessor = Assessor(OpenBackends(source, settings, announce=announce), texts, len(specs), announce=announce)
        proposals = [propose_bounds(assessor.judgement(spec), shipped, texts.name, today) for spec in specs]
    write_bounds(proposals, out, f"{len(texts):,} rows of {texts.name}")
    for proposal in proposals:
        typer.echo(render_proposal(proposal, Console().width), nl=False)
    typer.echo(f"{out}: {sum(len(proposal.bounds) for proposal in proposals)} bounds")
