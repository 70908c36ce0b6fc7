"""How fast is every backend? Each test is one cell: backend x batch plan, on a fixed sample of comments."""

import pytest

from driftgate.backends import Runtime


def test_throughput(benchmark, cell):
    """Texts a second; every run of a cell gives the same answers."""
    cell.time(benchmark)


def test_ratio_to_torch(side_by_side, gate_all):
    """Speed relative to torch, measured side by side in one run; even the best block below its bound is a collapse."""
    gate_all({name: {"best_ratio_to_torch": ratio.high} for name, ratio in side_by_side.ratios.items()})


@pytest.mark.cold_start
def test_cold_start(fresh_process):
    """From files on disk to the first answer, in a process of its own."""
    assert 0 < fresh_process.load_seconds <= fresh_process.first_answer_seconds


@pytest.mark.memory
def test_peak_memory(fresh_process):
    """Largest resident memory of a process that answers the sample, beside what it held before the backend was loaded."""
    assert fresh_process.peak_bytes >= fresh_process.baseline_bytes


@pytest.mark.leak
def test_memory_does_not_grow(growth, gate):
    """Resident memory over many shapes, again and again, after a warm-up, in a process of its own."""
    gate({"leaked_bytes_per_thousand_runs": growth.bytes_per_thousand_runs})


def test_artifact_size(built, results):
    """Bytes on disk of what has to be shipped."""
    about = results.of(built.spec.name).about
    assert about.size_bytes > 0
    if built.spec.runtime is Runtime.ONNXRUNTIME and built.artifact is not None:
        assert about.size_bytes == built.artifact.size_bytes


def test_weights_are_as_small_as_their_class_says(graph_facts, gate):
    """Constants of the graph relative to the encoder's own parameters in float32: what was stored twice or not converted."""
    if graph_facts.bytes_to_parameters is None:
        pytest.skip("the encoder's weights are pickled: their number is unknown without loading them")
    gate({"bytes_to_float32_parameters": graph_facts.bytes_to_parameters})
