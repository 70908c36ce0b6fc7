"""Folders that were published."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from publishing import (
    CORPUS,
    FP16,
    FP32,
    INT8,
    ONE_THREAD,
)
from untimed import made_up_speed

from driftgate.assessor import find_bounds
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.publish import acceptance as trial_module
from driftgate.publish import publication as publish_module
from driftgate.publish.acceptance import Trial
from driftgate.publish.layout import Layout
from driftgate.publish.publication import publish


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Only float32 is held to its bounds: random weights decide by a hair."""
    bounds = {
        key: replace(bound, limit=math.inf) if not key[0].startswith("fp32") else bound
        for key, bound in find_bounds(None)[-1].items()
    }
    return Trial(CORPUS, [bounds], ONE_THREAD)


@pytest.fixture(scope="module")
def module_cache(shared_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        yield


@pytest.fixture(scope="module")
def single(encoder: Encoder, trial: Trial, module_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One backend in a folder, not timed."""
    out = tmp_path_factory.mktemp("published") / "single"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_module, "measure_speed", made_up_speed)
        publish(encoder, [INT8], out, trial)
    return out


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_module, "measure_speed", made_up_speed)


@pytest.fixture(scope="module")
def hub(encoder: Encoder, trial: Trial, module_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three backends in hub layout, really timed, on a few texts."""
    out = tmp_path_factory.mktemp("published") / "hub"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_module, "_SPEED_ROWS", 4)
        publish(encoder, [FP32, FP16, INT8], out, trial, layout=Layout.HUB)
    return out
