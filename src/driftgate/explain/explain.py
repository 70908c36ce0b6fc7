"""Where the drift of a backend comes from: every module and product made exact alone, and left alone, and measured."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftgate.backends import BackendSpec
from driftgate.errors import ArtifactError, OptionError
from driftgate.explain.explanation import (
    Effect,
    Explanation,
    ModuleFinding,
    ProductFinding,
    Together,
)
from driftgate.explain.faults import find_faults
from driftgate.explain.inspection import GraphTensors, Inspection, inspect
from driftgate.explain.matching import Match, Matches, make_exact, match_products
from driftgate.explain.reference_calls import Call, WatchedReference, modules_in_order, output_site
from driftgate.explain.row_findings import explain_rows
from driftgate.explain.sessions import GraphSession
from driftgate.explain.trials import SampledRows, Trial, Trials, count_flips, largest_drift
from driftgate.inputs.batches import BudgetPlan, make_batches
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph.graph_variants import with_outputs
from driftgate.pipeline import OpenBackends, describe_head
from driftgate.run.onnx_backend import OnnxBackend
from driftgate.run.torch_backend import open_reference

_WORST_MODULES = 5
_TOGETHER, _TOGETHER_ROWS = 5, 600
OUTLIER = 6.0
"""How many times the median channel's peak a channel has to reach to be called an outlier."""

Announce = Callable[[str], None]


def explain_drift(
    backends: OpenBackends, spec: BackendSpec, corpus: Corpus, announce: Announce = lambda _: None
) -> Explanation:
    """Compare every module of a backend's graph with the reference's, then make modules and products exact one by one.

    Raises:
        OptionError: a backend without a graph. ArtifactError: a graph of which no product is one of the encoder's.
        NonFiniteLogitsError: NaN or infinity.
    """
    import onnx

    started = time.perf_counter()
    backend = backends.open(spec)
    artifact = backends.built(spec).artifact
    if artifact is None or not isinstance(backend, OnnxBackend):
        raise OptionError(
            f"{spec.name}: there is no ONNX graph to explain; choose a backend that is a file, such as onnx-int8"
        )
    head, plan = describe_head(backends.encoder), BudgetPlan()
    tokens = tokenize(backends.encoder, corpus.texts)
    batches = list(make_batches(tokens, plan))
    reference = WatchedReference(open_reference(backends.encoder, backends.settings), batches[0])
    model = onnx.load(artifact.model)
    announce(f"{spec.name}: matching its products with the encoder's")
    matches = match_products(model, reference.calls)
    if not matches.found:
        raise ArtifactError(
            f"{spec.name}: of the {len(matches.without_module)} products of {artifact.model.name}, none has the weights of one "
            f"of the {len(reference.calls)} of {backends.encoder.name}; is it a model of another encoder?"
        )
    tensors = GraphTensors.of(matches, reference.calls)
    exact = with_outputs(make_exact(model, matches.found), tensors.names.values())
    tensors.align(GraphSession(exact, backends.settings.threads, spec.name), reference, backend.feed, batches[0])
    del exact  # as large as the model
    announce(f"{spec.name}: comparing activations on {len(corpus):,} rows")
    watched = GraphSession(with_outputs(model, tensors.names.values()), backends.settings.threads, spec.name)
    seen = inspect(reference, watched, tensors, backend.feed, batches, spec.name)
    drift = largest_drift(head, seen.reference, seen.backend)

    def on(rows: SampledRows, sites: Sequence[int]) -> Trials:
        sampled = list(make_batches(tokens.take(rows.rows), plan))
        threads = backends.settings.threads
        return Trials(model, reference, tensors, backend.feed, sampled, rows.weights, head, threads, spec.name, sites)

    sample = SampledRows.draw(drift)
    trials = on(sample, range(len(seen.sites)))
    many = on(SampledRows.draw_evenly(len(corpus), _TOGETHER_ROWS), ())
    search = _Search(reference.calls, matches, seen, trials, many, announce)
    found = search.run()
    return Explanation(
        encoder=backends.encoder.name,
        encoder_sha256=backends.encoder.sha256,
        backend=spec.name,
        artifact_sha256=artifact.sha256,
        corpus=corpus.name,
        corpus_sha256=corpus.sha256,
        rows=len(corpus),
        sampled_rows=len(sample.rows),
        drift=float(drift.mean()),
        largest=float(drift.max()),
        flips=count_flips(head, seen.reference, seen.backend),
        decisions=seen.reference.size if head.multi_label else len(corpus),
        sampled=search.as_is.effect,
        float_products=search.all_exact.effect,
        matched=len(matches.found),
        without_product=matches.without_product,
        without_module=matches.without_module,
        modules=found.modules,
        products=found.products,
        worst_rows=explain_rows(search.as_is, search.restored, reference.calls, sample.rows, corpus),
        together=found.together,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    modules: tuple[ModuleFinding, ...]
    products: tuple[ProductFinding, ...]
    together: tuple[Together, ...]


class _Search:
    """Trials by module, then by product inside the worst of them."""

    def __init__(
        self,
        calls: tuple[Call, ...],
        matches: Matches,
        seen: Inspection,
        trials: Trials,
        many: Trials,
        announce: Announce,
    ) -> None:
        self._calls = calls
        self._matches = matches.found
        self._seen = seen
        self._trials = trials
        self._many = many
        self._announce = announce
        self.restored: dict[str, Trial] = {}
        announce("asking the file as it is, and with every product exact")
        self.as_is = trials.ask((), range(len(seen.sites)), by_token=True)
        self.all_exact = trials.ask(self._matches, range(len(seen.sites)))

    def run(self) -> _Found:
        faults = find_faults(self._calls, self.all_exact.errors, half=any(match.site.half for match in self._matches))
        modules = [self._try_module(name, faults.get(name)) for name in modules_in_order(self._calls)]
        whole = sum(found.alone.drift**2 for found in modules if found.sampled)
        modules = [replace(found, share=_share(found.alone if found.sampled else None, whole)) for found in modules]
        modules.sort(key=lambda found: (found.apart_from_products is None, -found.share))
        products = [
            self._try_product(match)
            for name in [found.name for found in modules if found.sampled][:_WORST_MODULES]
            for match in self._in(name)
        ]
        products = [replace(found, share=_share(found.alone, whole)) for found in products]
        products.sort(key=lambda found: -found.share)
        return _Found(tuple(modules), tuple(products), tuple(self._try_together(products)))

    def _in(self, module: str) -> list[Match]:
        return [match for match in self._matches if match.call.module == module]

    def _try_module(self, name: str, fault: float | None) -> ModuleFinding:
        own = self._in(name)
        site = output_site(self._calls, name)
        sites = () if site is None else (site,)
        tried = any(not match.exact for match in own)
        if tried:
            self._announce(f"{name}: made exact by itself, then left as the only one that is not exact")
            restored = self._trials.ask(own, sites)
            alone = self._trials.ask([match for match in self._matches if match.call.module != name], sites)
        else:
            restored, alone = self.as_is, self.all_exact
        if tried:
            self.restored[name] = restored
        of_rows = self._seen.sites[site].deviation if site is not None else None
        return ModuleFinding(
            name=name,
            products=tuple(call.name for call in self._calls if call.module == name),
            relative_error=None if of_rows is None else of_rows.relative_error,
            cosine=None if of_rows is None else of_rows.cosine,
            own_error=_error(alone, site),
            inherited_error=_error(restored, site),
            restored=restored.effect,
            alone=alone.effect,
            share=0.0,
            apart_from_products=fault,
            sampled=tried,
        )

    def _try_product(self, match: Match) -> ProductFinding:
        restored: Effect | None = None
        alone: Effect | None = None
        if not match.exact:
            self._announce(f"{match.call.name}: made exact by itself, then left as the only one that is not exact")
            restored = self._trials.ask([match]).effect
            alone = self._trials.ask([other for other in self._matches if other is not match]).effect
        peaks = None if match.call.site is None else self._seen.sites[match.call.site].peaks
        middle = 0.0 if peaks is None else float(np.median(peaks))
        return ProductFinding(
            path=match.call.name,
            node=match.site.name,
            operator=match.site.operator,
            module=match.call.module,
            weight_error=match.weight_error,
            restored=restored,
            alone=alone,
            share=0.0,
            channels=0 if peaks is None else len(peaks),
            outlier_channels=0 if peaks is None else int((peaks > OUTLIER * middle).sum()),
            largest_outlier=0.0 if peaks is None or not middle else float(peaks.max() / middle),
        )

    def _try_together(self, products: Sequence[ProductFinding]) -> list[Together]:
        """The first product, the first two, and so on."""
        ranked = [found.path for found in products if found.restored is not None][:_TOGETHER]
        by_name = {match.call.name: match for match in self._matches}
        as_is = self._many.ask(()).effect if ranked else self.as_is.effect
        tried = []
        for count in range(1, len(ranked) + 1):
            self._announce(f"the {count} worst products exact")
            effect = self._many.ask([by_name[path] for path in ranked[:count]]).effect
            tried.append(Together(tuple(ranked[:count]), effect.drift, _removed(as_is, effect)))
        return tried


def _share(alone: Effect | None, whole: float) -> float:
    """Drifts of independent errors add as squares do."""
    return alone.drift**2 / whole if alone is not None and whole else 0.0


def _error(trial: Trial, site: int | None) -> float | None:
    if site is None or site not in trial.errors or not trial.errors[site].squared_reference:
        return None
    return trial.errors[site].relative_error


def _removed(before: Effect, after: Effect) -> float:
    return (before.drift - after.drift) / before.drift if before.drift else 0.0
