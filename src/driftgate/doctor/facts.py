"""What a doctor looks at in a machine: plain frozen records, whose `asdict` is JSON. Nothing here reads anything."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from driftgate.doctor.model_facts import Graph, Source


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants to run, None where nothing was said.

    Args:
        model: as given. `backend`: by name. `device`: "cpu", "cuda" or "cuda:N". `threads`: intra-op.
    """

    model: str | None = None
    backend: str | None = None
    device: str = "cpu"
    threads: int | None = None

    @property
    def on_cuda(self) -> bool:
        """Whether a CUDA device was asked about."""
        return self.device.startswith("cuda")


@dataclass(frozen=True, slots=True)
class Unread:
    """A fact that could not be determined, and why."""

    fact: str
    reason: str


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor.

    Args:
        architecture: "x86", "arm", or what the system calls it.
        flags: every instruction set that it and the system offer, by Linux's names.
    """

    name: str
    architecture: str
    flags: tuple[str, ...]

    @property
    def has_vnni(self) -> bool:
        """Whether products of unsigned and signed bytes are summed in 32 bits."""
        return not {"avx512_vnni", "avx512vnni", "avx_vnni", "amx_int8"}.isdisjoint(self.flags)

    @property
    def has_unsigned_vnni(self) -> bool:
        """Whether those of two unsigned bytes are too."""
        return "avx_vnni_int8" in self.flags


@dataclass(frozen=True, slots=True)
class Cores:
    """Processors and who may use them.

    Args:
        logical: of the host. `affinity`: that this process may run on.
        quota: of the control group, in processors; None without one.
        counted: threads that driftgate starts where none are asked for.
        variables: of the environment that size and steer thread pools.
    """

    logical: int
    affinity: int
    quota: float | None
    counted: int
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> int:
        """Processors that this process can keep busy."""
        return max(1, min(self.affinity, self.logical if self.quota is None else math.ceil(self.quota)))

    @property
    def limits(self) -> str:
        """What they are limited by: "affinity 4, quota 2.5"."""
        return f"affinity {self.affinity}, quota {'none' if self.quota is None else f'{self.quota:g}'}"


@dataclass(frozen=True, slots=True)
class Noise:
    """What else moves a clock's numbers; None where the system does not say.

    Args:
        load: runnable threads, mean of a minute.
        steal_share: of all processor time since start that other virtual machines took.
        throttled_share: of the control group's periods in which it had used up its quota.
        governor: of the processor's clock. `boost`: whether the clock may rise above its nominal rate.
    """

    load: float | None
    steal_share: float | None
    throttled_share: float | None
    governor: str | None
    boost: bool | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A requirement of an installed package that what is installed does not meet; `found` is None where it is missing."""

    package: str
    requirement: str
    found: str | None


@dataclass(frozen=True, slots=True)
class Software:
    """Installed packages, from their metadata.

    Args:
        versions: of those that take part, by name.
        runtimes: distributions that install the module `onnxruntime`, with versions.
        twice: packages of which several versions are found on the path, first the one that is imported.
        broken: requirements of driftgate and of all that it stands on.
        compiler: the C++ compiler that torch.compile would find; None without one.
    """

    versions: Mapping[str, str]
    runtimes: Mapping[str, str]
    twice: Mapping[str, tuple[str, ...]]
    broken: tuple[Broken, ...]
    compiler: str | None


@dataclass(frozen=True, slots=True)
class Runtime:
    """ONNX Runtime, asked.

    Args:
        offered: execution providers that this wheel has.
        given: the first provider of a session that asked for CUDA; None where it was not tried.
        not_given_because: what the loader of CUDA's libraries says; "" where it says nothing.
        gpu_driver: whether NVIDIA's driver is loaded.
        written_opset, written_ir: what the installed onnx writes where nothing else is said.
        read_opset, read_ir: the newest up to those that a session loads.
    """

    version: str
    offered: tuple[str, ...]
    given: str | None
    not_given_because: str
    gpu_driver: bool
    written_opset: int
    written_ir: int
    read_opset: int
    read_ir: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that files are written to.

    Args:
        purpose: "cache", "temporary files", "hub cache". `variable`: of the environment, that moves it.
        error: why nothing can be written there; None where it can.
        free_bytes: of its disk; None where that is not known.
    """

    purpose: str
    path: str
    variable: str
    error: str | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Cache:
    """driftgate's cache of artifacts.

    Args:
        leftovers: folders of builds that were killed, and their bytes.
        held: entries that a process is building now.
    """

    entries: int
    size_bytes: int
    leftovers: tuple[str, ...]
    leftover_bytes: int
    held: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Where files go. `memory_bytes`: memory that is free for programs; None where that is not known."""

    folders: tuple[Folder, ...]
    cache: Cache | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Hub:
    """How the Hugging Face hub would be reached. The token itself is never kept."""

    offline: bool
    has_token: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. None where a part could not be read: `unread` says why."""

    asked: Asked
    processor: Processor | None = None
    cores: Cores | None = None
    noise: Noise | None = None
    software: Software | None = None
    runtime: Runtime | None = None
    storage: Storage | None = None
    hub: Hub | None = None
    sources: tuple[Source, ...] = ()
    graphs: tuple[Graph, ...] = ()
    unread: tuple[Unread, ...] = ()
