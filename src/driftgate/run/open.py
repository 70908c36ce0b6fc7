"""Open any backend by its spec."""

from driftgate.backends import BackendSpec, Runtime
from driftgate.builder.artifact import Artifact
from driftgate.errors import ArtifactError
from driftgate.inputs.encoder import Encoder
from driftgate.run.backend import Backend
from driftgate.run.device import RunSettings, refuse_conflicting_runtimes, require_device


def open_backend(encoder: Encoder, spec: BackendSpec, artifact: Artifact | None, settings: RunSettings) -> Backend:
    """Load what `spec` describes.

    Raises:
        ArtifactError: an ONNX backend without its artifact, or a file that does not load.
        BackendUnavailableError: the machine lacks what the backend needs.
        DeviceError: the device is not here.
        RuntimeConflictError: both ONNX Runtime packages are installed, or none.
    """
    require_device(settings.device)
    if spec.open_with is not None:
        opened: Backend = spec.open_with(encoder, artifact, settings)
        return opened
    if spec.runtime is Runtime.TORCH:
        from driftgate.run.torch_backend import open_torch

        return open_torch(encoder, spec, settings)
    if spec.runtime is Runtime.TORCH_COMPILE:
        from driftgate.run.torch_backend import open_torch_compile

        return open_torch_compile(encoder, spec, settings)
    from driftgate.run.onnx_backend import open_onnx

    refuse_conflicting_runtimes()
    if artifact is None:
        raise ArtifactError(f"backend {spec.name}: expected an artifact to load, found none; build it first")
    return open_onnx(encoder, spec, artifact, settings)
