"""`driftgate doctor`: why is it slow, big or wrong here?"""

from typing import Annotated

import typer

from driftgate.report.console import Console
from driftgate.run.device import RunSettings, parse_device


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            help="folder or hub id of a text classifier, an artifact's folder, or an .onnx file", metavar="MODEL"
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="look at this backend of MODEL, built or fetched from the cache")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N: what it is to run on", metavar="DEVICE")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="threads it is to run with", min=1)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object: findings, and the facts behind them")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="revision of a hub model")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="load pickled weights, which can run code")
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
    from driftgate.doctor.collect import collect_facts
    from driftgate.doctor.examine import examine
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
