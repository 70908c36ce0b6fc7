"""The speed gate on the clock of this machine: `-m gate_live`, a few minutes, on one thread."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from nested_pytest import copy_suite, gate_verdicts, run_pytest
from onnx import TensorProto, helper, numpy_helper

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.encoder import load_encoder

REPOSITORY = Path(__file__).parents[2]
ENCODER = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"

pytestmark = pytest.mark.gate_live


def add_work(source: Path, target: Path, share: float) -> None:
    """Write a graph that answers the same after about `share` more floating point work.

    The extra products read what the largest weights read, and are added to the logits times zero.
    """
    model = onnx.load(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    cost = {node.name: int(np.prod(weights[node.input[1]].dims)) for node in products}
    largest = [node for node in products if cost[node.name] == max(cost.values())]
    wanted, done, sums = share * sum(cost.values()), 0, []
    generator = np.random.default_rng(0)
    while done < wanted:
        node, name = largest[len(sums) % len(largest)], f"extra_{len(sums)}"
        rows, columns = weights[node.input[1]].dims
        columns = min(columns, max(1, round((wanted - done) / rows)))
        weight = generator.standard_normal((rows, columns)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weight, f"{name}_weight"))
        graph.node.append(helper.make_node("MatMul", [node.input[0], f"{name}_weight"], [name]))
        graph.node.append(helper.make_node("ReduceMax", [name], [f"{name}_max"], keepdims=0))
        sums.append(f"{name}_max")
        done += rows * columns
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = [f"{name}_plain" if name == output else name for name in node.output]
    graph.initializer.append(helper.make_tensor("extra_zero", TensorProto.FLOAT, [], [0.0]))
    graph.node.append(helper.make_node("Sum", sums, ["extra_sum"]))
    graph.node.append(helper.make_node("Mul", ["extra_sum", "extra_zero"], ["extra_nothing"]))
    graph.node.append(helper.make_node("Add", [f"{output}_plain", "extra_nothing"], [output]))
    onnx.save(model, target)


Gate = Callable[[Path, Path], tuple[int, dict[str, str], str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_artifact(load_encoder(ENCODER), REGISTRY["onnx-fp32"]).model


@pytest.fixture
def gate(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Gate:
    """`gate(baseline, candidate)`: the exit code, the verdicts by cell, and what was printed."""
    copy_suite(tmp_path, "benchmarks", "test_gate.py", "test_throughput.py")

    def run(baseline: Path, candidate: Path) -> tuple[int, dict[str, str], str]:
        common = [
            f"--encoder={ENCODER}",
            "--driftgate-batch-sizes=1,8",
            "--driftgate-threads=1",
            "-p",
            "no:cacheprovider",
        ]
        cache = tmp_path_factory.getbasetemp() / "live-cache"
        code, output = run_pytest(
            tmp_path, ["benchmarks", f"--backends=mine:fp32={baseline}", "--gate-accept", "-k", "size", *common], cache
        )
        assert code == 0, output
        gated = ["benchmarks/test_gate.py", f"--backends=mine:fp32={candidate}", "--gate", "--gate-measure-identical"]
        code, output = run_pytest(tmp_path, [*gated, *common], cache)
        return code, gate_verdicts(tmp_path), output

    return run


def test_an_artifact_is_as_fast_as_itself(gate: Gate, model: Path) -> None:
    code, verdicts, output = gate(model, model)
    print(output)  # noqa: T201 - pytest -rP shows the estimates
    assert (code, set(verdicts.values())) == (0, {"PASS"}), output


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_more_work_in_the_graph_is_a_regression(gate: Gate, model: Path, tmp_path: Path, share: float) -> None:
    (tmp_path / "slower").mkdir()
    slower = tmp_path / "slower" / model.name
    add_work(model, slower, share)
    code, verdicts, output = gate(model, slower)
    print(output)  # noqa: T201 - pytest -rP shows the estimates
    assert (code, set(verdicts.values())) == (1, {"REGRESSION"}), output
