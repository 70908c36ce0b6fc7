"""One pass over the corpus: logits of both sides, and how far the activations of a graph are from the reference's."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Logits
from driftgate.explain.alignment import Activations, Alignment, Deviation, align, real_tokens
from driftgate.explain.matching import Matches
from driftgate.explain.reference_calls import Answers, Call, WatchedReference
from driftgate.explain.sessions import GraphSession
from driftgate.inputs.batches import TokenBatch
from driftgate.run.backend import gather_rows

Feed = Callable[[TokenBatch], dict[str, NDArray[Any]]]


@dataclass(slots=True)
class SiteStatistics:
    """What goes into the reference's products at one site, over all real tokens: sums that batches are added to.

    Args:
        deviation: of the graph's from the reference's; None where the graph has no such tensor.
        peaks: of the reference, the largest magnitude of each channel, float32, (width,).
    """

    deviation: Deviation | None = None
    peaks: NDArray[np.float32] | None = None

    def see(self, reference: Activations, tokens: NDArray[np.bool_]) -> None:
        """Add a batch to the peaks."""
        largest = np.abs(real_tokens(reference, tokens)).max(axis=0).astype(np.float32)
        self.peaks = largest if self.peaks is None else np.maximum(self.peaks, largest)


@dataclass(frozen=True, slots=True, eq=False)
class GraphTensors:
    """Where a graph has what goes into the reference's products: the tensor's name, by site.

    Args:
        alignments: how a tensor becomes comparable, by site; None where it does not.
    """

    names: dict[int, str]
    calls: tuple[Call, ...]
    alignments: dict[int, Alignment | None] = field(default_factory=dict)

    @classmethod
    def of(cls, matches: Matches, calls: tuple[Call, ...]) -> "GraphTensors":
        """By the products that were matched."""
        names: dict[int, str] = {}
        for match in matches.found:
            if match.call.site is not None:
                names.setdefault(match.call.site, match.site.inputs)
        return cls(names, calls)

    def align(self, exact: GraphSession, reference: WatchedReference, feed: Feed, batch: TokenBatch) -> None:
        """Find out how the tensors become comparable.

        Args:
            exact: of the graph with the tensors as outputs behind its own, and its products exact. With the errors of products, a
                tensor may seem closer with a constant added that is in it already.
        """
        expected = reference.answer(batch)
        _, found = exact.answer(feed(batch))
        tokens = batch.attention_mask.astype(bool)
        for site, name in self.names.items():
            tensor = np.asarray(found[name], np.float32)
            self.alignments[site] = align(tensor, expected.sites[site], tokens, self._offsets(site))

    def compare(self, site: int, found: NDArray[Any], reference: Activations) -> Activations | None:
        """The graph's tensor in the shape of the reference's; None where it is another."""
        alignment = self.alignments[site]
        return None if alignment is None else alignment.apply(np.asarray(found, np.float32), reference)

    def _offsets(self, site: int) -> Iterable[NDArray[np.float32]]:
        """Biases of earlier products of the same module: a graph may add a value's bias behind attention."""
        module = next(call.module for call in self.calls if call.site == site)
        return [call.bias for call in self.calls if call.module == module and call.bias is not None]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a pass over the corpus found.

    Args:
        reference, backend: logits, float32, (rows, labels).
        sites: by site of the reference.
    """

    reference: Logits
    backend: Logits
    sites: dict[int, SiteStatistics]


def inspect(
    reference: WatchedReference,
    session: GraphSession,
    tensors: GraphTensors,
    feed: Feed,
    batches: Iterable[TokenBatch],
    name: str,
) -> Inspection:
    """Ask both sides, batch by batch; nothing of a batch is kept but sums.

    Args:
        session: of the graph with the tensors as outputs behind its own.
        name: the backend's, for messages.

    Raises:
        NonFiniteLogitsError: NaN or infinity.
    """
    sites: dict[int, SiteStatistics] = defaultdict(SiteStatistics)
    ours: list[tuple[tuple[int, ...], Logits]] = []
    theirs: list[tuple[tuple[int, ...], Logits]] = []
    for batch in batches:
        expected = reference.answer(batch)
        logits, found = session.answer(feed(batch))
        theirs.append((batch.rows, expected.logits))
        ours.append((batch.rows, Logits(logits.astype(np.float32))))
        for site, activations in enumerate(expected.sites):
            tokens = batch.attention_mask.astype(bool)
            sites[site].see(activations, tokens)
            _add_deviation(sites[site], tensors, site, found, activations, tokens)
    return Inspection(gather_rows("reference", theirs), gather_rows(name, ours), dict(sites))


def _add_deviation(
    statistics: SiteStatistics,
    tensors: GraphTensors,
    site: int,
    found: dict[str, NDArray[Any]],
    reference: Activations,
    tokens: NDArray[np.bool_],
) -> None:
    if site not in tensors.names:
        return
    compared = tensors.compare(site, found[tensors.names[site]], reference)
    if compared is not None:
        added = Deviation.of(compared, reference, tokens)
        statistics.deviation = added if statistics.deviation is None else statistics.deviation + added


def keep_sites(answers: Answers, sites: Sequence[int]) -> dict[int, Activations]:
    """Activations at these sites only: all of a sample's would fill the memory."""
    return {site: answers.sites[site] for site in sites}
