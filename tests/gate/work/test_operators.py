"""The formulas of the counted work, each against numbers worked out by hand, on graphs of one node that ONNX Runtime runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from small_graphs import Graph, floats, integers, node, own

from driftgate.gate.work.kernels import Kernel, Tensor
from driftgate.gate.work.operators import Cost, cost_of

F, I32, U8 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.UINT8
X, MASK = {"x": floats(2, 5, 8)}, {"mask": np.ones((2, 5), np.int32)}
QKV = {"q": floats(2, 5, 8), "k": floats(2, 6, 8), "v": floats(2, 6, 8)}
SCALES = {"s": np.float32(0.1), "z": np.uint8(3), "t": np.float32(0.2), "n": np.int8(0)}
QUERIES = 2 * 5 * 6 * 8  # each of (2, 5) queries of 8 with each of 6 keys; the values come to as much
ATTENTION = 2 * 5 * 8 * 24 + 2 * (2 * 5 * 5 * 8)  # projected to queries, keys and values of 8, scored, mixed

PRODUCTS = {
    "MatMul": (Graph([node("MatMul", "x w")], X, {"w": floats(8, 3)}), 2 * 5 * 8 * 3),
    "MatMul of a vector": (Graph([node("MatMul", "x w")], X, {"w": floats(8)}), 2 * 5 * 8),
    "Gemm": (Graph([node("Gemm", "a w b", transB=1)], {"a": floats(2, 8)}, {"w": floats(3, 8), "b": floats(3)}), 48),
    "FusedGemm": (
        Graph([node("Gemm", "a w", "h", transA=1), node("Relu", "h")], {"a": floats(8, 2)}, {"w": floats(8, 3)}),
        48,
    ),
    "FusedMatMul": (
        Graph([own("FusedMatMul", "a b", transA=1)], {"a": floats(2, 8, 5), "b": floats(2, 8, 3)}),
        2 * 5 * 8 * 3,
    ),
    "FusedMatMul of a repeated weight": (
        Graph([own("FusedMatMul", "x w", transB=1)], X, {"w": floats(3, 8)}),
        2 * 5 * 8 * 3,
    ),
    "FusedMatMul with turned batch axes": (  # as many rows as columns: the last two axes of the factors tell nothing
        Graph(
            [own("FusedMatMul", "a b", transBatchA=1, transB=1, transBatchB=1)],
            {"a": floats(7, 2, 8), "b": floats(7, 2, 8)},
        ),
        2 * 7 * 7 * 8,
    ),
    "MatMulInteger": (
        Graph([node("MatMulInteger", "a w")], {"a": integers(2, 8)}, {"w": integers(8, 3)}, {"y": I32}),
        48,
    ),
    "MatMulIntegerToFloat": (
        Graph(
            [own("MatMulIntegerToFloat", "a w s t z")],
            {"a": integers(2, 8)},
            {"w": integers(8, 3), "s": SCALES["s"], "t": SCALES["t"], "z": SCALES["z"]},
        ),
        48,
    ),
    "DynamicQuantizeMatMul": (
        Graph([own("DynamicQuantizeMatMul", "x w s z")], X, {"w": integers(8, 3), "s": SCALES["s"], "z": SCALES["z"]}),
        2 * 5 * 8 * 3,
    ),
    "QLinearMatMul": (
        Graph(
            [node("QLinearMatMul", "a s z w t z s z")],
            {"a": integers(2, 8)},
            {"w": integers(8, 3), "s": SCALES["s"], "t": SCALES["t"], "z": SCALES["z"]},
            {"y": U8},
        ),
        48,
    ),
    "QGemm": (
        Graph([own("QGemm", "a s z w t n")], {"a": integers(2, 8)}, {"w": integers(8, 3, kind=np.int8), **SCALES}),
        48,
    ),
    "MatMulNBits": (
        Graph(
            [own("MatMulNBits", "a w s", K=32, N=6, bits=4, block_size=32)],
            {"a": floats(2, 32)},
            {"w": integers(6, 1, 16), "s": floats(6, 1)},
        ),
        2 * 32 * 6,
    ),
    "MatMulBnb4": (
        Graph(
            [own("MatMulBnb4", "a w s", K=32, N=6, block_size=64, quant_type=1)],
            {"a": floats(2, 32)},
            {"w": integers(96), "s": floats(3)},
        ),
        2 * 32 * 6,
    ),
    "Conv": (Graph([node("Conv", "x w")], {"x": floats(2, 8, 7)}, {"w": floats(4, 8, 3)}), (2 * 4 * 5) * (8 * 3)),
    "FusedConv": (
        Graph([node("Conv", "x w", "h", group=4), node("Relu", "h")], {"x": floats(2, 8, 7)}, {"w": floats(4, 2, 3)}),
        (2 * 4 * 5) * (2 * 3),
    ),
    "ConvTranspose": (
        Graph([node("ConvTranspose", "x w")], {"x": floats(2, 8, 7)}, {"w": floats(8, 4, 3)}),
        (2 * 8 * 7) * (4 * 3),
    ),
    "ConvInteger": (
        Graph([node("ConvInteger", "x w")], {"x": integers(1, 1, 5, 5)}, {"w": integers(1, 1, 3, 3)}, {"y": I32}),
        9 * 9,
    ),
    "QLinearConv": (
        Graph(
            [node("QLinearConv", "x s z w t z s z")],
            {"x": integers(1, 2, 5, 5)},
            {"w": integers(3, 2, 3, 3), "s": SCALES["s"], "t": SCALES["t"], "z": SCALES["z"]},
            {"y": U8},
        ),
        (3 * 3 * 3) * (2 * 3 * 3),
    ),
    "Attention": (
        Graph([own("Attention", "x w b mask", num_heads=2)], X | MASK, {"w": floats(8, 24), "b": floats(24)}),
        ATTENTION,
    ),
    "QAttention": (
        Graph(
            [own("QAttention", "x w b s t mask z n", num_heads=2)],
            {"x": integers(2, 5, 8)} | MASK,
            {"w": integers(8, 24, kind=np.int8), "b": floats(24), **SCALES},
        ),
        ATTENTION,
    ),
    "MultiHeadAttention": (
        Graph([own("MultiHeadAttention", "q k v - - bias", num_heads=2)], QKV | {"bias": floats(2, 1, 5, 6)}),
        2 * QUERIES,
    ),
    "Attention of ONNX": (
        Graph([node("Attention", "q k v", q_num_heads=2, kv_num_heads=2)], QKV, opset=23),
        2 * QUERIES,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_counted_as_by_hand_and_their_bytes_are_all_that_is_read_and_written(
    name: str, tmp_path: Path
) -> None:
    graph, multiply_adds = PRODUCTS[name]
    kernels = graph.run(tmp_path)
    (kernel,) = [kernel for kernel in kernels if kernel.operator == name.partition(" ")[0]]
    cost = cost_of(kernel)
    assert cost is not None
    assert cost.multiply_adds == multiply_adds
    if len(kernels) == 1:
        used = {value for value in graph.nodes[0].input if value}
        constants = [
            np.asarray(graph.constants[name]).nbytes for name in graph.nodes[0].input if name in graph.constants
        ]
        fed = [value.nbytes for name, value in graph.feed.items() if name in used]
        assert kernel.bytes_read == sum(constants) + sum(fed), "a weight that the session packed away is not told"
        assert cost.bytes_moved == kernel.bytes_read + kernel.bytes_written


@pytest.mark.parametrize(
    ("graph", "moved"),
    [
        # (2, 8) and (8,) read, (2, 8) written, four bytes each
        (Graph([node("Add", "x w")], {"x": floats(2, 8)}, {"w": floats(8)}), 4 * (16 + 8 + 16)),
        (Graph([node("Softmax", "x")], {"x": floats(2, 8)}), 4 * (16 + 16)),
        (Graph([node("Transpose", "x")], {"x": floats(2, 8)}), 4 * (16 + 16)),
        (Graph([node("Reshape", "x s")], {"x": floats(2, 8)}, {"s": np.array([4, 4])}), 0),
        (Graph([node("Shape", "x")], {"x": floats(2, 8)}, outputs={"y": TensorProto.INT64}), 2 * 8),
        # three rows of four out of a hundred, read and written, and three indices of eight bytes
        (Graph([node("Gather", "w i")], {"i": integers(3, kind=np.int64)}, {"w": floats(100, 4)}), 2 * 3 * 4 * 4 + 24),
        # ten elements, and four bounds, axes and steps of eight bytes
        (
            Graph(
                [node("Slice", "x a b c d")],
                {"x": floats(2, 8)},
                {"a": np.array([0]), "b": np.array([5]), "c": np.array([1]), "d": np.array([1])},
            ),
            2 * 10 * 4 + 4 * 8,
        ),
        # ids and segments of four bytes, three tables of eight columns, scale and shift, what is written, mask lengths
        (
            Graph(
                [own("EmbedLayerNormalization", "ids segments words positions kinds gamma beta", "y m")],
                {"ids": np.ones((2, 5), np.int32), "segments": np.zeros((2, 5), np.int32)},
                {"words": floats(99, 8), "positions": floats(9, 8), "kinds": floats(2, 8), "gamma": floats(8),
                 "beta": floats(8)},
                {"y": F, "m": I32},
            ),
            2 * 40 + 3 * 10 * 8 * 4 + 2 * 8 * 4 + 10 * 8 * 4 + 2 * 4,
        ),
    ],
    ids=["Add", "Softmax", "Transpose", "Reshape", "Shape", "Gather", "Slice", "EmbedLayerNormalization"],
)  # fmt: skip
def test_other_nodes_move_bytes_and_multiply_no_matrices(graph: Graph, moved: int, tmp_path: Path) -> None:
    (kernel,) = graph.run(tmp_path)
    assert cost_of(kernel) == Cost(0, moved)


def test_the_nodes_of_a_loop_are_counted_as_often_as_they_run(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("go", TensorProto.BOOL), ("h", F))]
    body = helper.make_graph(
        [node("MatMul", "state w", "h"), node("Identity", "again", "go")],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", F, None),
        ],
        values,
    )
    loop = Graph([node("Loop", "n - x", body=body)], {"x": floats(2, 8)}, {"w": floats(8, 8), "n": np.array(3)})
    costs = [(kernel.operator, cost_of(kernel)) for kernel in loop.run(tmp_path)]
    assert [cost for operator, cost in costs if operator == "MatMul"] == [Cost(2 * 8 * 8, 4 * (16 + 64 + 16))] * 3
    assert ("Loop", Cost(0, 0)) in costs


def test_an_einsum_is_counted_where_its_equation_is_known(tmp_path: Path) -> None:
    factors = {"a": floats(2, 3, 5, 4), "b": floats(2, 3, 6, 4)}
    einsum = Graph([node("Einsum", "a b", name="scores", equation="bhid, bhjd -> bhij")], factors)
    (known,) = einsum.run(tmp_path, {"scores": "bhid, bhjd -> bhij"})
    assert cost_of(known) == Cost(2 * 3 * 5 * 6 * 4, known.bytes_read + known.bytes_written)
    (unknown,) = einsum.run(tmp_path)
    assert cost_of(unknown) is None


def kernel(operator: str, inputs: Sequence[tuple[int, ...]], outputs: Sequence[tuple[int, ...]]) -> Kernel:
    """One of floats, as the CUDA provider's kernels are told too."""
    read, written = (tuple(Tensor("float", shape) for shape in shapes) for shapes in (inputs, outputs))
    sizes = (4 * sum(tensor.elements for tensor in tensors) for tensors in (read, written))
    return Kernel(operator, read, written, *sizes)


def test_packed_queries_keys_and_values_are_taken_apart() -> None:
    together = kernel("MultiHeadAttention", [(2, 5, 2, 3, 4)], [(2, 5, 8)])
    apart = kernel("MultiHeadAttention", [(2, 5, 8), (2, 6, 2, 2, 4)], [(2, 5, 8)])
    assert [cost and cost.multiply_adds for cost in map(cost_of, (together, apart))] == [2 * 2 * 5 * 5 * 8, 2 * QUERIES]


@pytest.mark.parametrize(
    "unknown",
    [
        kernel("GroupQueryAttention", [(2, 5, 8), (2, 5, 8), (2, 5, 8)], [(2, 5, 8)]),
        kernel("MultiHeadAttention", [(2, 5, 8)] * 3, [(2, 5, 8), (2, 2, 9, 4), (2, 2, 9, 4)]),
        kernel("Attention", [(2, 5, 8), (8, 24)], [(2, 5, 8), (2, 2, 2, 9, 4)]),
        kernel("FusedMatMul", [(2, 1, 5, 8), (1, 3, 8, 4)], [(2, 3, 5, 4)]),
        kernel("LSTM", [(5, 2, 8), (1, 32, 8), (1, 32, 8)], [(5, 1, 2, 8)]),
    ],
    ids=["no formula", "keeps keys", "keeps its past", "repeats both factors", "a sequence"],
)
def test_what_shapes_do_not_tell_has_no_cost_rather_than_none(unknown: Kernel) -> None:
    assert cost_of(unknown) is None
