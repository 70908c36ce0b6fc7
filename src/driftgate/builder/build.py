"""Build a backend's artifact, step by step, each step an entry of the cache that later backends share."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    write_manifest,
)
from driftgate.builder.cache import cached
from driftgate.builder.steps import find_step
from driftgate.errors import BuildError
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
    folder = _entry(encoder, spec, steps, rebuild=rebuild, announce=announce)
    return open_artifact(folder / MODEL, spec.precision)


def _entry(
    encoder: Encoder, spec: BackendSpec, steps: tuple[str | Step, ...], *, rebuild: bool, announce: Announce
) -> Path:
    *earlier, last = steps
    names = tuple(_identity(step) for step in steps)
    versions = library_versions()
    recipe = json.dumps([encoder.sha256, names, versions])
    key = f"{names[-1].partition('@')[0]}-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}"

    def fill(folder: Path) -> Manifest:
        # Looked up only when needed: a later entry does not depend on earlier ones staying in the cache.
        source = _entry(encoder, spec, tuple(earlier), rebuild=rebuild, announce=announce) / MODEL if earlier else None
        announce(f"{spec.name}: {names[-1].partition('@')[0]}")
        if isinstance(last, Step):
            if source is None:
                raise BuildError(f"backend {spec.name!r}: build steps start with 'export'")
            _apply(last, source, folder / MODEL)
        else:
            export.export_onnx(encoder, folder / MODEL)
        return Manifest(spec.name, spec.precision, names, encoder.name, encoder.sha256, versions, files={})

    return cached(key, fill, rebuild=rebuild)


def _identity(step: str | Step) -> str:
    return f"{step.name}@{step.version}" if isinstance(step, Step) else f"export@{export.VERSION}"


def _apply(step: Step, source: Path, target: Path) -> None:
    try:
        step.apply(source, target)
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
        steps = tuple(_identity(step if step == "export" else find_step(step)) for step in spec.steps)
        manifest = Manifest(
            spec.name, artifact.precision, steps, encoder.name, encoder.sha256, library_versions(), hash_files(partial)
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
