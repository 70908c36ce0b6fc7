"""`driftgate.build`: artifacts in folders that others can load, without judging them."""

from pathlib import Path

from driftgate.backends import DEFAULT_OPSET
from driftgate.builder.build import Announce
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.pipeline import choose_backends, prepare_backend, require_buildable
from driftgate.publish.layout import Layout, artifact_folders, write_folders
from driftgate.run.device import parse_device


def build(
    encoder: Encoder,
    backends: str,
    out: str | Path,
    *,
    layout: Layout = Layout.FOLDER,
    rebuild: bool = False,
    device: str = "cpu",
    calibration: Corpus | None = None,
    opset: int = DEFAULT_OPSET,
    shape_inference: bool = True,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> dict[str, Path]:
    """Write artifacts that others can load: model.onnx, config.json, tokenizer, golden vectors, manifest.json.

    Args:
        backends: comma-separated names.
        out: a new or empty folder. In `Layout.FOLDER` several backends get a folder each in it, named by backend.
        device, calibration, opset, shape_inference: see `choose_backends`.

    Returns:
        the folder of each backend, by name.

    Raises:
        OptionError: a backend without files of its own (torch, torch-compile), or not in this opset.
        BuildError: a build failed, or `out` is not empty; nothing half-made is left.
    """
    specs = choose_backends(
        backends,
        device=parse_device(device).kind,
        calibration=calibration,
        opset=opset,
        shape_inference=shape_inference,
    )
    require_buildable(specs)
    folders = artifact_folders(specs, Path(out), layout)  # before minutes of building
    prepared = [(spec, prepare_backend(encoder, spec, rebuild=rebuild, announce=announce).artifact) for spec in specs]
    artifacts = [(spec, artifact) for spec, artifact in prepared if artifact is not None]
    announce("golden vectors")
    write_folders(encoder, artifacts, folders, layout, cards={})
    return folders
