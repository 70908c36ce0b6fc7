"""`driftgate sizes`: how large an encoder is in every form."""

import json

import typer

from driftgate.backends import DEFAULT_OPSET
from driftgate.cli.shared_options import (
    AllowPickle,
    Backends,
    Calibration,
    Device,
    EncoderArgument,
    Json,
    NoShapeInference,
    Opset,
    PairColumn,
    Rebuild,
    Revision,
    TextColumn,
    open_source,
    read_calibration,
    require_file,
)
from driftgate.inputs.corpus_files import Columns
from driftgate.pipeline import choose_backends, require_buildable
from driftgate.publish.sizes import DEFAULT_FORMS, measure_sizes, render_sizes
from driftgate.results.console import Console
from driftgate.run.device import parse_device


def sizes(
    encoder: EncoderArgument,
    backends: Backends = DEFAULT_FORMS,
    rebuild: Rebuild = False,
    device: Device = "cpu",
    opset: Opset = DEFAULT_OPSET,
    no_shape_inference: NoShapeInference = False,
    calibration: Calibration = None,
    text_column: TextColumn = "",
    pair_column: PairColumn = "",
    revision: Revision = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Show how large an encoder is in every form: its weights, a plain export, and the files of each backend, by part.

    Files are built, or taken from the cache, and nothing is written elsewhere. Sizes are in MB, which are millions of bytes;
    `--json` has bytes.

    Examples:

    `driftgate sizes fixtures/encoders/goemotions-roberta-mini`

    `driftgate sizes albert-base-v2 --backends onnx-fp16,onnx-int8 --json`
    """
    source = open_source(
        encoder, revision=revision, allow_pickle=allow_pickle, max_tokens=None, pair_column=pair_column
    )
    require_file(calibration, "--calibration", ("--text-column", text_column), ("--pair-column", pair_column))
    specs = choose_backends(
        backends,
        device=parse_device(device).kind,
        calibration=read_calibration(calibration, source, Columns(text_column, pair=pair_column)),
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
