"""`driftgate build`: write artifacts that others can load, and say what each build step cost."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftgate.backends import BackendSpec
from driftgate.errors import OptionError
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.pipeline import build as build_artifacts
from driftgate.pipeline import choose_backends
from driftgate.report.ledger import render_ledgers
from driftgate.report.record import Results
from driftgate.run.device import RunSettings, available_threads, parse_device

_EMBEDDED_ROWS = 200


def build(
    encoder: Annotated[str, typer.Argument(help="folder or hub id of a text classifier", metavar="ENCODER")],
    backend: Annotated[str, typer.Option(help="comma-separated backends, such as onnx-fp16,onnx-int8")],
    out: Annotated[Path, typer.Option(help="a new or empty folder; several backends get a folder each in it")],
    rebuild: Annotated[bool, typer.Option("--rebuild", help="do not use what the cache holds")] = False,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="table what each build step adds in drift and flips")
    ] = False,
    corpus: Annotated[
        Path | None,
        typer.Option(help=f"texts of the ledger, with labels for F1; default: {_EMBEDDED_ROWS} embedded texts without"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda: what the files are built for", metavar="DEVICE")] = "cpu",
    calibration: Annotated[
        Path | None, typer.Option(help="texts that calibrated steps watch the graph on; default: embedded ones")
    ] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="load pickled weights, which can run code")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="revision of a hub encoder")] = None,
) -> None:
    """Build ONNX backends: model.onnx, config.json, the tokenizer, manifest.json.

    Examples:

    `driftgate build fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 --out int8 --ledger`

    `driftgate build SamLowe/roberta-base-go_emotions --backend onnx-fp32,onnx-int8 --out artifacts`
    """
    if corpus is not None and not ledger:
        raise OptionError(f"--corpus {corpus}: only the ledger reads a corpus; add --ledger")
    console = Console(stderr=True, highlight=False)
    source = load_encoder(encoder, allow_pickle=allow_pickle, revision=revision)
    # A mistake in them is said before minutes of building.
    texts = load_corpus(corpus, source) if corpus else None
    watched = load_corpus(calibration, source) if calibration else None
    built_for = parse_device(device).kind
    with console.status("driftgate") as status:
        folders = build_artifacts(
            source,
            backend,
            out,
            rebuild=rebuild,
            device=built_for,
            calibration=watched,
            announce=lambda message: status.update(f"driftgate: {message}"),
        )
    for name, folder in folders.items():
        size = sum(path.stat().st_size for path in folder.glob("model.onnx*"))
        typer.echo(f"{name}: {folder} ({size / 1e6:.1f} MB)")
    if ledger:
        with console.status("driftgate: ledger"):
            specs = choose_backends(backend, device=built_for, calibration=watched)
            table = _ledger(source, specs, texts or throughput_corpus("normal").sample(_EMBEDDED_ROWS), console.width)
        typer.echo(table, nl=False)


def _ledger(encoder: Encoder, specs: Iterable[BackendSpec], corpus: Corpus, width: int) -> str:
    from driftgate.ledger import answer_reference, measure_ledger  # scikit-learn is slow to import

    settings, results = RunSettings(available_threads()), Results()
    reference = answer_reference(encoder, corpus, BudgetPlan(), settings)
    for spec in specs:
        stages = measure_ledger(reference, spec, settings).stages
        results.of(spec.name).ledger = {"stages": [asdict(stage) for stage in stages]}
    return render_ledgers(results, width)
