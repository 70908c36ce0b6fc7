"""Whether a model answers its golden vectors, set by set."""

from collections.abc import Mapping, Sequence
from typing import Any

from driftgate.builder.model_file import ModelFile, Port
from driftgate.builder.runtime_errors import explain
from driftgate.verify.closeness import EXACT, Tolerance, measure_closeness
from driftgate.verify.vector_sets import Tensor, VectorSet
from driftgate.verify.verification import OutputCheck, SetCheck


def check_set(vectors: VectorSet, model: ModelFile, session: Any, tolerance: Tolerance) -> SetCheck:
    feed, by_input = _match(vectors.inputs, model.inputs)
    expected, by_output = _match(vectors.outputs, model.outputs)
    matched = f"inputs by {by_input}, to outputs by {by_output}"
    problem = _misfit("inputs", feed, model.inputs, len(vectors.inputs)) or _wrong_type(feed, model.inputs)
    problem = problem or _misfit("outputs", expected, model.outputs, len(vectors.outputs))
    if problem:
        return SetCheck(vectors.name, matched, (), problem)
    try:
        answers = session.run(list(model.outputs), {name: tensor.values for name, tensor in feed.items()})
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        return SetCheck(vectors.name, matched, (), "; ".join(explain(error, model.path.name, "run").args))
    return SetCheck(
        vectors.name,
        matched,
        tuple(
            _check_output(name, expected[name], answer, tolerance)
            for name, answer in zip(model.outputs, answers, strict=True)
        ),
    )


def _match(tensors: Sequence[Tensor], ports: Mapping[str, Port]) -> tuple[dict[str, Tensor], str]:
    """Tensors by the name of their port: by their own names where all of them are ports, else by number, as the zoo does."""
    names = {tensor.name for tensor in tensors}
    if names <= ports.keys() and len(names) == len(tensors):
        return {tensor.name: tensor for tensor in tensors}, "name"
    in_order = list(ports)
    numbered = [tensor for tensor in tensors if tensor.number < len(in_order)]
    return {in_order[tensor.number]: tensor for tensor in numbered}, "position"


def _misfit(kind: str, matched: Mapping[str, Tensor], ports: Mapping[str, Port], count: int) -> str:
    missing = [name for name in ports if name not in matched]
    if count == len(ports) and not missing:
        return ""
    without = f", none for {', '.join(missing)}" if missing else ""
    return f"expected {len(ports)} {kind}, the set has {count}{without}"


def _wrong_type(feed: Mapping[str, Tensor], ports: Mapping[str, Port]) -> str:
    wrong = [
        f"{name}: the graph takes {ports[name]}, the set has {tensor.values.dtype}"
        for name, tensor in feed.items()
        if ports[name].type not in (tensor.values.dtype.name, "string")
    ]
    return "; ".join(wrong)


def _check_output(name: str, expected: Tensor, answer: Any, tolerance: Tolerance) -> OutputCheck:
    told = expected.values
    applied = tolerance if told.dtype.kind not in "biuOSU" else EXACT
    if not hasattr(answer, "dtype"):
        return OutputCheck(
            name, None, applied, None, "the model answers a sequence or map; only tensors can be compared"
        )
    for what, stated, found in (("shape", told.shape, answer.shape), ("type", told.dtype, answer.dtype)):
        if stated != found:
            return OutputCheck(name, answer.shape, applied, None, f"expected {what} {stated}, found {found}")
    closeness = measure_closeness(told, answer, applied)
    problem = ""
    if closeness.beyond:
        bad = f", {closeness.non_finite} NaN or infinite" if closeness.non_finite else ""
        problem = f"{closeness.beyond} of {closeness.elements} beyond tolerance{bad}"
    return OutputCheck(name, answer.shape, applied, closeness, problem)
