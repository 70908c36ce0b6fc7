"""Fixtures of what is checked of a backend's files: its graph, its integer products, and what a published model ships with."""

import pytest

from driftgate.backends import BackendSpec
from driftgate.builder.published import find_published_model, is_checkpoint
from driftgate.inputs.batches import pad_rows, spread_sample
from driftgate.onnx_graph.graph_facts import GraphFacts, read_encoder_shape, read_graph_facts
from driftgate.pipeline import Built
from driftgate.plugin.lock import HeldLock
from driftgate.plugin.options import reported
from driftgate.plugin.session import DriftgateSession
from driftgate.run.backend import Backend
from driftgate.run.integer_products import IntegerProducts, check_integer_products
from driftgate.run.onnx_backend import OnnxBackend
from driftgate.verify.shipped import Shipped, compare_shipped


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
        driftgate.said.append(f"graph lock: what has changed since it was written: {', '.join(lock.causes)}")
    return lock


ROWS = 4


@pytest.fixture(scope="session")
def integer_products(driftgate: DriftgateSession, built: Built, backend: Backend) -> IntegerProducts:
    """A backend's integer products on a few rows of the corpus, against exact ones; a backend without any is skipped."""
    name = built.spec.name
    if built.artifact is None or not isinstance(backend, OnnxBackend) or not built.spec.precision.startswith("int8"):
        pytest.skip(f"{name} computes no products of integers")
    if driftgate.options.settings.device.kind != "cpu":
        pytest.skip(
            f"{name}: what is checked is the processor's kernels, and it runs on {driftgate.options.settings.device}"
        )
    with reported():
        tokens = driftgate.tokens(driftgate.corpus)
        few = tokens.take(spread_sample(tokens, ROWS))
        batch = pad_rows(few, range(len(few)))
        found = check_integer_products(built.artifact.model, backend.feed(batch), driftgate.options.settings)
    if found is None:
        pytest.skip(
            f"{name}: its file has no MatMulInteger with a constant weight to compute again; static INT8 has products of floats, "
            "which ONNX Runtime makes integer ones when it loads them"
        )
    driftgate.results.of(name).integer_products = found
    return found


@pytest.fixture(scope="session")
def shipped(driftgate: DriftgateSession, backend_spec: BackendSpec) -> Shipped:
    """What ships with a published model, compared with the encoder; a backend that was not published is skipped."""
    if backend_spec.published is None:
        pytest.skip(f"{backend_spec.name} was not published: nothing ships with it yet")
    if is_checkpoint(backend_spec.published):
        pytest.skip(
            f"{backend_spec.name} is another checkpoint, whose labels and tokenizer are compared when it is opened"
        )
    with reported():
        found = compare_shipped(find_published_model(backend_spec), driftgate.encoder, driftgate.corpus)
    driftgate.results.of(backend_spec.name).shipped = found
    return found
