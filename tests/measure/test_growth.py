"""Memory growth: what is a leak, and what is not."""

from pathlib import Path

import pytest
from nested_pytest import copy_suite, read_results, run_pytest

from driftgate.measure.leak import memory_growth

MB = 1_000_000
BACKEND = '''
"""A runtime of someone's own that keeps {kept} bytes of every run."""

import numpy as np

from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.run.backend import InForce

KEPT = []


class Mine:
    in_force = InForce("CPU", "float32", 1)

    def __init__(self, encoder, spec):
        self.labels, self.spec = len(encoder.labels), spec

    def prepare(self, batch):
        def run():
            KEPT.append(bytes({kept}))
            return np.zeros((len(batch.input_ids), self.labels), dtype=np.float32)

        return run


def open_mine(encoder, artifact, settings):
    return Mine(encoder, SPEC)


SPEC = BackendSpec("mine", Precision.FP32, Runtime.TORCH, open_with=open_mine)


def pytest_driftgate_backends(config):
    return [SPEC]
'''


def test_memory_that_grows_by_a_few_hundred_kilobytes_a_cycle_is_a_leak() -> None:
    growth = memory_growth([500 * MB + cycle * 300_000 for cycle in range(30)], runs_per_cycle=50)
    assert growth.bytes_per_thousand_runs == pytest.approx(6 * MB)
    assert growth.total_bytes == 29 * 300_000


def test_an_allocator_that_grows_once_at_the_start_is_no_leak() -> None:
    assert memory_growth([500 * MB] * 3 + [520 * MB] * 27, runs_per_cycle=50).bytes_per_thousand_runs == 0


@pytest.mark.parametrize("resident", [[MB] * 7, [MB] * 8 + [0]], ids=["too-few-cycles", "not-told"])
def test_growth_of_too_few_or_unknown_readings_is_refused(resident: list[int]) -> None:
    with pytest.raises(ValueError, match="at least 8 cycles"):
        memory_growth(resident, runs_per_cycle=50)


@pytest.mark.slow
@pytest.mark.parametrize(("kept", "code"), [(0, 0), (8192, 1)])
def test_a_session_that_keeps_something_of_every_run_fails(
    tiny_encoder: Path, tmp_path: Path, kept: int, code: int
) -> None:
    copy_suite(tmp_path, "benchmarks", "test_throughput.py")
    (tmp_path / "conftest.py").write_text(BACKEND.replace("{kept}", str(kept)), encoding="utf-8")
    command = ["benchmarks", "-m", "leak", "--backends=mine", f"--encoder={tiny_encoder}", "-p", "no:cacheprovider"]
    found, output = run_pytest(tmp_path, command, tmp_path / "cache")
    assert found == code, output
    leak = read_results(tmp_path)["backends"]["mine"]["leak"]
    assert leak["bytes_per_thousand_runs"] == pytest.approx(1000 * kept, rel=0.1, abs=0.2 * MB)
    assert ("leaked_bytes_per_thousand_runs" in output) is bool(code)
