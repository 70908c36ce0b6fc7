"""Where and with how many threads a backend runs."""

from dataclasses import dataclass

from driftgate.errors import DeviceError, OptionError


@dataclass(frozen=True, slots=True)
class Device:
    """`cpu`, or CUDA device `index`."""

    kind: str = "cpu"
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"cuda:{self.index}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How every backend of a run is opened.

    Args:
        threads: intra-op threads, at least 1.
    """

    threads: int
    device: Device = Device()

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise OptionError(f"threads {self.threads}: expected a whole number of at least 1")


def available_threads() -> int:
    """Cores this process may use: CPU affinity and cgroup quota count, not the host's cores."""
    import joblib

    return int(joblib.cpu_count())


def parse_device(text: str) -> Device:
    """Read "cpu", "cuda" or "cuda:1".

    Raises:
        OptionError: anything else.
    """
    kind, _, index = text.partition(":")
    if text == "cpu":
        return Device()
    if kind == "cuda" and (not index or index.isdecimal()) and not text.endswith(":"):
        return Device("cuda", int(index or 0))
    raise OptionError(f"device {text!r}: expected cpu, cuda or cuda:N")


def require_device(device: Device) -> None:
    """Refuse a device that this machine or these packages do not have.

    Raises:
        DeviceError: says which part is missing.
    """
    if device.kind == "cpu":
        return
    import onnxruntime
    import torch

    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {device}: torch sees no CUDA device (torch {torch.__version__}); "
            "use --device cpu (--driftgate-device cpu of pytest)"
        )
    if device.index >= torch.cuda.device_count():
        raise DeviceError(f"device {device}: this machine has {torch.cuda.device_count()} CUDA devices, counted from 0")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"device {device}: this onnxruntime has no CUDAExecutionProvider; "
            'pip uninstall -y onnxruntime && pip install "driftgate[gpu]"'
        )


def refuse_conflicting_runtimes() -> None:
    """Refuse to work where onnxruntime and onnxruntime-gpu are both installed: one overwrites the other's files.

    Raises:
        RuntimeConflictError: with the command that mends it.
    """
    from importlib.metadata import PackageNotFoundError, version

    from driftgate.errors import RuntimeConflictError

    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if not found:
        raise RuntimeConflictError('no ONNX Runtime is installed; pip install "driftgate[cpu]" (or "driftgate[gpu]")')
    if len(found) > 1:
        raise RuntimeConflictError(
            f"{' and '.join(found)} are both installed and overwrite each other's files; keep one: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime (or onnxruntime-gpu)"
        )
