"""Where the drift of a backend comes from: every module and product made exact alone, and left alone, and measured."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from driftgate.backends import BackendSpec
from driftgate.errors import ArtifactError
from driftgate.explain.explanation import Effect, Explanation, ModuleFinding, ProductFinding, Together
from driftgate.explain.faults import find_faults
from driftgate.explain.inspection import Announce, Inspection, Subject, inspect
from driftgate.explain.matching import Match
from driftgate.explain.reference_calls import modules_in_order, output_site
from driftgate.explain.row_findings import explain_rows
from driftgate.explain.trials import SampledRows, Trial, Trials, compare_logits, flips_of, removed_share
from driftgate.inputs.batches import BudgetPlan, make_batches
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import OpenBackends

_WORST_MODULES = 5
_TOGETHER, _TOGETHER_ROWS = 5, 600
OUTLIER = 6.0
"""How many times the median channel's peak a channel has to reach to be called an outlier."""


def explain_drift(
    backends: OpenBackends, spec: BackendSpec, corpus: Corpus, announce: Announce = lambda _: None
) -> Explanation:
    """Compare every module of a backend's graph with the reference's, then make modules and products exact one by one.

    Raises:
        OptionError: a backend without a graph. ArtifactError: a graph of which no product is one of the encoder's.
        NonFiniteLogitsError: NaN or infinity.
    """
    started = time.perf_counter()
    tokens = tokenize(backends.encoder, corpus.texts)
    batches = list(make_batches(tokens, BudgetPlan()))
    subject = Subject(backends, spec, batches[0], announce)
    calls, matches = subject.reference.calls, subject.matches
    if not matches.found:
        raise ArtifactError(
            f"{spec.name}: of the {len(matches.without_module)} products of {subject.artifact.model.name}, none has the weights "
            f"of one of the {len(calls)} of {backends.encoder.name}; is it a model of another encoder?"
        )
    subject.align(batches[0])
    announce(f"{spec.name}: comparing activations on {len(corpus):,} rows")
    seen = inspect(subject, batches)
    evidence = compare_logits(subject.head, seen.reference, seen.backend)
    drift, flips = evidence.largest_drift, flips_of(evidence)
    sample = SampledRows.draw(drift)
    trials = Trials(subject, tokens, sample, seen.peaks)
    many = Trials(subject, tokens, SampledRows.draw_evenly(len(corpus), _TOGETHER_ROWS))
    search = _Search(subject, seen, trials, many, announce)
    modules, products = search.exchange()
    return Explanation(
        encoder=backends.encoder.name,
        encoder_sha256=backends.encoder.sha256,
        backend=spec.name,
        artifact_sha256=subject.artifact.sha256,
        corpus=corpus.name,
        corpus_sha256=corpus.sha256,
        rows=len(corpus),
        sampled_rows=len(sample.rows),
        drift=float(drift.mean()),
        largest=float(drift.max()),
        flips=flips.total,
        decisions=flips.decisions,
        sampled=search.as_is.effect,
        float_products=search.all_exact.effect,
        matched=len(matches.found),
        without_product=matches.without_product,
        without_module=matches.without_module,
        modules=modules,
        products=products,
        worst_rows=explain_rows(search.as_is, search.restored, calls, sample.rows, corpus),
        together=search.exchange_together(products),
        seconds=time.perf_counter() - started,
    )


class _Search:
    """Trials by module, then by product inside the worst of them."""

    def __init__(self, subject: Subject, seen: Inspection, trials: Trials, many: Trials, announce: Announce) -> None:
        self._calls = subject.reference.calls
        self._matches = subject.matches.found
        self._seen = seen
        self._trials = trials
        self._many = many
        self._announce = announce
        self.restored: dict[str, Trial] = {}
        announce("asking the file as it is, and with every product exact")
        self.as_is = trials.ask((), seen.peaks, by_token=True)
        self.all_exact = trials.ask(self._matches, seen.peaks)

    def exchange(self) -> tuple[tuple[ModuleFinding, ...], tuple[ProductFinding, ...]]:
        """Every module, and the products of the worst ones, the most harmful first."""
        faults = find_faults(self._calls, self.all_exact.errors, half=any(match.site.half for match in self._matches))
        modules = [self._try_module(name, faults.get(name)) for name in modules_in_order(self._calls)]
        whole = sum(found.alone.drift**2 for found in modules if found.sampled)
        modules = [replace(found, share=_share(found.alone if found.sampled else None, whole)) for found in modules]
        modules.sort(key=lambda found: (found.apart_from_products is None, -found.share))
        products = [
            self._try_product(match)
            for name in [found.name for found in modules if found.sampled][:_WORST_MODULES]
            for match in self._matches
            if match.call.module == name
        ]
        products = [replace(found, share=_share(found.alone, whole)) for found in products]
        products.sort(key=lambda found: -found.share)
        return tuple(modules), tuple(products)

    def _try_module(self, name: str, fault: float | None) -> ModuleFinding:
        own = [match for match in self._matches if match.call.module == name]
        site = output_site(self._calls, name)
        restored, alone = self.as_is, self.all_exact
        tried = any(not match.exact for match in own)
        if tried:
            self._announce(f"{name}: made exact by itself, then left as the only one that is not exact")
            sites = () if site is None else (site,)
            restored = self.restored[name] = self._trials.ask(own, sites)
            alone = self._trials.ask([match for match in self._matches if match.call.module != name], sites)
        of_rows = None if site is None else self._seen.deviations.get(site)
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
        peaks = np.zeros(0) if match.call.site is None else self._seen.peaks[match.call.site]
        middle = float(np.median(peaks)) if peaks.size else 0.0
        return ProductFinding(
            path=match.call.name,
            node=match.site.name,
            operator=match.site.operator,
            module=match.call.module,
            weight_error=match.weight_error,
            restored=restored,
            alone=alone,
            share=0.0,
            channels=len(peaks),
            outlier_channels=int((peaks > OUTLIER * middle).sum()),
            largest_outlier=float(peaks.max() / middle) if middle else 0.0,
        )

    def exchange_together(self, products: Sequence[ProductFinding]) -> tuple[Together, ...]:
        """The first product, the first two, and so on."""
        ranked = tuple(found.path for found in products if found.restored is not None)[:_TOGETHER]
        by_name = {match.call.name: match for match in self._matches}
        as_is = self._many.ask(()).effect.drift if ranked else 0.0
        tried = []
        for count in range(1, len(ranked) + 1):
            self._announce(f"the {count} worst products exact")
            drift = self._many.ask([by_name[path] for path in ranked[:count]]).effect.drift
            tried.append(Together(ranked[:count], drift, removed_share(as_is, drift)))
        return tuple(tried)


def _share(alone: Effect | None, whole: float) -> float:
    """Drifts of independent errors add as squares do."""
    return alone.drift**2 / whole if alone is not None and whole else 0.0


def _error(trial: Trial, site: int | None) -> float | None:
    error = None if site is None else trial.errors.get(site)
    return error.relative_error if error is not None and error.squared_reference else None
