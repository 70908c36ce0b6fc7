"""`driftgate bounds`: bounds for an encoder of one's own, from good builds of it."""

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.thresholds import limit_tokens
from driftgate.pipeline import OpenBackends, choose_backends, require_buildable
from driftgate.results.console import Console
from driftgate.run.device import RunSettings, available_threads, parse_device


def bounds(
    encoder: Annotated[
        str,
        typer.Argument(help="The encoder: a folder, or the id of a model on the Hugging Face hub.", metavar="ENCODER"),
    ],
    corpus: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Texts of the kind that the encoder is used on, with labels if F1 is to be bounded: a file or hub:NAME.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The bounds file to write. It must not exist yet.")],
    backend: Annotated[
        str,
        typer.Option(help="Backends that are known to be good, separated by commas. The bounds allow what they do."),
    ] = "onnx-fp32,onnx-fp16,onnx-int8",
    corpus_rows: Annotated[
        int, typer.Option(help="Use this many rows, drawn with a fixed seed. 0 means all rows.", min=0)
    ] = 0,
    text_column: Annotated[
        str, typer.Option(help="The column of the texts: its name, or its position if the file has no header.")
    ] = "",
    pair_column: Annotated[
        str, typer.Option(help="The column of the second texts, by name or position, if the rows are pairs.")
    ] = "",
    label_column: Annotated[str, typer.Option(help="The column of the labels, by name or position.")] = "",
    label_separator: Annotated[str, typer.Option(help="What separates several labels in one field.")] = ",",
    device: Annotated[
        str, typer.Option(help="The device that the backends are built for: cpu, cuda or cuda:N.", metavar="DEVICE")
    ] = "cpu",
    threads: Annotated[
        int,
        typer.Option(help="How many threads every backend uses. 0 means every core that this process may use.", min=0),
    ] = 0,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Truncate texts to this many tokens, special tokens included. The default is the encoder's own limit.",
            min=1,
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The revision of an encoder on the hub.")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load pickled weights. Such files can run code when they are loaded.")
    ] = False,
) -> None:
    """Propose bounds for an encoder of your own, and say which faults each of them would have caught.

    Each backend is built, asked beside torch on the corpus, and given twice the upper confidence limit of whatever is seen of it.
    Read the reasons, change what you know better, and hand the file to `--bounds`.

    Examples:

    `driftgate bounds path/to/encoder --corpus dev.tsv --text-column 0 --label-column 1 --out bounds.toml`

    `pytest --pyargs driftgate.suites.accuracy --encoder path/to/encoder --corpus test.tsv --bounds bounds.toml`
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    columns = Columns(text_column, label_column, label_separator, pair=pair_column)
    loaded = load_encoder(encoder, allow_pickle=allow_pickle, revision=revision)
    source = limit_tokens(replace(loaded, takes_pairs=bool(pair_column)), max_tokens)
    whole = load_corpus(corpus, source, columns)
    settings = RunSettings(threads or available_threads(), parse_device(device))
    specs = choose_backends(backend, device=settings.device.kind)
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
        backends = OpenBackends(source, settings, announce=announce)
        assessor = Assessor(backends, texts, len(specs), announce=announce)
        proposals = [propose_bounds(assessor.judgement(spec), shipped, texts.name, today) for spec in specs]
    write_bounds(proposals, out, f"{len(texts):,} rows of {texts.name}")
    for proposal in proposals:
        typer.echo(render_proposal(proposal, Console().width), nl=False)
    typer.echo(f"{out}: {sum(len(proposal.bounds) for proposal in proposals)} bounds")
