"""`driftgate doctor`: why is it slow, big or wrong here?"""

from typing import Annotated

import typer

from driftgate.results.console import Console
from driftgate.run.device import RunSettings, parse_device


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            help="The folder or hub id of a text classifier, the folder of an artifact, or an .onnx file.",
            metavar="MODEL",
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Examine this backend of MODEL, built or taken from the cache.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="The device that the model is to run on: cpu, cuda or cuda:N.", metavar="DEVICE")
    ] = "cpu",
    threads: Annotated[int | None, typer.Option(help="How many threads the model is to run with.", min=1)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the findings and the facts that they rest on.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="The revision of a model on the hub.")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load pickled weights. Such files can run code when they are loaded.")
    ] = False,
) -> None:
    """Say what makes this machine, its packages, or a model slow, big or wrong: what was found, why it matters, what to do.

    Exit codes: **0** no problem (perhaps warnings and notes) · **1** a problem · **4** MODEL is nowhere, or an option cannot be
    used. What cannot be read is a finding of its own.

    Examples:

    `driftgate doctor`

    `driftgate doctor model_quantized.onnx`

    `driftgate doctor fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 --json`
    """
    from driftgate.doctor.collect import collect_facts, examine
    from driftgate.doctor.facts import Asked
    from driftgate.doctor.findings import Severity
    from driftgate.doctor.render import render_json, render_text

    settings = RunSettings(threads or 1, parse_device(device))
    asked = Asked(model, backend, str(settings.device), threads)
    with Console(stderr=True).announcing("driftgate doctor") as announce:
        facts = collect_facts(asked, revision=revision, allow_pickle=allow_pickle, announce=announce)
    findings = examine(facts)
    if as_json:
        typer.echo(render_json(facts, findings))
    else:
        render_text(facts, findings, Console())
    if any(finding.severity is Severity.PROBLEM for finding in findings):
        raise typer.Exit(1)
