"""`driftgate build`: write artifacts that others can load."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftgate.inputs.encoder import load_encoder
from driftgate.pipeline import build as build_artifacts


def build(
    encoder: Annotated[str, typer.Argument(help="folder or hub id of a text classifier", metavar="ENCODER")],
    backend: Annotated[str, typer.Option(help="comma-separated backends, such as onnx-fp16,onnx-int8-dynamic")],
    out: Annotated[Path, typer.Option(help="a new or empty folder; several backends get a folder each in it")],
    rebuild: Annotated[bool, typer.Option("--rebuild", help="do not use what the cache holds")] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="load pickled weights, which can run code")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="revision of a hub encoder")] = None,
) -> None:
    """Build ONNX backends: model.onnx, config.json, the tokenizer, manifest.json.

    Examples:

    `driftgate build fixtures/encoders/goemotions-roberta-mini --backend onnx-fp16 --out fp16`

    `driftgate build SamLowe/roberta-base-go_emotions --backend onnx-fp32,onnx-int8-dynamic --out artifacts`
    """
    console = Console(stderr=True, highlight=False)
    source = load_encoder(encoder, allow_pickle=allow_pickle, revision=revision)
    with console.status("driftgate") as status:
        folders = build_artifacts(
            source, backend, out, rebuild=rebuild, announce=lambda message: status.update(f"driftgate: {message}")
        )
    for name, folder in folders.items():
        size = sum(path.stat().st_size for path in folder.glob("model.onnx*"))
        typer.echo(f"{name}: {folder} ({size / 1e6:.1f} MB)")
