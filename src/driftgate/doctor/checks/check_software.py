"""Checks of installed packages, of ONNX Runtime, and of what they find on this machine."""

from collections.abc import Iterator

from driftgate.doctor.facts import Asked, Facts, Runtime, Software, Unread
from driftgate.doctor.findings import Finding, Subject

_SOFTWARE, _PROVIDER = Subject("software"), Subject("provider")
_CUDA = "CUDAExecutionProvider"
_RUNTIME = "ONNX Runtime"  # what the fact is called where it could not be read


def check_software(facts: Facts) -> Iterator[Finding]:
    """Everything about what is installed."""
    if facts.software is not None:
        yield from _check_packages(facts.software, facts.asked)
    if facts.runtime is not None:
        yield from _check_provider(facts.runtime, facts.asked)
        yield from _check_versions(facts.runtime, facts.software)
    for unread in facts.unread:
        yield from _check_unread(unread, facts.software)


def _check_packages(software: Software, asked: Asked) -> Iterator[Finding]:
    if not software.runtimes:
        yield _SOFTWARE.problem(
            "no-runtime",
            "no ONNX Runtime is installed",
            "no ONNX backend can be built or run",
            'pip install "driftgate[cpu]", or "driftgate[gpu]"',
        )
    if len(software.runtimes) > 1:
        names = " ".join(software.runtimes)
        yield _SOFTWARE.problem(
            "two-runtimes",
            " and ".join(f"{name} {version}" for name, version in software.runtimes.items()) + " are installed",
            "they write the same files: the one that was installed last runs, and CUDA support may be lost silently",
            f"keep one: pip uninstall -y {names} && pip install onnxruntime (or onnxruntime-gpu)",
        )
    for name, versions in software.twice.items():
        yield _SOFTWARE.warning(
            "installed-twice",
            f"{name} is on the path in versions {' and '.join(versions)}",
            f"{versions[0]} is imported and the other may be asked for its version: what is reported may not be what runs",
            f"pip uninstall {name} until nothing is left, then install it once; look at PYTHONPATH",
        )
    for broken in software.broken:
        found = "it is not installed" if broken.found is None else f"found {broken.found}"
        yield _SOFTWARE.problem(
            "unmet-requirement",
            f"{broken.package} requires {broken.requirement}, {found}",
            "versions outside the range were not tried together: exports may fail or change silently",
            f'pip install "{broken.requirement}"',
        )
    torch = software.versions.get("torch", "")
    if asked.on_cuda and torch.endswith("+cpu"):
        yield _SOFTWARE.problem(
            "torch-without-cuda",
            f"device {asked.device} asked for, torch {torch} has no CUDA",
            "driftgate refuses the device, and torch backends would run on the CPU",
            "install torch from PyTorch's index for your CUDA version",
        )
    if software.compiler is None:
        say = _SOFTWARE.problem if asked.backend == "torch-compile" else _SOFTWARE.note
        yield say(
            "no-compiler",
            "no C++ compiler (g++, or what CXX names)",
            "torch-compile cannot run on the CPU; suites skip it",
            "install g++, or set CXX; or leave torch-compile out of --backends",
        )


def _check_provider(runtime: Runtime, asked: Asked) -> Iterator[Finding]:
    if runtime.given is not None and runtime.given != _CUDA:
        offered = ", ".join(runtime.offered)
        reason = f": {runtime.not_given_because}" if runtime.not_given_because else ""
        asked_for = f"device {asked.device} asked for" if asked.on_cuda else "this wheel is for CUDA"
        say = _PROVIDER.problem if asked.on_cuda else _PROVIDER.warning
        yield say(
            "cuda-not-given",
            f"{asked_for}, a session that asks for {_CUDA} gets {runtime.given}{reason} (the wheel has {offered})",
            "ONNX Runtime falls back to the CPU without an error: programs that do not read the provider back just run slowly",
            "install NVIDIA's driver and the CUDA and cuDNN that this wheel was built for: "
            'pip install "onnxruntime-gpu[cuda,cudnn]" and call onnxruntime.preload_dlls() (or import torch) first'
            if _CUDA in runtime.offered
            else 'pip uninstall -y onnxruntime && pip install "driftgate[gpu]"',
        )
    if runtime.gpu_driver and _CUDA not in runtime.offered and not asked.on_cuda:
        yield _PROVIDER.note(
            "gpu-unused",
            f"NVIDIA's driver is loaded, the wheel has {', '.join(runtime.offered)}",
            "ONNX backends run on the CPU only",
            'for the GPU: pip uninstall -y onnxruntime && pip install "driftgate[gpu]"',
        )


def _check_versions(runtime: Runtime, software: Software | None) -> Iterator[Finding]:
    if runtime.written_opset <= runtime.read_opset and runtime.written_ir <= runtime.read_ir:
        return
    onnx = "onnx" if software is None else f"onnx {software.versions.get('onnx', '')}".rstrip()
    yield _SOFTWARE.note(
        "onnx-too-new",
        f"{onnx} writes opset {runtime.written_opset} and IR version {runtime.written_ir} by default, "
        f"onnxruntime {runtime.version} loads up to opset {runtime.read_opset} and IR version {runtime.read_ir}",
        "files made with onnx's defaults do not load here; driftgate's own exports set their opset",
        f"onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', {runtime.read_opset})], "
        f"ir_version={runtime.read_ir}), or a newer onnxruntime",
    )


def _check_unread(unread: Unread, software: Software | None) -> Iterator[Finding]:
    if unread.fact == _RUNTIME and software is not None:
        if software.runtimes:  # else it is said already that it is not installed
            yield _SOFTWARE.problem(
                "runtime-fails",
                f"ONNX Runtime is installed and cannot be used: {unread.reason}",
                "no ONNX backend can be built or run",
                "install it again; before 1.19 it does not work with NumPy 2, and its wheels need glibc or the newest VC runtime",
            )
        return
    yield Subject(unread.fact.split()[0]).warning(
        "undetermined",
        f"{unread.fact}: could not be determined ({unread.reason})",
        "what depends on it was not checked",
        "look at the reason; if nothing is wrong with the machine, report it as a bug",
    )
