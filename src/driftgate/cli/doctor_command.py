"""`driftgate doctor`: why is it slow, big or wrong here?"""

from typing import Annotated

import typer

from driftgate.cli import shared_options as shared
from driftgate.results.console import Console


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
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
    as_json: shared.Json = False,
) -> None:
    """Find what makes this machine, its packages or a model slow, large or wrong: what was found, why it matters, what to do.

    Exit codes: **0** no problem (perhaps warnings and notes) · **1** a problem · **4** MODEL was not found, or an option cannot
    be used. Anything that cannot be read is reported as a finding.

    Examples:

    `driftgate doctor`

    `driftgate doctor model_quantized.onnx`

    `driftgate doctor fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 --json`
    """
    from driftgate.doctor.collect import collect_facts, examine
    from driftgate.doctor.facts import Asked
    from driftgate.doctor.findings import Severity
    from driftgate.doctor.render import render_json, render_text

    asked = Asked(model, backend, str(shared.read_settings(threads, device).device), threads or None)
    with Console(stderr=True).announcing("driftgate doctor") as announce:
        facts = collect_facts(asked, revision=revision, allow_pickle=allow_pickle, announce=announce)
    findings = examine(facts)
    if as_json:
        typer.echo(render_json(facts, findings))
    else:
        render_text(facts, findings, Console())
    if any(finding.severity is Severity.PROBLEM for finding in findings):
        raise typer.Exit(1)
