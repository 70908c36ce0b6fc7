"""Build a backend's artifact, step by step, each step an entry of the cache that later backends share."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from driftgate.backends import BackendSpec, Step
from driftgate.builder import export
from driftgate.builder.artifact import (
    MANIFEST,
    MODEL,
    Artifact,
    Manifest,
    hash_files,
    model_files,
    open_artifact,
    read_manifest,
    write_manifest,
)
from driftgate.builder.cache import cached
from driftgate.builder.calibration import Calibration, tokenize_calibration
from driftgate.builder.steps import find_step
from driftgate.errors import BuildError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder

# Libraries whose release can change what a build writes.
_VERSIONED = ("torch", "transformers", "optimum-onnx", "onnx", "onnxruntime", "onnxruntime-gpu")

_PARTIAL = ".partial"  # ends the name of a folder that is being written

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
        BuildError: a step failed, or the cache cannot be used.
    """
    if not spec.steps or spec.steps[0] != "export":
        raise BuildError(f"backend {spec.name!r}: its build steps start with 'export', found {spec.steps}")
    steps = tuple(step if step == "export" else find_step(step) for step in spec.steps)
    folder = _Build(encoder, spec, rebuild, announce).entry(steps)
    for name, note in read_manifest(folder).notes.items():
        if warning := note.get("calibration", {}).get("warning"):
            announce(f"{spec.name}: {name} was calibrated on {warning}")
    return open_artifact(folder / MODEL, spec.precision)


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
        key = f"{names[-1].partition('@')[0]}-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}"

        def fill(folder: Path) -> Manifest:
            # Looked up only when needed: a later entry does not depend on earlier ones staying in the cache.
            source = self.entry(tuple(earlier)) if earlier else None
            self.announce(f"{self.spec.name}: {names[-1].partition('@')[0]}")
            notes: dict[str, Any] = {}
            if isinstance(last, Step):
                if source is None:
                    raise BuildError(f"backend {self.spec.name!r}: build steps start with 'export'")
                notes = {**read_manifest(source).notes, **self._apply(last, source / MODEL, folder / MODEL)}
            else:
                export.export_onnx(self.encoder, folder / MODEL)
            return Manifest(
                self.spec.name, self.spec.precision, names, self.encoder.name, self.encoder.sha256, versions, {}, notes
            )

        return cached(key, fill, rebuild=self.rebuild)

    def _identity(self, step: str | Step) -> str:
        if not isinstance(step, Step):
            return f"export@{export.VERSION}"
        return f"{step.name}@{step.version}" + (f":{self._corpus.sha256[:12]}" if step.calibrated else "")

    @property
    def _corpus(self) -> Corpus:
        corpus: Corpus = self.spec.calibration or throughput_corpus("normal")
        return corpus

    @cached_property
    def _calibration(self) -> Calibration:
        return tokenize_calibration(self.encoder, self._corpus)

    def _apply(self, step: Step, source: Path, target: Path) -> dict[str, Any]:
        """Run a step; its notes, if it has any."""
        try:
            notes = step.apply(source, target, *([self._calibration] if step.calibrated else []))
        except BuildError:
            raise
        except Exception as error:  # onnx and onnxruntime raise classes of their own; a hook's step, anything
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise  # the cache says what to do
            raise BuildError(
                f"build step {step.name!r} failed on {source.name}: {type(error).__name__}: {error}"
            ) from error
        if not target.is_file():
            raise BuildError(f"build step {step.name!r} wrote no {target.name}")
        return {step.name: dict(notes)} if isinstance(notes, Mapping) else {}


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that take part in a build."""
    found = {}
    for name in _VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def require_empty(target: Path) -> None:
    """Refuse to write where something is already.

    Raises:
        BuildError: `target` exists and is not an empty folder.
    """
    if target.exists() and not target.is_dir():
        raise BuildError(f"{target}: expected a new or empty folder, found a file; nothing was written")
    if target.exists() and any(not path.name.endswith(_PARTIAL) for path in target.iterdir()):
        raise BuildError(f"{target}: expected a new or empty folder, found files; nothing was written")


def copy_artifact(encoder: Encoder, spec: BackendSpec, artifact: Artifact, target: Path) -> None:
    """Put the artifact into `target` as files that others can load: model, configuration, tokenizer, manifest.

    Raises:
        BuildError: `target` exists and is not an empty folder, or cannot be written.
    """
    require_empty(target)
    target = target.absolute()
    # An empty folder is filled, not replaced: it may be a mount point, or where the user stands.
    partial = (target if target.exists() else target.parent) / f".{target.name}{_PARTIAL}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for path in (*model_files(artifact.model), encoder.path / "config.json", *encoder.tokenizer_files):
            shutil.copy2(path, partial)
        if encoder.thresholds is not None:
            shutil.copy2(encoder.path / "thresholds.json", partial)
        made = read_manifest(artifact.model.parent)  # perhaps by another backend with the same first steps
        manifest = replace(
            made, backend=spec.name, precision=artifact.precision, encoder=encoder.name, files=hash_files(partial)
        )
        write_manifest(partial, manifest)
        if target.exists():
            for path in sorted(partial.iterdir(), key=lambda path: path.name == MANIFEST):  # the manifest comes last
                path.rename(target / path.name)
        else:
            partial.rename(target)
    except OSError as error:
        raise BuildError(f"{target}: cannot be written ({error.strerror or error}); nothing was kept") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
