"""Where a run took place, and what it was of: the head of `results.json`."""

import os
import platform
from dataclasses import asdict, dataclass
from functools import cache

from driftgate.edges.packages import installed_versions

_PACKAGES = (
    "driftgate", "torch", "transformers", "tokenizers", "optimum", "optimum-onnx", "onnx", "onnxruntime", "onnxruntime-gpu",
    "numpy", "scipy", "scikit-learn", "pytest", "pytest-benchmark", "hypothesis",
)  # fmt: skip
# ONNX Runtime's and oneDNN's int8 and float kernels are chosen by these.
_KERNEL_FLAGS = (
    "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Environment:
    """A machine and what is installed on it.

    Args:
        instruction_sets: those of the processor's flags that select kernels.
        cores: logical processors of the host. `usable_cores`: those that affinity leaves to this process.
        providers: ONNX Runtime's execution providers.
    """

    python: str
    platform: str
    versions: dict[str, str]
    cpu: str
    instruction_sets: tuple[str, ...]
    cores: int
    usable_cores: int
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Processor:
    """What decides which kernels run: `cpu` and `instruction_sets` as in `Environment`."""

    cpu: str
    instruction_sets: tuple[str, ...]


@cache
def read_processor() -> Processor:
    """Read it once a process; this takes about half a second."""
    import cpuinfo

    found = cpuinfo.get_cpu_info()
    flags = set(found.get("flags", ()))
    sets = tuple(flag for flag in _KERNEL_FLAGS if flag in flags)
    return Processor(str(found.get("brand_raw", platform.processor())), sets)


@cache
def describe_environment() -> Environment:
    """Read this machine's environment once a process."""
    import onnxruntime

    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        versions=installed_versions(_PACKAGES),
        **asdict(read_processor()),
        cores=os.cpu_count() or 1,
        usable_cores=len(affinity),
        providers=tuple(onnxruntime.get_available_providers()),
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options that decide what a run measures."""

    threads: int
    device: str
    batch_sizes: tuple[int, ...]
    token_budget: int
    sample_rows: int
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """The encoder of a run: `revision` is the commit of one from the hub, `max_tokens` where its texts were cut."""

    name: str
    sha256: str
    labels: tuple[str, ...]
    problem_type: str
    problem_type_inferred: bool
    thresholds: tuple[float, ...] | None
    revision: str | None
    max_tokens: int


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """The corpus of a run.

    Args:
        pinned: what loads the same rows of a hub data set again. `pairs`: whether they are pairs of texts.
        drawn_from: how many rows these were drawn from at random; None where the corpus is whole.
    """

    name: str
    rows: int
    sha256: str
    pinned: str | None
    pairs: bool = False
    drawn_from: int | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What a run is of, and where it ran; no corpus where none was given. `arguments` are those that pytest was given."""

    environment: Environment
    options: RunOptions
    encoder: EncoderFacts
    corpus: CorpusFacts | None
    arguments: tuple[str, ...] = ()
