"""Build a backend's artifact, step by step, each step an entry of the cache that later backends share."""

import errno
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from driftgate.backends import DEFAULT_OPSET, BackendSpec, Step
from driftgate.builder import export
from driftgate.builder.artifact import MODEL, Artifact, Manifest, open_artifact, read_manifest
from driftgate.builder.cache import cached
from driftgate.builder.calibration_texts import Calibration, tokenize_calibration
from driftgate.builder.runtime_errors import explain, is_onnxruntimes
from driftgate.builder.steps import digest_code, find_step
from driftgate.edges.packages import installed_versions
from driftgate.errors import BuildError, DriftgateError, OptionError, quote_lines
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.named_files import read_max_tokens

# Libraries whose release can change what a build writes.
_VERSIONED = ("torch", "transformers", "onnxscript", "onnx", "onnxruntime", "onnxruntime-gpu", "optimum-onnx")

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

Announce = Callable[[str], None]


def build_artifact(
    encoder: Encoder,
    spec: BackendSpec,
    *,
    rebuild: bool = False,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Artifact:
    """The artifact of `spec`, from the cache or built now.

    Args:
        rebuild: build every step again.
        announce: told what is being built, before it is.

    Raises:
        OptionError: see `require_opset`.
        BuildError: a step failed, or the cache cannot be used.
    """
    if not spec.steps or spec.steps[0] != "export":
        raise BuildError(f"backend {spec.name!r}: its build steps start with 'export', found {spec.steps}")
    require_opset(spec)
    if spec.recipe is not None:
        spec.recipe.require_for(encoder.name, encoder.sha256, tunable_step(spec))
    steps = tuple(step if step == "export" else find_step(step) for step in spec.steps)
    folder = _Build(encoder, spec, rebuild, announce).entry(steps)
    for name, note in read_manifest(folder).notes.items():
        if warning := note.get("calibration", {}).get("warning"):
            announce(f"{spec.name}: {name} was calibrated on {warning}")
    return open_artifact(folder / MODEL, spec.precision)


def tunable_step(spec: BackendSpec) -> str:
    """Name and version of the build step that a recipe is for, such as "int8-rowwise@4".

    Raises:
        OptionError: the backend has none.
    """
    for step in map(find_step, spec.steps[1:]):
        if step.tunable:
            return f"{step.name}@{step.version}"
    raise OptionError(
        f"{spec.name}: it has no matrix products that a recipe could change; choose onnx-int8, onnx-int8-dynamic or "
        "onnx-int8-dynamic-per-tensor"
    )


def require_opset(spec: BackendSpec) -> None:
    """Refuse an opset that cannot be built, before the minutes that a build takes.

    Raises:
        OptionError: the exporter or ONNX Runtime does not know it, or a build step needs a younger one.
    """
    lowest, highest = export.OPSETS.start, export.OPSETS.stop - 1
    if not isinstance(spec.opset, int) or spec.opset not in export.OPSETS:
        raise OptionError(
            f"opset {spec.opset}: expected {lowest} to {highest}, the opsets that the exporter writes and ONNX Runtime runs; "
            f"the default is {DEFAULT_OPSET}"
        )
    for step in map(find_step, spec.steps[1:]):
        if spec.opset < step.least_opset:
            raise OptionError(
                f"opset {spec.opset}: {spec.name} needs {step.least_opset} to {highest}, because of its build step {step.name}; "
                "choose such an opset, or another backend"
            )


@dataclass(frozen=True)
class _Build:
    """One build; entries of the cache are named by what they are made from."""

    encoder: Encoder
    spec: BackendSpec
    rebuild: bool
    announce: Announce

    def entry(self, steps: tuple[str | Step, ...]) -> Path:
        """The folder of what `steps` make."""
        *earlier, last = steps
        names = tuple(self._identity(step) for step in steps)
        versions = library_versions()
        recipe = json.dumps([self.encoder.sha256, names, versions])
        name = names[-1].partition("@")[0]
        key = f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}"

        def fill(folder: Path) -> Manifest:
            notes: dict[str, Any] = {}
            if isinstance(last, Step):
                # Looked up only when needed: a later entry does not depend on earlier ones staying in the cache.
                source = self.entry(tuple(earlier))
                self.announce(f"{self.spec.name}: {name}")
                notes = {**read_manifest(source).notes, **self._apply(last, source / MODEL, folder / MODEL)}
            else:
                self.announce(f"{self.spec.name}: {name}")
                # Whatever the encoder has positions for, also where texts are cut shorter: that is the tokenizer's work.
                whole = replace(self.encoder, max_tokens=read_max_tokens(self.encoder.path))
                export.export_onnx(whole, folder / MODEL, opset=self.spec.opset)
            return Manifest(
                self.spec.name, self.spec.precision, names, self.encoder.name, self.encoder.sha256, versions, {}, notes
            )

        return cached(key, fill, rebuild=self.rebuild)

    def _identity(self, step: str | Step) -> str:
        if not isinstance(step, Step):
            chosen = "" if self.spec.opset == DEFAULT_OPSET else f":opset-{self.spec.opset}"
            return f"export@{export.VERSION}{_code(export.__name__)}{chosen}"
        watched = f":{self._corpus.sha256[:12]}{self._cut}" if step.calibrated else ""
        without = ":no-shape-inference" if step.infers_shapes and not self.spec.shape_inference else ""
        recipe = f":recipe-{self.spec.recipe.digest[:12]}" if self._follows(step) else ""
        return f"{step.name}@{step.version}{_code(step.apply.__module__)}{watched}{without}{recipe}"

    def _follows(self, step: Step) -> bool:
        """Whether the step has a recipe that changes anything."""
        return step.tunable and self.spec.recipe is not None and bool(self.spec.recipe.forms)

    @property
    def _cut(self) -> str:
        """Where calibration texts are cut, where that is not the encoder's own limit."""
        shortened = self.encoder.max_tokens != read_max_tokens(self.encoder.path)
        return f":{self.encoder.max_tokens}-tokens" if shortened else ""

    @property
    def _corpus(self) -> Corpus:
        corpus: Corpus = self.spec.calibration or throughput_corpus("normal", pairs=self.encoder.takes_pairs)
        return corpus

    @cached_property
    def _calibration(self) -> Calibration:
        return tokenize_calibration(self.encoder, self._corpus)

    def _apply(self, step: Step, source: Path, target: Path) -> dict[str, Any]:
        """Run a step; its notes, if it has any."""
        watched = (self._calibration,) if step.calibrated else ()
        switch: dict[str, Any] = {"shape_inference": self.spec.shape_inference} if step.infers_shapes else {}
        if self._follows(step):
            switch["recipe"] = self.spec.recipe.forms
        try:
            notes = step.apply(source, target, *watched, **switch)
        except DriftgateError:
            raise
        except Exception as error:  # onnx and onnxruntime raise classes of their own; a hook's step, anything
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise  # the cache says what to do
            failed = f"build step {step.name!r} failed on {source.name}"
            if is_onnxruntimes(error):
                message, *words = explain(error, source.name, "use").args
                raise BuildError(f"{failed}: {message}", *words) from error
            raise BuildError(*quote_lines(f"{failed}: {type(error).__name__}: {error}")) from error
        if not target.is_file():
            raise BuildError(f"build step {step.name!r} wrote no {target.name}")
        said = dict(notes) if isinstance(notes, Mapping) else {}
        if self._follows(step):
            said["recipe"] = {path: str(form) for path, form in self.spec.recipe.forms.items()}
        return {step.name: said} if said or isinstance(notes, Mapping) else {}


def _code(module: str) -> str:
    digest = digest_code(module)
    return f"+{digest}" if digest else ""


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that take part in a build."""
    return installed_versions(_VERSIONED)
