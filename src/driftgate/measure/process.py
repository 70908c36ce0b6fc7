"""Cold start and peak memory, each in a process of its own: `python -m driftgate.measure.process REQUEST`."""

import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.builder.artifact import Artifact
from driftgate.edges.processes import run_python
from driftgate.errors import DriftgateError, OptionError, quote_lines
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.texts import Text
from driftgate.inputs.tokens import tokenize
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings, parse_device


@dataclass(frozen=True, slots=True)
class FreshProcess:
    """What a new process saw.

    Args:
        load_seconds: imports excluded: from files on disk to a loaded backend.
        first_answer_seconds: from files on disk to the first text's logits.
        baseline_bytes: resident memory before the backend was loaded, imports included.
        peak_bytes: largest resident memory of the process after answering every text.
    """

    load_seconds: float
    first_answer_seconds: float
    baseline_bytes: int
    peak_bytes: int


def measure_in_fresh_process(
    encoder: Encoder, spec: BackendSpec, artifact: Artifact | None, texts: Sequence[Text], settings: RunSettings
) -> FreshProcess:
    """Open the backend in a new process, answer the first text, then all of them.

    Raises:
        OptionError: the backend is opened by a function of this process.
        DriftgateError: the process failed; its last lines are in the message.
    """
    if spec.open_with is not None:
        raise OptionError(
            f"backend {spec.name}: it is opened by a function of this process, which a fresh one does not have"
        )
    request = describe_request(encoder, spec, artifact, texts, settings)
    return FreshProcess(**ask_fresh_process("driftgate.measure.process", spec.name, request))


def describe_request(
    encoder: Encoder, spec: BackendSpec, artifact: Artifact | None, texts: Sequence[Text], settings: RunSettings
) -> dict[str, Any]:
    """What a fresh process needs to open the backend, JSON-ready."""
    return {
        "encoder": {
            "source": str(encoder.path),
            "problem_type": encoder.problem_type,
            "allow_pickle": encoder.allow_pickle,
            "trust_remote_code": encoder.trust_remote_code,
        },
        "backend": [spec.name, spec.precision, spec.runtime],
        "model": None if artifact is None else str(artifact.model),
        "max_tokens": encoder.max_tokens,
        "texts": list(texts),
        "threads": settings.threads,
        "device": str(settings.device),
    }


def ask_fresh_process(module: str, backend: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run `python -m module` with the request on its standard input; the record on its last line.

    Raises:
        DriftgateError: the process failed; its last lines are in the message.
    """
    done = run_python(module, text=json.dumps(request))
    if done.returncode != 0:
        raise DriftgateError(f"backend {backend} failed in a process of its own:", *quote_lines(done.stderr[-2000:]))
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def read_texts(request: Mapping[str, Any]) -> list[Text]:
    """The texts of a request; JSON has made lists of pairs."""
    return [text if isinstance(text, str) else (text[0], text[1]) for text in request["texts"]]


def read_request(request: Mapping[str, Any]) -> tuple[Encoder, BackendSpec, Artifact | None, RunSettings]:
    """The other records that `describe_request` described."""
    name, precision, runtime = request["backend"]
    spec = BackendSpec(name, Precision(precision), Runtime(runtime))
    artifact = Artifact(Path(request["model"]), spec.precision, "", 0) if request["model"] else None
    settings = RunSettings(request["threads"], parse_device(request["device"]))
    encoder = replace(load_encoder(**request["encoder"]), max_tokens=request["max_tokens"])
    return encoder, spec, artifact, settings


def resident_bytes() -> int:
    """Current resident memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Largest resident memory of this process.

    Linux hands the parent's `ru_maxrss` down to what it starts (a pytest run's gigabytes), so its own mark is read there.
    """
    import resource

    status = Path("/proc/self/status")
    said = status.read_text(encoding="ascii", errors="replace") if status.is_file() else ""
    kilobytes = re.search(r"^VmHWM:\s+(\d+) kB$", said, re.MULTILINE)
    if kilobytes:
        return int(kilobytes[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main() -> None:
    # Imports are not part of a cold start: they are paid before the clock starts.
    import onnxruntime  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    from driftgate.run.open import open_backend

    request = json.loads(sys.stdin.read())
    encoder, spec, artifact, settings = read_request(request)
    tokens = tokenize(encoder, read_texts(request))
    baseline = resident_bytes()
    started = time.perf_counter()
    backend = open_backend(encoder, spec, artifact, settings)
    loaded = time.perf_counter()
    predict(backend, tokens.take([0]), ArrivalPlan(1))
    answered = time.perf_counter()
    predict(backend, tokens, ArrivalPlan(8))
    measured = FreshProcess(loaded - started, answered - started, baseline, peak_bytes())
    print(json.dumps(asdict(measured)))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    _main()
