"""All facts of a machine and a model, and the findings in them. What cannot be read is said, and does not stop the rest."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from driftgate.doctor.checks.check_graph import check_graphs
from driftgate.doctor.checks.check_machine import check_machine
from driftgate.doctor.checks.check_software import check_software
from driftgate.doctor.checks.check_source import check_sources
from driftgate.doctor.checks.check_storage import check_storage
from driftgate.doctor.facts import Asked, Facts, Unread
from driftgate.doctor.find_targets import Target, find_targets
from driftgate.doctor.findings import Finding, Severity
from driftgate.doctor.model_facts import Graph
from driftgate.doctor.read_machine import read_cores, read_noise, read_processor
from driftgate.doctor.read_runtime import CPU, CUDA, read_runtime, read_session
from driftgate.doctor.read_software import read_software
from driftgate.doctor.read_storage import read_hub, read_storage
from driftgate.pipeline import choose_backends

Announce = Callable[[str], None]
Fact = TypeVar("Fact")


def collect_facts(
    asked: Asked,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Facts:
    """Read everything.

    Args:
        asked: what the user wants to run.
        revision: of a hub id. `allow_pickle`: pickled weights may be loaded.
        announce: told what is being looked at.

    Raises:
        DriftgateError: `asked.model` is nowhere, or there is no such backend. Nothing else stops it.
    """
    if asked.model is None and asked.backend is not None:
        choose_backends(asked.backend)
    read = _Reading(announce)
    machine = Facts(
        asked,
        processor=read.attempt("processor", read_processor),
        cores=read.attempt("cores", read_cores),
        noise=read.attempt("noise", read_noise),
        software=read.attempt("software", read_software),
        runtime=read.attempt("ONNX Runtime", lambda: read_runtime(asked)),
        storage=read.attempt("storage", read_storage),
        hub=read.attempt("hub", read_hub),
    )
    if asked.model is None:
        return replace(machine, unread=tuple(read.unread))
    announce("model")
    targets = find_targets(asked, revision=revision, allow_pickle=allow_pickle, announce=announce)
    on_cuda = asked.on_cuda and machine.runtime is not None and machine.runtime.given == CUDA
    provider = None if machine.runtime is None else CUDA if on_cuda else CPU
    sources = {target.folder: read.attempt(f"files in {target.folder}", target.read_source) for target in targets}
    graphs = [graph for target in targets if (graph := _read_graph(read, target, provider)) is not None]
    found = tuple(source for source in sources.values() if source is not None)
    return replace(machine, sources=found, graphs=tuple(graphs), unread=tuple(read.unread))


def _read_graph(read: "_Reading", target: Target, provider: str | None) -> Graph | None:
    """The target's graph, loaded into a session where there is an ONNX Runtime."""
    model = target.model
    if model is None:
        return None
    graph = read.attempt(f"graph of {target.name}", lambda: target.read_graph(model))
    if graph is None or provider is None:
        return graph
    session = read.attempt(f"session of {target.name}", lambda: read_session(model, provider))
    return replace(graph, session=session)


class _Reading:
    """Reads facts one by one, and keeps why some could not be read."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self.unread: list[Unread] = []

    def attempt(self, fact: str, read: Callable[[], Fact]) -> Fact | None:
        self._announce(fact)
        try:
            return read()
        except Exception as error:  # noqa: BLE001 - a doctor must not fall ill of what it looks for
            self.unread.append(Unread(fact, f"{type(error).__name__}: {error}"))
            return None


_CHECKS = (check_graphs, check_sources, check_software, check_machine, check_storage)
_ORDER = {severity: place for place, severity in enumerate(Severity)}


def examine(facts: Facts) -> list[Finding]:
    """Everything that is to be said about `facts`, the worst first."""
    found = [finding for check in _CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])
