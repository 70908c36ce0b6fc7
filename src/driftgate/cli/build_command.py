"""`driftgate build`: artifacts in folders that others can load, not judged."""

import typer

from driftgate.backends import DEFAULT_OPSET
from driftgate.cli import shared_options as shared
from driftgate.inputs.corpus_files import Columns
from driftgate.publish.layout import Layout, describe_folders
from driftgate.publish.unjudged import build as build_artifacts
from driftgate.results.console import Console


def build(
    encoder: shared.EncoderArgument,
    backends: shared.Backends,
    out: shared.ArtifactFolder,
    layout: shared.LayoutOption = None,
    rebuild: shared.Rebuild = False,
    device: shared.Device = "cpu",
    opset: shared.Opset = DEFAULT_OPSET,
    no_shape_inference: shared.NoShapeInference = False,
    calibration: shared.Calibration = None,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Build ONNX backends into folders that others can load: model, config.json, tokenizer, golden vectors, manifest.

    Nothing is judged, so there is no model card. `driftgate publish` judges the same files and writes them with a card. The
    column options describe the file of `--calibration`; `--pair-column` also says that the encoder takes pairs of texts.

    Examples:

    `driftgate build fixtures/encoders/goemotions-roberta-mini --backends onnx-int8 --out int8`

    `driftgate build SamLowe/roberta-base-go_emotions --backends onnx-fp16 --device cuda --out fp16`
    """
    source = shared.open_source(encoder, revision, allow_pickle, max_tokens, pair_column, allow_score=True)
    shared.require_file(calibration, "--calibration", ("--text-column", text_column))
    watched = shared.read_calibration(calibration, source, Columns(text_column, pair=pair_column))
    layout = layout or Layout.FOLDER
    console = Console(stderr=True, soft_wrap=True)
    with console.announcing() as announce:
        folders = build_artifacts(
            source,
            backends,
            out,
            layout=layout,
            rebuild=rebuild,
            device=device,
            calibration=watched,
            opset=opset,
            shape_inference=not no_shape_inference,
            announce=announce,
        )
    console.print("driftgate: the files are not judged; driftgate publish judges them and writes a model card")
    for line in describe_folders(folders, layout):
        typer.echo(line)
