"""Verify a model file: what documents state of it, and whether it answers here as it did where its golden vectors were made."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.builder.artifact import file_sha256
from driftgate.builder.model_file import ModelFile, Port, read_model_file
from driftgate.edges.spelling import option
from driftgate.errors import ArtifactError, OptionError
from driftgate.run.device import RunSettings, refuse_conflicting_runtimes, require_device
from driftgate.run.onnx_backend import open_session
from driftgate.verify.claims import ARCHIVE, Claim, Fact, find_documents, read_claims
from driftgate.verify.closeness import Tolerance
from driftgate.verify.target import Target
from driftgate.verify.vector_sets import check_set, find_sets, list_sets, read_set
from driftgate.verify.verification import FactCheck, Verification

# Between ONNX Runtime's fused and plain kernels, which round at other places as other machines do, logits of the embedded
# encoder moved by at most 1.9e-6 (fp32), 1.4e-3 (fp16), 0 (int8-rowwise), 0.13 (int8-dynamic, per tensor), 0.40 (int8-static);
# between torch and ONNX in float32 by at most 2.5e-5. Weights of 4 bits: 5.7e-6, and 0.041 where products are in integers; 0.18
# between products in integers and in float32, which is what a processor without such kernels computes.
TOLERANCES: Mapping[str, tuple[Tolerance, str]] = {
    Precision.FP32: (Tolerance(1e-5, 5e-5), "float32 sums in another order"),
    f"{Precision.FP32}-cuda": (Tolerance(1e-4, 2e-4), "float32 sums in another order, on another kind of device"),
    Precision.FP16: (Tolerance(1e-3, 5e-3), "float16 has 11 bits, rounded at other places"),
    f"{Precision.FP16}-cuda": (Tolerance(1e-2, 5e-2), "float16 arithmetic, not float16 weights alone"),
    Precision.INT8_ROWWISE: (Tolerance(1e-2, 5e-2), "rounding can move an activation by a step of its token's scale"),
    Precision.INT8_DYNAMIC: (Tolerance(1e-2, 0.25), "rounding can move an activation by a step of its batch's scale"),
    Precision.INT8_STATIC: (Tolerance(1e-2, 0.75), "rounding can move an activation by a step of a fixed scale"),
    Precision.INT4_BLOCKWISE: (
        Tolerance(1e-2, 0.25),
        "products may be in integers or in float32, as the processor has kernels",
    ),
    Precision.FLOAT4_BLOCKWISE: (
        Tolerance(1e-3, 5e-3),
        "float32 sums, or float16 activations, rounded at other places",
    ),
}
"""How far another machine's answers may be from a golden vector, by class on the device or class, and why.

On the machine that wrote the vectors they are equal. A small change to an INT8 file can stay within what rounding does to it:
only its digest tells.
"""

_UNITS = {"bytes": (1,), "kB": (10**3, 2**10), "KB": (10**3, 2**10), "MB": (10**6, 2**20), "GB": (10**9, 2**30),
          "kiB": (2**10,), "KiB": (2**10,), "MiB": (2**20,), "GiB": (2**30,)}  # fmt: skip


def verify(
    target: Target,
    settings: RunSettings,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    against: Sequence[Path] = (),
    sets: Path | None = None,
    structure_only: bool = False,
) -> Verification:
    """Check what is stated of a model, load it, and ask it every golden vector.

    Args:
        rtol, atol: None for those of its precision class, `TOLERANCES`.
        against: documents that state facts; none for those beside the model and its archive.
        sets: the folder of its golden vectors; None to look for them.
        structure_only: ask nothing.

    Raises:
        ArtifactError: a model, document or golden vector that cannot be read, or a model that does not load.
        OptionError: a document of `against` says nothing of the model; no default tolerance for what it computes.
        DeviceError, RuntimeConflictError: see `require_device`.
    """
    require_device(settings.device)
    refuse_conflicting_runtimes()
    model = read_model_file(target.model)
    tolerance, reason = _tolerance(model, settings.device.kind, rtol, atol)
    beside = (*find_documents(target.model, target.top), *(find_documents(target.archive) if target.archive else ()))
    claims: list[Claim] = []
    for document in against or dict.fromkeys(beside):
        found = read_claims(document, target.model, target.archive)
        if against and not found:
            raise OptionError(
                f"{document}: it says nothing about {target.model.name}; give the document that names this file"
            )
        claims += found
    folders = () if structure_only else list_sets(sets) if sets else find_sets(target.model)
    if sets and not folders and not structure_only:
        raise ArtifactError(f"{sets}: expected test_data_set_0 and so on in it, found none")
    read = [read_set(folder) for folder in folders]
    session = open_session(target.model, settings, "verify")
    return Verification(
        model=str(target),
        runs_on=_describe_runtime(session),
        precision=str(model.precision or ""),
        tolerance=tolerance,
        tolerance_reason=reason,
        facts=(*(_check(claim, model, target) for claim in claims), *_unstated(claims, model)),
        sets=tuple(check_set(vectors, model, session, tolerance) for vectors in read),
        sets_folder=target.describe(folders[0].parent) if folders else "",
        structure_only=structure_only,
    )


def require_verified(model: Path, settings: RunSettings) -> bool:
    """Refuse a model that does not answer its golden vectors on this machine; False where it has none.

    Raises:
        ArtifactError: the first thing that does not hold. Whatever `verify` raises.
    """
    if not find_sets(model):
        return False
    failures = verify(Target(model), settings).failures
    if failures:
        raise ArtifactError(f"{model}: not verified on this machine; {failures[0]}; see `driftgate verify {model}`")
    return True


def _describe_runtime(session: Any) -> dict[str, Any]:
    import onnxruntime

    return {
        "onnxruntime": onnxruntime.__version__,
        "provider": session.get_providers()[0],
        "threads": session.get_session_options().intra_op_num_threads,
    }


def _tolerance(model: ModelFile, device: str, rtol: float | None, atol: float | None) -> tuple[Tolerance, str]:
    precision = str(model.precision or "")
    usual, reason = TOLERANCES.get(f"{precision}-{device}") or TOLERANCES.get(precision) or (None, "")
    if rtol is not None and atol is not None:
        return Tolerance(rtol, atol), "as given"
    if usual is None:
        raise OptionError(
            f"{model.path.name}: no tolerance is known for what it computes; give {option('rtol')} and {option('atol')}"
        )
    if rtol is None and atol is None:
        return usual, f"{precision}, {reason}"
    return Tolerance(usual.rtol if rtol is None else rtol, usual.atol if atol is None else atol), "one as given"


def _check(claim: Claim, model: ModelFile, target: Target) -> FactCheck:
    """Hold a claim against what is there."""
    path, fact = model.path, str(claim.fact)
    if claim.file == ARCHIVE and target.archive:
        path, fact = target.archive, f"{claim.fact} of {target.archive.name}"
    elif claim.file:
        path, fact = model.path.parent / claim.file, f"{claim.fact} of {claim.file}"
    stated = claim.stated if isinstance(claim.stated, str) else _list_ports(claim.stated)
    outside = f"a path out of the {'archive' if target.archive else 'folder of the model'}"
    found, holds = _judge(claim, model, path) if target.may_read(path) else (outside, False)
    return FactCheck(fact, found, stated, target.name_of(claim.by), holds)


def _judge(claim: Claim, model: ModelFile, path: Path) -> tuple[str, bool]:  # noqa: PLR0911 - one for each kind of fact
    """What was found, and whether it is what is stated."""
    stated = claim.stated
    if isinstance(stated, Mapping):
        ports = model.inputs if claim.fact is Fact.INPUTS else model.outputs
        holds = ports.keys() == stated.keys() and all(ports[name].agrees(port) for name, port in stated.items())
        return _list_ports(ports), holds
    if claim.fact in (Fact.SHA256, Fact.SIZE) and not path.is_file():
        return "no such file", False
    if claim.fact is Fact.SHA256:
        found = model.sha256 if path == model.path else file_sha256(path)
        return found, found == stated
    if claim.fact is Fact.SIZE:
        size = path.stat().st_size
        return f"{size} bytes", size_agrees(stated, size)
    if claim.fact is Fact.OPSET:
        domain, _, version = stated.partition(" ")
        there = model.opset.get(domain)
        return f"{domain} {there}" if there else f"no {domain}", str(there) == version
    if claim.fact is Fact.ONNX_RELEASE:
        readable = _ir_version_of(stated)
        return f"IR {model.ir_version}", readable is not None and model.ir_version <= readable
    return str(model.precision or "none"), stated == model.precision


def size_agrees(stated: str, size_bytes: int) -> bool:
    """Whether a size in words, such as "499 MB", is that many bytes: to the last digit given, a MB being 10^6 or 2^20 bytes."""
    number, unit = re.fullmatch(r"([\d.,]+)\s*(\w+)", stated).groups()  # type: ignore[union-attr]  # claims match it
    digits = number.replace(",", "")
    last_digit = 0 if unit == "bytes" else 10.0 ** -len(digits.partition(".")[2])
    return any(abs(size_bytes / factor - float(digits)) <= last_digit for factor in _UNITS[unit])


def _ir_version_of(release: str) -> int | None:
    """The newest file format that a release of ONNX reads."""
    from onnx.helper import VERSION_TABLE

    of_release = [row[1] for row in VERSION_TABLE if f"{row[0]}.".startswith(f"{release}.")]
    return max(of_release, default=None)


def _unstated(claims: Sequence[Claim], model: ModelFile) -> Iterator[FactCheck]:
    """What is so, but nothing beside the model says that it should be."""
    stated = {claim.fact for claim in claims if not claim.file}
    found = {
        Fact.SHA256: model.sha256,
        Fact.SIZE: f"{model.size_bytes} bytes",
        Fact.OPSET: ", ".join(f"{domain} {version}" for domain, version in model.opset.items()),
        Fact.INPUTS: _list_ports(model.inputs),
        Fact.OUTPUTS: _list_ports(model.outputs),
    }
    return (FactCheck(str(fact), text) for fact, text in found.items() if fact not in stated)


def _list_ports(ports: Mapping[str, Port]) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items())
