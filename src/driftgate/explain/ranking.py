"""The products of a backend by what each adds to drift alone: where a search for a recipe begins."""

from dataclasses import dataclass

from driftgate.backends import BackendSpec
from driftgate.explain.inspection import GraphTensors
from driftgate.explain.matching import match_products
from driftgate.explain.reference_calls import WatchedReference
from driftgate.explain.trials import SampledRows, Trials
from driftgate.inputs.batches import BudgetPlan, make_batches
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.pipeline import OpenBackends, describe_head
from driftgate.run.onnx_backend import OnnxBackend
from driftgate.run.torch_backend import open_reference

_ROWS = 120


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product whose form a recipe can change.

    Args:
        path: of its module, as recipes name it. `table`: whether it looks up embeddings.
        weights: how many numbers its matrix has.
        drift: what there is if only this product is as the backend has it: mean of each text's largest |probability difference|.
    """

    path: str
    table: bool
    weights: int
    drift: float


def rank_products(backends: OpenBackends, spec: BackendSpec, tokens: TokenizedTexts) -> list[RankedProduct]:
    """Products by their drift alone on up to 120 rows drawn at random, the largest first; those that are exact are left out.

    Calls of one module, where layers share weights, are one product, with the drift of the worst of them.
    """
    import onnx

    backend, artifact = backends.open(spec), backends.built(spec).artifact
    if artifact is None or not isinstance(backend, OnnxBackend):
        raise TypeError(f"{spec.name}: expected a backend with an ONNX graph")
    sample = SampledRows.draw_evenly(len(tokens), _ROWS)
    batches = list(make_batches(tokens.take(sample.rows), BudgetPlan()))
    reference = WatchedReference(open_reference(backends.encoder, backends.settings), batches[0])
    model = onnx.load(artifact.model)
    matches = match_products(model, reference.calls)
    trials = Trials(
        model,
        reference,
        GraphTensors.of(matches, reference.calls),
        backend.feed,
        batches,
        sample.weights,
        describe_head(backends.encoder),
        backends.settings.threads,
        spec.name,
        (),
    )
    found: dict[str, RankedProduct] = {}
    for match in matches.found:
        if match.exact:
            continue
        alone = trials.ask([other for other in matches.found if other is not match]).effect.drift
        path, size = match.call.path, match.call.weight.size
        before = found.get(path)
        if before is None or alone > before.drift:
            found[path] = RankedProduct(path, match.call.table, size, alone)
    return sorted(found.values(), key=lambda product: -product.drift)
