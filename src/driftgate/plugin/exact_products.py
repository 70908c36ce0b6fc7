"""The fixture of the test of integer products."""

import pytest

from driftgate.inputs.batches import pad_rows, spread_sample
from driftgate.pipeline import Built
from driftgate.plugin.session import DriftgateSession, reported
from driftgate.run.backend import Backend
from driftgate.run.integer_products import IntegerProducts, check_integer_products
from driftgate.run.onnx_backend import OnnxBackend

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
