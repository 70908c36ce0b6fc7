"""A model with golden vectors, and the command that verifies it."""

from functools import partial
from pathlib import Path

import pytest
from command_line import run_driftgate
from verified_models import (
    FEED,
    Command,
    save_encoder,
)

from driftgate.builder.vectors import write_vectors


@pytest.fixture
def verify() -> Command:
    """Run `driftgate verify` in this process, on one thread."""
    return partial(run_driftgate, "verify", "--threads", 1, columns=240)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A base encoder with one golden vector."""
    path = save_encoder(tmp_path / "zoo/base-11/base-11.onnx")
    write_vectors(path.parent, path, [FEED])
    return path
