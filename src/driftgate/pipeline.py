"""The only place where stages are connected: encoder and backend name to a loaded backend, corpus to predictions."""

import gc
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from driftgate.backends import (
    CLASS_KEYS,
    DEFAULT_OPSET,
    REGISTRY,
    BackendSpec,
    Precision,
    Runtime,
    class_keys,
    keys_for_head,
)
from driftgate.builder.artifact import Artifact
from driftgate.builder.build import Announce, build_artifact, require_opset
from driftgate.builder.published import is_checkpoint, open_checkpoint, open_published
from driftgate.errors import OptionError
from driftgate.inputs.backend_names import parse_backends
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.judge.evidence import Head, Thresholds
from driftgate.judge.metric_types import POLICIES
from driftgate.measure.phases import BUILD, LOAD, Phases
from driftgate.run.backend import Backend
from driftgate.run.device import RunSettings, available_threads, refuse_conflicting_runtimes
from driftgate.run.open import open_backend as _open


@dataclass(frozen=True, slots=True)
class Built:
    """A backend whose files are ready.

    Args:
        encoder: whose weights it runs: the encoder under judgement, or another checkpoint.
        artifact: None where it runs those weights as they are.
    """

    spec: BackendSpec
    encoder: Encoder
    artifact: Artifact | None


def prepare_backend(
    encoder: Encoder,
    spec: BackendSpec,
    *,
    rebuild: bool = False,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Built:
    """Build the backend's artifact or fetch it from the cache; check it where it was published.

    Raises:
        BuildError: a step failed. ArtifactError: a published artifact or checkpoint does not fit. RuntimeConflictError.
    """
    if spec.published is not None and is_checkpoint(spec.published):
        return Built(*open_checkpoint(spec, encoder), None)
    if spec.runtime is Runtime.ONNXRUNTIME and spec.open_with is None:
        refuse_conflicting_runtimes()
    if spec.published is not None:
        found, artifact = open_published(spec, encoder)
        return Built(found, encoder, artifact)
    if not spec.steps:
        return Built(spec, encoder, None)
    return Built(spec, encoder, build_artifact(encoder, spec, rebuild=rebuild, announce=announce))


def find_precision(encoder: Encoder, backend: str, *, device: str = "cpu") -> Precision:
    """The class of arithmetic of one backend, read from the graph of a published one; nothing is built.

    Raises:
        ArtifactError: a published artifact or checkpoint does not fit. UnknownBackendError: no such backend.
    """
    (spec,) = choose_backends(backend, device=device)
    return prepare_backend(encoder, spec).spec.precision if spec.published is not None else spec.precision


def open_built(built: Built, settings: RunSettings) -> Backend:
    """Load a prepared backend."""
    return _open(built.encoder, built.spec, built.artifact, settings)


def open_backend(encoder: Encoder, backend: str, settings: RunSettings | None = None) -> Backend:
    """Build (or take from the cache) and load one backend by name, or a published one as `name[:class]=PATH`.

    Args:
        settings: threads and device; by default every core this process may use, on the CPU.

    Raises:
        OptionError: more than one name.
    """
    settings = settings or RunSettings(available_threads())
    specs = choose_backends(backend, device=settings.device.kind)
    if len(specs) > 1:
        raise OptionError(f"{backend!r}: expected one backend, found {len(specs)}; open them one by one")
    (spec,) = specs
    return open_built(prepare_backend(encoder, spec), settings)


class OpenBackends:
    """An encoder's backends, each built and loaded when it is first asked for, and once.

    Args:
        settings: threads and device of all of them.
        calibration: texts for calibrated build steps of backends that name none themselves; None for the embedded ones.
        rebuild: build even what is in the cache.
        phases: where the time that is taken counts.
    """

    def __init__(
        self,
        encoder: Encoder,
        settings: RunSettings,
        *,
        calibration: Corpus | None = None,
        rebuild: bool = False,
        announce: Announce = lambda message: None,  # noqa: ARG005
        phases: Phases | None = None,
    ) -> None:
        self.encoder = encoder
        self.settings = settings
        self.phases = phases or Phases()
        self._calibration = calibration
        self.rebuild = rebuild
        self._announce = announce
        self._built: dict[str, Built] = {}
        self._opened: dict[str, Backend] = {}

    def built(self, spec: BackendSpec) -> Built:
        """The backend's files, ready.

        Raises:
            BuildError, ArtifactError, RuntimeConflictError: see `prepare_backend`.
        """
        if spec.name not in self._built:
            calibrated = replace(spec, calibration=spec.calibration or self._calibration)
            with self.phases.during(BUILD):
                self._built[spec.name] = prepare_backend(
                    self.encoder, calibrated, rebuild=self.rebuild, announce=self._announce
                )
        return self._built[spec.name]

    def open(self, spec: BackendSpec) -> Backend:
        """The backend, loaded.

        Raises:
            BackendUnavailableError: this machine cannot run it.
        """
        if spec.name not in self._opened:
            built = self.built(spec)
            if not built.artifact:
                self._announce(f"{spec.name}: loading")
            with self.phases.during(LOAD):
                self._opened[spec.name] = open_built(built, self.settings)
                gc.collect()
                gc.freeze()  # else each later collection walks through all of torch and transformers
        return self._opened[spec.name]


def choose_backends(
    backends: str,
    *,
    device: str = "cpu",
    calibration: Corpus | None = None,
    opset: int = DEFAULT_OPSET,
    shape_inference: bool = True,
) -> tuple[BackendSpec, ...]:
    """Backends by name, as they are built.

    Args:
        device: "cpu" or "cuda", what they are built for.
        calibration: texts that calibrated steps watch the graph on; None for the embedded ones.
        opset: version of ONNX's operators. `shape_inference`: False for build steps to do without it where they can.

    Raises:
        UnknownBackendError, OptionError: see `parse_backends`; an opset that a backend cannot be built in.
    """
    specs = tuple(
        replace(spec.built_for(device), calibration=calibration, opset=opset, shape_inference=shape_inference)
        for spec in parse_backends(backends)
    )
    for spec in specs:
        if spec.steps:
            require_opset(spec)
    return specs


def require_buildable(specs: Iterable[BackendSpec]) -> None:
    """Refuse backends without files of their own.

    Raises:
        OptionError: torch, torch-compile.
    """
    without = [spec.name for spec in specs if not spec.steps]
    if without:
        raise OptionError(
            f"{', '.join(without)}: nothing to build; choose backends with build steps, such as onnx-fp32"
        )


def bounds_keys(spec: BackendSpec, settings: RunSettings, *, multi_label: bool) -> tuple[str, ...]:
    """Where bounds for a backend are looked up, first match first: its name, its class on this device, its class.

    Each with the mark of single-label encoders first, where the encoder is one.
    """
    return keys_for_head((spec.name, *class_keys(spec.precision, settings.device.kind)), multi_label=multi_label)


def known_keys(specs: Iterable[BackendSpec] = ()) -> frozenset[str]:
    """What bounds may be for: classes, registered backends, and those of the run."""
    names = keys_for_head((*REGISTRY, *(spec.name for spec in specs)), multi_label=False)
    return CLASS_KEYS.union(names)


def describe_head(encoder: Encoder) -> Head:
    """Labels, and decision thresholds: 0.5, and the encoder's own where it has them and they decide."""
    multi_label = encoder.problem_type is ProblemType.MULTI_LABEL
    if encoder.gives_score:
        return Head(encoder.labels, multi_label=True, policies={}, gives_score=True)
    half, own = POLICIES
    policies: dict[str, Thresholds] = {half: 0.5}
    if encoder.thresholds is not None and multi_label:
        policies[own] = np.array(encoder.thresholds)
    return Head(encoder.labels, multi_label=multi_label, policies=policies)
