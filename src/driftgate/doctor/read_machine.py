"""Reading the machine: processor, cores, what disturbs clocks. Linux says most; elsewhere much stays unknown."""

import os
from pathlib import Path

from driftgate.doctor.facts import Cores, Noise, Processor
from driftgate.run.device import available_threads

_ROOT = Path("/")
_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_INTRA_OP_NUM_THREADS", "OMP_WAIT_POLICY",
    "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "TOKENIZERS_PARALLELISM", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER_COUNT",
)  # fmt: skip
_ARCHITECTURES = {"X86_64": "x86", "X86_32": "x86", "ARM_8": "arm", "ARM_7": "arm"}


def read_processor() -> Processor:
    """The processor by the library that pytest-benchmark describes it with."""
    import cpuinfo

    found = cpuinfo.get_cpu_info()
    architecture = str(found.get("arch", "unknown"))
    return Processor(
        name=str(found.get("brand_raw", "unknown")),
        architecture=_ARCHITECTURES.get(architecture, architecture.lower()),
        flags=tuple(sorted(found.get("flags", ()))),
    )


def read_cores(system: Path = _ROOT) -> Cores:
    """Cores, and what the environment says about threads. `system` is where /proc and /sys are."""
    logical = os.cpu_count() or 1
    return Cores(
        logical=logical,
        affinity=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical,
        quota=read_quota(system),
        counted=available_threads(),
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
    )


def read_quota(system: Path = _ROOT) -> float | None:
    """The least quota of the control groups that this process is in, in processors; None without one."""
    found = [quota for folder in _control_groups(system) if (quota := _quota(folder)) is not None]
    return min(found, default=None)


def read_noise(system: Path = _ROOT) -> Noise:
    """What else moves a clock's numbers. `system` is where /proc and /sys are."""
    clock = system / "sys/devices/system/cpu"
    boost, no_turbo = _line(clock / "cpufreq/boost"), _line(clock / "intel_pstate/no_turbo")
    if no_turbo is not None:
        boost = {"0": "1", "1": "0"}.get(no_turbo)
    return Noise(
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        steal_share=_steal_share(system / "proc/stat"),
        throttled_share=next(
            (share for folder in _control_groups(system) if (share := _throttled_share(folder)) is not None), None
        ),
        governor=_line(clock / "cpu0/cpufreq/scaling_governor"),
        boost=None if boost is None else boost == "1",
    )


def _control_groups(system: Path) -> list[Path]:
    """The folders of this process's groups that limit processors, innermost first.

    In a container the path that the kernel names is often not below the mount: its parents are, and the mount itself.
    """
    folders = []
    for line in (_text(system / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in (f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu") if controllers else ("sys/fs/cgroup",):
            top = system / mount
            inner = top / path.lstrip("/")
            folders += [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
    return list(dict.fromkeys(folders))


def _quota(group: Path) -> float | None:
    limit = (_line(group / "cpu.max") or "").split()  # version 2: "200000 100000", or "max 100000"
    if not limit:
        limit = [_line(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    quota, period = limit if len(limit) == 2 else ("", "")  # noqa: PLR2004 - quota and period
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _throttled_share(group: Path) -> float | None:
    lines = [line.split() for line in (_text(group / "cpu.stat") or "").splitlines()]
    counts = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdecimal()}  # noqa: PLR2004 - name and count
    periods = counts.get("nr_periods", 0)
    return counts.get("nr_throttled", 0) / periods if periods else None


def _steal_share(stat: Path) -> float | None:
    line = (_line(stat) or "").split()
    # user, nice, system, idle, iowait, irq, softirq, steal; guests' time, which follows, is in the first two already.
    ticks = [int(field) for field in line[1:9] if field.isdecimal()]
    total = sum(ticks)
    return ticks[7] / total if len(ticks) == 8 and total else None  # noqa: PLR2004 - steal is the eighth column


def _text(path: Path) -> str | None:
    """A file that not every system has."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _line(path: Path) -> str | None:
    lines = (_text(path) or "").splitlines()
    return lines[0].strip() if lines else None
