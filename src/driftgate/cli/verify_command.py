"""`driftgate verify`: what is stated of a model file, and its golden vectors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from driftgate.cli import shared_options as shared
from driftgate.results.console import Console


def verify(
    target: Annotated[
        Path, typer.Argument(help="An .onnx file, a folder with one, or an archive of such a folder (.tar.gz).")
    ],
    model: Annotated[
        str | None, typer.Option(help="Which model to verify if there are several: its path, folder, name or stem.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="A document that states facts of the model: manifest.json, ONNX_HUB_MANIFEST.json, or a README "
            "with tables. The "
            "option may be repeated. By default the documents in the folder of the model are read."
        ),
    ] = None,
    sets: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the golden vectors (test_data_set_0 and so on). The default is the folder of the model."
        ),
    ] = None,
    structure_only: Annotated[
        bool, typer.Option("--structure-only", help="Check the facts and that the model loads, without golden vectors.")
    ] = False,
    rtol: Annotated[
        float | None,
        typer.Option(help="The tolerance relative to the expected number. The default depends on the precision class."),
    ] = None,
    atol: Annotated[
        float | None,
        typer.Option(
            help="The tolerance in the unit of the output, which is added. The default depends on the precision class."
        ),
    ] = None,
    as_json: shared.Json = False,
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            help="How many bytes an archive may unpack to. The default is 20 times its size, at least 64 MiB, "
            "and at most what is free.",
            min=1,
        ),
    ] = None,
) -> None:
    """Verify a model file: opset, inputs, outputs, size and digest that documents state, and its outputs on golden vectors.

    A golden vector passes if |found - expected| <= atol + rtol * |expected| for every number; NaN never passes. The exit code
    is 1 if a fact differs, if an output is beyond its tolerance, or if there are no golden vectors. Encoders without a head can
    be verified too.

    Examples:

    `driftgate verify artifacts/onnx-int8`

    `driftgate verify roberta-base-11.tar.gz --against README.md --rtol 1e-3 --atol 1e-5`

    `driftgate verify model.onnx --structure-only --json`
    """
    # onnx and the judge are slow to import.
    from driftgate.verify.check_model import verify as run
    from driftgate.verify.target import open_target
    from driftgate.verify.verification import render_verification

    settings = shared.read_settings(threads, device)
    console = Console(stderr=True)
    with console.status("driftgate: verify"), open_target(target, model, max_bytes=max_bytes) as found:
        result = run(
            found,
            settings,
            rtol=rtol,
            atol=atol,
            against=against or (),
            sets=sets,
            structure_only=structure_only,
        )
    text = json.dumps(result.to_json(), indent=2) if as_json else render_verification(result, console.width)
    typer.echo(text.rstrip("\n"))
    if not result.passed:
        raise typer.Exit(1)
