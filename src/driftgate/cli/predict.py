"""`driftgate predict`: labels and probabilities of texts."""

import io
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from driftgate.errors import CorpusError
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.encoder import ProblemType, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.judge.probabilities import to_probabilities
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict as run
from driftgate.run.device import RunSettings, available_threads, parse_device


def predict(
    encoder: Annotated[str, typer.Argument(help="folder or hub id of a text classifier", metavar="ENCODER")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="texts to classify; none: one a line from standard input")
    ] = None,
    backend: Annotated[str, typer.Option(help="a backend, or a published artifact as name[:class]=PATH")] = "onnx-fp32",
    top: Annotated[int, typer.Option(help="labels shown for each text; 0 shows all", min=0)] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object a text: every label with its probability")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N")] = "cpu",
    threads: Annotated[int, typer.Option(help="0 means every core this process may use", min=0)] = 0,
    revision: Annotated[str | None, typer.Option(help="revision of a hub encoder")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="load pickled weights, which can run code")
    ] = False,
) -> None:
    """Classify texts with one backend.

    Examples:

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 "Thanks, that made my day!"`

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --backend onnx-fp32 --json < comments.txt`
    """
    lines = texts or _standard_input()
    _refuse_unusable(lines)
    source = load_encoder(encoder, allow_pickle=allow_pickle, revision=revision)
    opened = open_backend(source, backend, RunSettings(threads or available_threads(), parse_device(device)))
    logits = run(opened, tokenize(source, lines), BudgetPlan())
    multi_label = source.problem_type is ProblemType.MULTI_LABEL
    probabilities = to_probabilities(logits, multi_label=multi_label)
    thresholds = source.thresholds or (0.5,) * len(source.labels)
    console = Console(highlight=False, markup=False, emoji=False)
    for text, row in zip(lines, probabilities.tolist(), strict=True):
        ranked = sorted(zip(source.labels, row, thresholds, strict=True), key=lambda item: -item[1])
        if as_json:
            typer.echo(json.dumps({"text": text, "probabilities": {label: value for label, value, _ in ranked}}))
            continue
        console.print(text, style="bold", soft_wrap=True)
        table = Table(box=None)
        table.add_column("label")
        table.add_column("probability", justify="right")
        if multi_label:
            table.add_column("decision")
        for label, value, threshold in ranked[: top or len(ranked)]:
            decision = [f"yes (>= {threshold:g})" if value >= threshold else ""] if multi_label else []
            table.add_row(label, f"{value:.4f}", *decision)
        console.print(table)


def _standard_input() -> list[str]:
    """One text a line, UTF-8 whatever the locale; bytes that are not become lone surrogates, refused below."""
    content = sys.stdin.buffer.read().decode("utf-8-sig", "surrogateescape")
    return [line.rstrip("\n") for line in io.StringIO(content, newline=None)]


def _refuse_unusable(texts: list[str]) -> None:
    empty = [number for number, text in enumerate(texts, 1) if not text.strip()]
    undecodable = [number for number, text in enumerate(texts, 1) if any("\ud800" <= char <= "\udfff" for char in text)]
    if texts and not empty and not undecodable:
        return
    where = "no text was given"
    if texts:
        numbers, what = (empty, "empty") if empty else (undecodable, "not valid UTF-8")
        where = f"text {', '.join(map(str, numbers[:10]))} is {what}"
    raise CorpusError(f"expected texts to classify, {where}; give them as arguments or one a line on standard input")
