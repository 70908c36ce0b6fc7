"""A backend's graph beside the reference: its products matched, its activations comparable; and one pass over the corpus."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.errors import OptionError
from driftgate.explain.alignment import Activations, Alignment, Deviation, align, real_tokens
from driftgate.explain.matching import Match, make_exact, match_products
from driftgate.explain.reference_calls import WatchedReference
from driftgate.explain.sessions import GraphSession
from driftgate.inputs.batches import TokenBatch
from driftgate.onnx_graph.graph_variants import with_outputs
from driftgate.pipeline import OpenBackends, describe_head
from driftgate.run.backend import gather_rows
from driftgate.run.onnx_backend import OnnxBackend
from driftgate.run.torch_backend import open_reference

Announce = Callable[[str], None]


class Subject:
    """A backend's graph and the reference, whose products are matched.

    Attributes:
        name: the backend's. `artifact`: its file.
        model: onnx.ModelProto with its weights in memory. `feed`: what it takes of a batch.
        tensors: where the graph has what goes into the reference's products: the tensor's name, by site.

    Raises:
        OptionError: a backend without a graph.
    """

    def __init__(
        self, backends: OpenBackends, spec: BackendSpec, example: TokenBatch, announce: Announce = lambda _: None
    ) -> None:
        import onnx

        backend, artifact = backends.open(spec), backends.built(spec).artifact
        if artifact is None or not isinstance(backend, OnnxBackend):
            raise OptionError(
                f"{spec.name}: there is no ONNX graph to explain; choose a backend that is a file, such as onnx-int8"
            )
        self.name = spec.name
        self.artifact = artifact
        self.feed = backend.feed
        self.head = describe_head(backends.encoder)
        self.reference = WatchedReference(open_reference(backends.encoder, backends.settings), example)
        self.model = onnx.load(artifact.model)
        announce(f"{spec.name}: matching its products with the encoder's")
        self.matches = match_products(self.model, self.reference.calls)
        self.tensors: dict[int, str] = {}
        for match in self.matches.found:
            if match.call.site is not None:
                self.tensors.setdefault(match.call.site, match.site.inputs)
        self._threads = backends.settings.threads
        self._alignments: dict[int, Alignment | None] = {}

    def open(self, exact: Collection[Match], sites: Iterable[int]) -> GraphSession:
        """A session of the graph with these products exact, and the tensors of these sites as outputs behind its own."""
        variant = with_outputs(make_exact(self.model, exact), [self.tensors[site] for site in sites])
        return GraphSession(variant, self._threads, self.name)

    def align(self, batch: TokenBatch) -> None:
        """Find out how the graph's tensors become comparable.

        Every product is exact for that: with the errors of products, a tensor may seem closer with a constant added that is in
        it already.
        """
        expected = self.reference.answer(batch)
        _, found = self.open(self.matches.found, self.tensors).answer(self.feed(batch))
        tokens = batch.attention_mask.astype(bool)
        for site, name in self.tensors.items():
            tensor = np.asarray(found[name], np.float32)
            self._alignments[site] = align(tensor, expected.sites[site], tokens, self._offsets(site))

    def compare(self, site: int, found: Mapping[str, NDArray[Any]], reference: Activations) -> Activations | None:
        """The graph's tensor in the shape of the reference's; None where there is none, or none of that shape."""
        alignment = self._alignments.get(site)
        if alignment is None:
            return None
        return alignment.apply(np.asarray(found[self.tensors[site]], np.float32), reference)

    def _offsets(self, site: int) -> Iterable[NDArray[np.float32]]:
        """Biases of earlier products of the same module: a graph may add a value's bias behind attention."""
        calls = self.reference.calls
        module = next(call.module for call in calls if call.site == site)
        return [call.bias for call in calls if call.module == module and call.bias is not None]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a pass over the corpus found.

    Args:
        reference, backend: logits, float32, (rows, labels).
        deviations: of the graph's activations from the reference's, over all real tokens, by site that the graph has too.
        peaks: of the reference, the largest magnitude of each channel, float32, (width,), by site.
    """

    reference: Logits
    backend: Logits
    deviations: Mapping[int, Deviation]
    peaks: Mapping[int, NDArray[np.float32]]


def inspect(subject: Subject, batches: Iterable[TokenBatch]) -> Inspection:
    """Ask both sides, batch by batch; nothing of a batch is kept but sums.

    Raises:
        NonFiniteLogitsError: NaN or infinity.
    """
    session = subject.open((), subject.tensors)
    deviations: dict[int, Deviation] = {}
    peaks: dict[int, NDArray[np.float32]] = {}
    ours: list[tuple[tuple[int, ...], Logits]] = []
    theirs: list[tuple[tuple[int, ...], Logits]] = []
    for batch in batches:
        expected = subject.reference.answer(batch)
        logits, found = session.answer(subject.feed(batch))
        theirs.append((batch.rows, expected.logits))
        ours.append((batch.rows, logits))
        tokens = batch.attention_mask.astype(bool)
        for site, activations in enumerate(expected.sites):
            largest = np.abs(real_tokens(activations, tokens)).max(axis=0).astype(np.float32)
            peaks[site] = np.maximum(peaks.get(site, largest), largest)
            compared = subject.compare(site, found, activations)
            if compared is not None:
                deviations[site] = deviations.get(site, Deviation()) + Deviation.of(compared, activations, tokens)
    return Inspection(gather_rows("reference", theirs), gather_rows(subject.name, ours), deviations, peaks)
