"""`driftgate.build`: artifacts in folders that others can load, without judging them."""

from pathlib import Path

from driftgate.backends import DEFAULT_OPSET
from driftgate.builder.build import Announce
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.pipeline import choose_backends, prepare_backend, require_buildable
from driftgate.publish.layout import copy_artifact, require_empty


def build(
    encoder: Encoder,
    backends: str,
    out: str | Path,
    *,
    rebuild: bool = False,
    device: str = "cpu",
    calibration: Corpus | None = None,
    opset: int = DEFAULT_OPSET,
    shape_inference: bool = True,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> dict[str, Path]:
    """Write artifacts that others can load: model.onnx, config.json, tokenizer, manifest.json.

    Args:
        backends: comma-separated names. One goes to `out` itself, several to a folder each, named by backend.
        device, calibration, opset, shape_inference: see `choose_backends`.

    Returns:
        the folder of each backend, by name.

    Raises:
        OptionError: a backend without files of its own (torch, torch-compile), or not in this opset.
        BuildError: a build failed, or `out` is not empty; nothing half-made is left.
    """
    specs = choose_backends(
        backends, device=device, calibration=calibration, opset=opset, shape_inference=shape_inference
    )
    require_buildable(specs)
    folders = {spec.name: Path(out) if len(specs) == 1 else Path(out) / spec.name for spec in specs}
    for folder in folders.values():  # before minutes of building
        require_empty(folder)
    for spec in specs:
        artifact = prepare_backend(encoder, spec, rebuild=rebuild, announce=announce).artifact
        if artifact is not None:
            copy_artifact(encoder, spec, artifact, folders[spec.name])
    return folders
