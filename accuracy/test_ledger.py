"""Which build step costs what? The file after each step, asked on its own. Collected with `--ledger` only."""

from dataclasses import asdict

import numpy as np
import pytest

from driftgate.backends import Guarantee, Invariance

BEFORE_THE_BUILD = ["torch float64", "torch float32"]


def test_every_build_step_is_in_the_ledger(ledger, backend_spec):
    """From float64 to the finished file no stage is missing, and each has a file and answers that are finite."""
    steps = [step if isinstance(step, str) else step.name for step in backend_spec.steps]
    assert [stage.name for stage in ledger.stages] == [*BEFORE_THE_BUILD, *steps]
    for stage in ledger.stages[len(BEFORE_THE_BUILD) :]:
        assert stage.size_bytes > 0
        assert np.isfinite(list(asdict(stage.drift).values())).all()


def test_the_last_stage_is_the_backend(ledger, backend_spec, predictions):
    """The file after the last step, loaded again, answers every text with the same bits as the backend."""
    if backend_spec.guarantee(Invariance.REPEAT) is not Guarantee.EXACT:
        pytest.skip(f"{backend_spec.name} does not promise the same bits twice")
    assert np.array_equal(ledger.logits, predictions.logits)
