"""How large an encoder is in every form: its own weights, a straight export, and each backend's files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from driftgate.backends import DEFAULT_OPSET, BackendSpec
from driftgate.builder import export
from driftgate.builder.artifact import MODEL, Manifest, read_manifest
from driftgate.builder.build import Announce, library_versions
from driftgate.builder.cache import cached
from driftgate.errors import OptionError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.weights import load_module
from driftgate.onnx_graph.graph_parts import count_part_bytes, count_stored_bytes
from driftgate.pipeline import prepare_backend
from driftgate.publish.size_table import NAIVE, WEIGHTS, Form, Sizes

DEFAULT_FORMS = "onnx-fp32,onnx-fp16,onnx-int8,onnx-int8-dynamic,onnx-int8-dynamic-per-tensor"

_NAIVE_STEP = "naive-export"
_NAIVE_VERSION = "1"


def measure_sizes(
    encoder: Encoder,
    specs: Sequence[BackendSpec],
    *,
    rebuild: bool = False,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Sizes:
    """Build what is not in the cache, and weigh it.

    Args:
        specs: backends with build steps, or published files.
        rebuild: build anew what is in the cache.
        announce: told what is being built, before it is.

    Raises:
        OptionError: a backend without files of its own.
        BuildError: an export or a build step failed; nothing half-made is left.
    """
    without = [spec.name for spec in specs if not spec.steps and spec.published is None]
    if without:
        raise OptionError(
            f"{', '.join(without)}: has no files to weigh; choose backends with build steps, such as onnx-fp32"
        )
    opset = max((spec.opset for spec in specs), default=DEFAULT_OPSET)
    weights = sum(path.stat().st_size for path in encoder.weights)
    announce("parameters")
    parameters = sum(parameter.numel() for parameter in load_module(encoder, attention=None).parameters())
    forms = [
        Form(WEIGHTS, weights, count_stored_bytes(encoder.weights)),
        _weigh_naive(encoder, opset, rebuild=rebuild, announce=announce),
    ]
    for spec in specs:
        artifact = prepare_backend(encoder, spec, rebuild=rebuild, announce=announce).artifact
        if artifact is None:
            raise OptionError(f"{spec.name}: expected ONNX files to weigh, found a torch checkpoint; leave it out")
        forms.append(Form(spec.name, artifact.size_bytes, count_part_bytes(artifact.model)))
    return Sizes(encoder.name, parameters, opset, tuple(forms))


def _weigh_naive(encoder: Encoder, opset: int, *, rebuild: bool, announce: Announce) -> Form:
    """Weighed once: the cache keeps what it weighs, not the file, which nobody wants."""
    versions, step = library_versions(), f"{_NAIVE_STEP}@{_NAIVE_VERSION}:opset-{opset}"
    recipe = json.dumps([encoder.sha256, step, versions])

    def fill(folder: Path) -> Manifest:
        announce(NAIVE)
        export.export_repeating(encoder, folder / MODEL, opset=opset)
        size = sum(path.stat().st_size for path in folder.iterdir())
        weighed = Form(NAIVE, size, count_part_bytes(folder / MODEL))
        for path in list(folder.iterdir()):
            path.unlink()
        notes = {_NAIVE_STEP: asdict(weighed)}
        return Manifest(NAIVE, "fp32", (step,), encoder.name, encoder.sha256, versions, {}, notes)

    entry = cached(f"{_NAIVE_STEP}-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}", fill, rebuild=rebuild)
    return Form(**read_manifest(entry).notes[_NAIVE_STEP])
