"""Where and with how many threads a backend runs."""

import os
import re
from dataclasses import dataclass

from driftgate.edges.limits import DEVICE_INDEX, Limit
from driftgate.edges.packages import installed_versions
from driftgate.edges.spelling import option
from driftgate.errors import DeviceError, OptionError, RuntimeConflictError


@dataclass(frozen=True, slots=True)
class Device:
    """`cpu`, or CUDA device `index`."""

    kind: str = "cpu"
    index: int = 0

    def __post_init__(self) -> None:
        DEVICE_INDEX.require(self.index)

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"cuda:{self.index}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How every backend of a run is opened.

    Args:
        threads: intra-op threads, from 1 to the cores of the machine.
        cores: on which the threads of an ONNX Runtime session stay, one for each; the first is the calling thread's own affair.
            () for wherever the system puts them.
        spins: whether the threads of an ONNX Runtime session spin between the operators of one call, instead of sleeping: faster
            where the session has these cores to itself, and slower where another process wants them.
    """

    threads: int
    device: Device = Device()
    cores: tuple[int, ...] = ()
    spins: bool = False

    def __post_init__(self) -> None:
        core_limit("threads").require(self.threads)


def available_threads() -> int:
    """Cores this process may use: CPU affinity and cgroup quota count, not the host's cores.

    Raises:
        OptionError: LOKY_MAX_CPU_COUNT is no number.
    """
    import joblib

    try:
        return int(joblib.cpu_count())
    except ValueError as error:
        given = os.environ.get("LOKY_MAX_CPU_COUNT")
        raise OptionError(f"LOKY_MAX_CPU_COUNT={given}: expected a whole number of at least 1; unset it") from error


def thread_variables(threads: int) -> dict[str, str]:
    """What the environment of a worker process has to say, so that no library starts threads beyond those of its session."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false" if threads == 1 else "true",
    }


def core_limit(name: str) -> Limit:
    """Of threads or processes that are to run at the same time: one for each core of the machine.

    More only wait for each other; thousands take the machine down. Affinity and quota do not count here, though they may
    leave fewer: whoever looks into what that costs asks for more on purpose, and `driftgate doctor` warns of it.
    """
    return Limit(
        name, 1, os.cpu_count() or 1, lambda: f", the cores of this machine ({available_threads()} can be used here)"
    )


def parse_device(text: str) -> Device:
    """Read "cpu", "cuda" or "cuda:1".

    Raises:
        OptionError: anything else.
    """
    if text == "cpu":
        return Device()
    if found := re.fullmatch(r"cuda(?::([0-9]{1,4}))?", text):
        return Device("cuda", int(found[1] or 0))
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
            f"device {device}: torch sees no CUDA device (torch {torch.__version__}); use {option('device', 'cpu')}"
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
    found = [f"{name} {version}" for name, version in installed_versions(("onnxruntime", "onnxruntime-gpu")).items()]
    if not found:
        raise RuntimeConflictError('no ONNX Runtime is installed; pip install "driftgate[cpu]" (or "driftgate[gpu]")')
    if len(found) > 1:
        raise RuntimeConflictError(
            f"{' and '.join(found)} are both installed and overwrite each other's files; keep one: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime (or onnxruntime-gpu)"
        )
