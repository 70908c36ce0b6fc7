"""How large an encoder is in every form: its own weights, a straight export, and each backend's files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from driftgate.results.console import plain
from driftgate.results.tables import make_table, render

WEIGHTS, NAIVE = "torch weights", "naive export"

_FOOTNOTE = (
    "Ratios are to the parameters in float32, and to the naive export, which is\n"
    "torch.onnx.export without its search for equal weights, as some exporters work;\n"
    "it is measured and deleted. graph: nodes and names, without weights.\n"
)


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an encoder.

    Args:
        name: `WEIGHTS`, `NAIVE`, or a backend.
        size_bytes: of all its files, external data too.
        parts: bytes of weights by part of the model, such as "attention".
    """

    name: str
    size_bytes: int
    parts: dict[str, int]

    @property
    def graph_bytes(self) -> int:
        """What is no weight: nodes, names, headers."""
        return self.size_bytes - sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Sizes:
    """An encoder in every form; the first is its own weights.

    Args:
        parameters: how many numbers training gave it, shared ones counted once.
        opset: of the forms that are ONNX files.
    """

    encoder: str
    parameters: int
    opset: int
    forms: tuple[Form, ...]

    @property
    def parameter_bytes(self) -> int:
        """In float32."""
        return 4 * self.parameters

    def describe(self) -> dict[str, Any]:
        """As JSON has it: bytes, and ratios of bytes."""
        naive = next(form.size_bytes for form in self.forms if form.name == NAIVE)
        forms = [
            {
                **asdict(form),
                "graph_bytes": form.graph_bytes,
                "ratio_to_parameters": form.size_bytes / self.parameter_bytes,
                "ratio_to_naive": form.size_bytes / naive,
            }
            for form in self.forms
        ]
        return {
            "encoder": self.encoder,
            "parameters": self.parameters,
            "parameter_bytes": self.parameter_bytes,
            "opset": self.opset,
            "forms": forms,
        }


def render_sizes(sizes: Sizes, width: int) -> str:
    """A line for each form: megabytes (millions of bytes) and ratios, and then megabytes by part."""
    title = plain(
        f"sizes of {sizes.encoder}",
        f"{sizes.parameters:,} parameters, shared ones counted once: {_megabytes(sizes.parameter_bytes)} MB in float32",
    )
    whole = make_table("form", ["MB", "ratio to parameters", "ratio to naive export"], title=title)
    parts = make_table("MB of", [*sizes.forms[0].parts, "graph"])
    for form in sizes.describe()["forms"]:
        ratios = [f"{form['ratio_to_parameters']:.2f}", f"{form['ratio_to_naive']:.2f}"]
        whole.add_row(form["name"], _megabytes(form["size_bytes"]), *ratios)
        parts.add_row(form["name"], *map(_megabytes, (*form["parts"].values(), form["graph_bytes"])))
    return render(whole, width) + render(parts, width) + _FOOTNOTE


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f}"


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
        rebuild: build again what is in the cache.
        announce: told what is being built, before it is.

    Raises:
        OptionError: a backend without files of its own.
        BuildError: an export or a build step failed; nothing half-made is left.
    """
    without = [spec.name for spec in specs if not spec.steps and spec.published is None]
    if without:
        raise OptionError(
            f"{', '.join(without)}: no files to measure; choose backends with build steps, such as onnx-fp32"
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
