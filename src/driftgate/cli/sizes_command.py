"""`driftgate sizes`: how large an encoder is in every form."""

import json

import typer

from driftgate.backends import DEFAULT_OPSET
from driftgate.cli import shared_options as shared
from driftgate.inputs.corpus_files import Columns
from driftgate.pipeline import choose_backends, require_buildable
from driftgate.publish.sizes import DEFAULT_FORMS, measure_sizes, render_sizes
from driftgate.results.console import Console
from driftgate.run.device import parse_device


def sizes(
    encoder: shared.EncoderArgument,
    backends: shared.Backends = DEFAULT_FORMS,
    rebuild: shared.Rebuild = False,
    device: shared.Device = "cpu",
    opset: shared.Opset = DEFAULT_OPSET,
    no_shape_inference: shared.NoShapeInference = False,
    calibration: shared.Calibration = None,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
    as_json: shared.Json = False,
) -> None:
    """Show how large an encoder is in every form: its weights, a plain export, and the files of each backend, by part.

    Files are built, or taken from the cache, and nothing is written elsewhere. Sizes are in MB, which are millions of bytes;
    `--json` has bytes.

    Examples:

    `driftgate sizes fixtures/encoders/goemotions-roberta-mini`

    `driftgate sizes albert-base-v2 --backends onnx-fp16,onnx-int8 --json`
    """
    source = shared.open_source(encoder, revision, allow_pickle, None, pair_column)
    shared.require_file(calibration, "--calibration", ("--text-column", text_column), ("--pair-column", pair_column))
    specs = choose_backends(
        backends,
        device=parse_device(device).kind,
        calibration=shared.read_calibration(calibration, source, Columns(text_column, pair=pair_column)),
        opset=opset,
        shape_inference=not no_shape_inference,
    )
    require_buildable(specs)
    console = Console(stderr=True, soft_wrap=True)
    with console.announcing("driftgate: sizes") as announce:
        found = measure_sizes(source, specs, rebuild=rebuild, announce=announce)
    if as_json:
        typer.echo(json.dumps(found.describe(), indent=2))
    else:
        typer.echo(render_sizes(found, console.width), nl=False)
