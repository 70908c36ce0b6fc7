"""The fixtures of the graph tests."""

import pytest

from driftgate.backends import BackendSpec
from driftgate.onnx_graph.graph_facts import GraphFacts, read_encoder_shape, read_graph_facts
from driftgate.plugin.lock import HeldLock
from driftgate.plugin.session import DriftgateSession, reported


@pytest.fixture(scope="session")
def graph_facts(driftgate: DriftgateSession, backend_spec: BackendSpec) -> GraphFacts:
    """What the backend's ONNX graph is; a backend without one is skipped, and not loaded for it."""
    without = f"{backend_spec.name} runs no ONNX graph"
    if not (backend_spec.steps or backend_spec.published):
        pytest.skip(without)
    with reported():
        built = driftgate.built(backend_spec)
        if built.artifact is None:  # another checkpoint
            pytest.skip(without)
        facts = read_graph_facts(built.artifact.model, read_encoder_shape(built.encoder))
    driftgate.results.of(built.spec.name).graph = facts
    return facts


@pytest.fixture(scope="session")
def graph_lock(driftgate: DriftgateSession) -> HeldLock:
    """The lock of `--graph-lock`; without one, its tests are not collected."""
    with reported():
        lock = driftgate.graph_lock
    if lock is None:
        pytest.skip("no graph lock to hold graphs to; name one with --graph-lock")
    if lock.causes and not lock.update:
        driftgate.said.append(f"graph lock: since it was written changed: {', '.join(lock.causes)}")
    return lock
