"""`driftgate explain`: which modules and products a backend's drift comes from."""

import json
from pathlib import Path
from typing import Annotated

import typer

from driftgate.cli import shared_options as shared
from driftgate.errors import OptionError
from driftgate.files import write_whole
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.pipeline import OpenBackends, choose_backends
from driftgate.results.console import Console


def explain(
    encoder: shared.EncoderArgument,
    corpus: Annotated[
        str,
        typer.Option(metavar="FILE", help="Texts of the kind that the encoder is used on: a file or hub:NAME."),
    ],
    backend: Annotated[
        str, typer.Option(help="The backend to explain: one that is built, or a published file as NAME=PATH.")
    ] = "onnx-int8",
    out: Annotated[
        Path | None,
        typer.Option(help="A JSON file to write everything to that was found. It is replaced if it exists."),
    ] = None,
    corpus_rows: shared.CorpusRows = 0,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    threads: shared.Threads = 0,
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Say which modules and products the drift of a backend comes from, and on which rows and tokens it is largest.

    Activations of the file are compared with torch's at every module. Then modules, and products in the worst of
    them, are made exact one by one, and left as they are one by one, on the 60 rows with the largest drift
    and 60 others. Products of published files are recognized by their weights. Rows are named by id; no texts are shown.

    Examples:

    `driftgate explain fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 --corpus fixtures/corpora/emotions.jsonl`

    `driftgate explain path/to/encoder --backend mine=model_quantized.onnx --corpus dev.tsv --text-column 0 --out explain.json`
    """
    shared.let_idle_threads_sleep()
    if out is not None and not out.parent.is_dir():
        raise OptionError(f"{out}: expected a file in a folder that exists, found no folder {out.parent}; create it")
    source = shared.open_source(encoder, revision, allow_pickle, max_tokens, pair_column)
    whole = load_corpus(corpus, source, Columns(text_column, pair=pair_column), labelled=False)
    specs = choose_backends(backend)
    if len(specs) > 1:
        raise OptionError(f"{backend!r}: expected one backend, found {len(specs)}; explain them one by one")

    from driftgate.explain.explain import explain_drift  # SciPy is slow to import
    from driftgate.explain.words import describe_explanation, render_explanation

    texts = whole.sample(corpus_rows) if corpus_rows else whole
    settings = shared.read_settings(threads, "cpu")
    with Console(stderr=True, soft_wrap=True).announcing() as announce:
        found = explain_drift(OpenBackends(source, settings, announce=announce), specs[0], texts, announce)
    if out is not None:
        write_whole(out, json.dumps(describe_explanation(found), indent=2, allow_nan=False) + "\n")
    typer.echo(render_explanation(found, Console().width), nl=False)
