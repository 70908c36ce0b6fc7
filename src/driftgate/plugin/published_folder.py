"""The fixture of the test of what lies beside a published model."""

import pytest

from driftgate.backends import BackendSpec
from driftgate.builder.published import find_published_model, is_checkpoint
from driftgate.plugin.session import DriftgateSession, reported
from driftgate.verify.shipped import Shipped, compare_shipped


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
