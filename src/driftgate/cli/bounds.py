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
from driftgate.inputs.shorter import limit_tokens
from driftgate.pipeline import OpenBackends, choose_backends, require_buildable
from driftgate.report.console import Console
from driftgate.run.device import RunSettings, available_threads, parse_device


def bounds(
    encoder: Annotated[str, typer.Argument(help="folder or hub id of a text classifier", metavar="ENCODER")],
    corpus: Annotated[
        str,
        typer.Option(metavar="FILE", help="texts of the kind it is used on, with labels for F1: a file or hub:NAME"),
    ],
    out: Annotated[Path, typer.Option(help="the bounds file to write; must not exist")],
    backend: Annotated[
        str, typer.Option(help="comma-separated backends, built well: what they do is what the bounds allow")
    ] = "onnx-fp32,onnx-fp16,onnx-int8",
    corpus_rows: Annotated[int, typer.Option(help="use this many rows, drawn with a fixed seed; 0: all", min=0)] = 0,
    text_column: Annotated[str, typer.Option(help="column of the texts: a name, or a position without header")] = "",
    pair_column: Annotated[str, typer.Option(help="column of the second texts, likewise, where rows are pairs")] = "",
    label_column: Annotated[str, typer.Option(help="column of the labels, likewise")] = "",
    label_separator: Annotated[str, typer.Option(help="between labels of one field")] = ",",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N: what they are built for", metavar="DEVICE")] = "cpu",
    threads: Annotated[int, typer.Option(help="of every backend; 0: every core this process may use", min=0)] = 0,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="cut texts at so many tokens, special ones included; default: the encoder's own limit", min=1
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="revision of a hub encoder")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="load pickled weights, which can run code")
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
    from driftgate.report.bounds_proposal import render_proposal, require_new, write_bounds
    from driftgate.trial import SEED

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
