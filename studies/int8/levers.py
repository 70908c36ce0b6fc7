"""What each choice in `onnx-int8` costs and brings: the same encoder built with one choice changed, side by side.

    python studies/int8/levers.py [--corpus FILE.tsv] [--blocks 15]

Drift and flips are on the corpus (default: the embedded comments), speed is the ratio to `onnx-int8` in alternating blocks on
the throughput sample. Writes `levers.json` beside this file and prints the table of `README.md`.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from base_encoders import EMBEDDED, REPOSITORY
from measure import open_model, print_table, race

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.builder.rowwise import nodes, products
from driftgate.builder.rowwise.nodes import NodeWriter, quantize_rowwise
from driftgate.builder.rowwise.products import Products, to_int8, write_table
from driftgate.builder.rowwise.token_rows import AttentionWriter, Layout, Rows
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import load_encoder
from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter


@contextmanager
def _zero_point(value: int) -> Iterator[None]:
    with mock.patch.object(products, "_GELU_ZERO_POINT", value):
        yield


@contextmanager
def _constants_at_once() -> Iterator[None]:
    """Biases are added where they stand, not kept back for the next constant."""
    keep = Layout.set_rows

    def set_rows(self: Layout, name: str, rows: Rows, width: int) -> None:
        keep(self, name, rows, width)
        self.rows(name)

    with mock.patch.object(Layout, "set_rows", set_rows):
        yield


@contextmanager
def _handlers(**own: Any) -> Iterator[None]:
    with mock.patch.dict(NodeWriter._HANDLERS, own):  # noqa: SLF001
        yield


@contextmanager
def _separate_products() -> Iterator[None]:
    """MatMulInteger, Cast and Mul instead of MatMulIntegerToFloat."""

    def write(self: Any, rows: Rows, name: str, matrix: Any, out: str) -> Rows:
        graph = self._graph
        values, scales = products.to_int8(matrix, axis=0)
        quantized, own = self._quantize(rows)
        zero = graph.constant(np.uint8(products._zero_point(rows)))  # noqa: SLF001
        total = graph.node("MatMulInteger", [quantized, graph.constant(values, f"{name}/int8"), zero], f"{out}/total")
        real = graph.node("Cast", [total], f"{out}/real", to=graph.FLOAT)
        scaled = graph.node("Mul", [real, graph.constant(scales, f"{name}/scale")], f"{out}/scaled")
        self.count += 1
        offset = None if rows.offset is None else rows.offset @ matrix
        return Rows(graph.node("Mul", [scaled, own], f"{out}/rows"), offset, count=rows.count)

    with mock.patch.object(Products, "write", write):
        yield


@contextmanager
def _asymmetric_rows() -> Iterator[None]:
    """Rows from their least to their greatest value: y = scale (q W) + least (column sums of W)."""

    def write(self: Any, rows: Rows, name: str, matrix: Any, out: str) -> Rows:
        graph = self._graph
        values, scales = products.to_int8(matrix, axis=0)
        if rows.name not in self._quantized:
            columns = graph.constant(np.array([1], np.int64))
            least = graph.node("ReduceMin", [rows.name, columns], f"{rows.name}/least", keepdims=1)
            peak = graph.node("ReduceMax", [rows.name, columns], f"{rows.name}/peak", keepdims=1)
            span = graph.node("Sub", [peak, least], f"{rows.name}/span")
            raised = graph.node("Max", [span, graph.constant(np.float32(1e-30))], f"{rows.name}/raised")
            scale = graph.node("Mul", [raised, graph.constant(np.float32(1 / 255))], f"{rows.name}/scale")
            flat = graph.node("Reshape", [scale, graph.constant(np.array([-1], np.int64))], f"{rows.name}/scales")
            above = graph.node("Sub", [rows.name, least], f"{rows.name}/above")
            value = graph.tensor(np.array([0], np.uint8))
            zeros = graph.node_once("ConstantOfShape", [rows.count], f"{rows.count}/0", value=value)
            quantized = graph.node("QuantizeLinear", [above, flat, zeros], f"{rows.name}/uint8", axis=0)
            self._quantized[rows.name] = quantized, scale, least
        quantized, own, least = self._quantized[rows.name]
        one, zero = graph.constant(np.float32(1)), graph.constant(np.uint8(0))
        inputs = [
            quantized,
            graph.constant(values, f"{name}/int8"),
            one,
            graph.constant(scales[0], f"{name}/scale"),
            zero,
        ]
        product = graph.node("MatMulIntegerToFloat", inputs, f"{out}/product", domain=MICROSOFT)
        sums = graph.constant((values * scales).sum(axis=0, keepdims=True).astype(np.float32), f"{name}/sums")
        shift = graph.node("Mul", [least, sums], f"{out}/shift")
        self.count += 1
        total = graph.node("Add", [graph.node("Mul", [product, own], f"{out}/scaled"), shift], f"{out}/rows")
        return Rows(total, None if rows.offset is None else rows.offset @ matrix, count=rows.count)

    with mock.patch.object(Products, "write", write):
        yield


@contextmanager
def _packed_query_key_value() -> Iterator[None]:
    """One product for query, key and value, then Split."""
    rewrite, matmul, split_of = NodeWriter.rewrite, nodes.NodeWriter._matmul, {}  # noqa: SLF001

    def group(self: Any) -> int:
        readers: dict[str, list[Any]] = {}
        for node in self._graph.take_nodes():
            if node.op_type == "MatMul" and self._graph.matrix(node.input[1]) is not None:
                readers.setdefault(node.input[0], []).append(node)
        split_of.clear()
        split_of.update({name: found for name, found in readers.items() if len(found) == 3})
        return rewrite(self)

    def packed(self: Any, node: Any) -> bool:
        name, graph, layout = node.input[0], self._graph, self._layout
        if name not in split_of:
            return matmul(self, node)
        if layout.in_rows(node.output[0]):
            return True
        parts = split_of[name]
        matrix = np.concatenate([graph.matrix(part.input[1]) for part in parts], axis=1)
        out = f"{parts[0].output[0]}/packed"
        product = self._products.write(layout.open_rows(name), f"{out}/weights", matrix, out)
        outputs = [f"{part.output[0]}/part" for part in parts]
        from onnx import helper

        graph.append(helper.make_node("Split", [product.name], outputs, name=f"{out}/split", axis=1, num_outputs=3))
        for part, rows in zip(parts, outputs, strict=True):
            layout.set_rows(part.output[0], Rows(rows), matrix.shape[1] // 3)
        return True

    with mock.patch.object(NodeWriter, "rewrite", group), _handlers(MatMul=packed):
        yield


@contextmanager
def _scaled_behind_normalization() -> Iterator[None]:
    """Rows are divided by the root of LayerNorm's gains before they are quantized, the weights behind them multiplied."""
    layer_norm, write = NodeWriter._layer_norm, Products.write  # noqa: SLF001
    gains: dict[str, Any] = {}

    def remember(self: Any, node: Any) -> bool:
        written = layer_norm(self, node)
        gamma = self._graph.value(node.input[1])
        if written and gamma is not None:
            gains[self._layout.open_rows(node.output[0]).name] = np.sqrt(np.abs(gamma)).clip(1e-3)
        return bool(written)

    def scaled(self: Any, rows: Rows, name: str, matrix: Any, out: str) -> Rows:
        if rows.name not in gains:
            return write(self, rows, name, matrix, out)
        gain = gains[rows.name].astype(np.float32)
        inverse = self._graph.constant((1 / gain).reshape(1, -1), f"{rows.name}/gain")
        smooth = self._graph.node_once("Mul", [rows.name, inverse], f"{rows.name}/smooth")
        return write(self, Rows(smooth, rows.offset, count=rows.count), name, matrix * gain[:, None], out)

    with _handlers(LayerNormalization=remember), mock.patch.object(Products, "write", scaled):
        yield


@contextmanager
def _clipped_weights() -> Iterator[None]:
    """Each output's weight scale is the one, of sixteen from 70 to 100% of the largest weight, of least squared error."""
    plain = products.to_summable

    def to_summable(values: Any) -> Any:
        best, least = plain(values), None
        for share in np.linspace(0.7, 1, 16):
            scales = np.abs(values).max(axis=0, keepdims=True) * share / 127
            scales[scales == 0] = 1
            integers = np.clip(np.rint(values / scales), -127, 127)
            error = np.square(integers * scales - values).sum(axis=0, keepdims=True)
            better = np.ones_like(error, bool) if least is None else error < least
            best = (
                np.where(better, integers, best[0]).astype(np.int8),
                np.where(better, scales, best[1]).astype(np.float32),
            )
            least = error if least is None else np.minimum(error, least)
        return best

    with mock.patch.object(products, "to_summable", to_summable):
        yield


@contextmanager
def _float_tables() -> Iterator[None]:
    def not_written(graph: Any, node: Any) -> bool:  # noqa: ARG001
        return False

    plain = nodes.NodeWriter._gather  # noqa: SLF001

    def gather(self: Any, node: Any) -> bool:
        if node.input[1] == "input_ids":
            self._layout.add_tokens(node.output[0], self._graph.width(node.input[0]))
        return plain(self, node)

    with mock.patch.object(nodes, "write_table", not_written), _handlers(Gather=gather):
        yield


@contextmanager
def _all_biases_in_attention() -> Iterator[None]:
    plain = AttentionWriter.write

    def write(self: Any, node: Any) -> None:
        for name in node.input[1:3]:
            self._layout.rows(name)
        plain(self, node)

    with mock.patch.object(AttentionWriter, "write", write):
        yield


LEVERS: dict[str, Callable[[], Any]] = {
    "GELU rows around 128, as all others": lambda: _zero_point(128),
    "GELU rows around 16": lambda: _zero_point(16),
    "GELU rows around 48": lambda: _zero_point(48),
    "biases added where they stand": _constants_at_once,
    "key and value biases kept in attention": _all_biases_in_attention,
    "one product for query, key and value": _packed_query_key_value,
    "`MatMulInteger`, `Cast`, `Mul`": _separate_products,
    "rows from least to greatest value": _asymmetric_rows,
    "gains moved from LayerNorm to weights": _scaled_behind_normalization,
    "weights clipped for least squared error": _clipped_weights,
    "embedding tables in float32": _float_tables,
}


def quantize_by_block(source: Path, target: Path, block: int) -> None:
    """`MatMulNBits`: 8-bit weights with a scale for each block of a column, activations quantized by block when it runs."""
    import onnx

    model = onnx.load(source)
    graph = GraphWriter(model)
    for node in graph.take_nodes():
        matrix = graph.matrix(node.input[1]) if node.op_type == "MatMul" else None
        if matrix is None:
            if not write_table(graph, node):
                graph.append(node)
            continue
        depth, outputs = matrix.shape
        blocks = matrix.T.reshape(outputs, depth // block, block)
        values, scales = to_int8(blocks, axis=2)
        weights = graph.constant((values.astype(np.int16) + 128).astype(np.uint8), f"{node.input[1]}/blocks")
        inputs = [node.input[0], weights, graph.constant(scales.ravel(), f"{node.input[1]}/scales")]
        sizes = {"K": depth, "N": outputs, "bits": 8, "block_size": block, "accuracy_level": 4}
        graph.node("MatMulNBits", inputs, node.output[0], domain=MICROSOFT, **sizes)
    graph.finish()
    if not any(entry.domain == MICROSOFT for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    onnx.save(model, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=REPOSITORY / "fixtures/corpora/emotions.jsonl")
    parser.add_argument("--blocks", type=int, default=15)
    arguments = parser.parse_args()
    encoder = load_encoder(EMBEDDED)
    positions = Columns("0", "1", ",") if arguments.corpus.suffix == ".tsv" else Columns()
    corpus = load_corpus(arguments.corpus, encoder, positions)
    source = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    with tempfile.TemporaryDirectory() as scratch:
        models = {
            name: build_artifact(encoder, REGISTRY[name]).model
            for name in ("onnx-int8", "onnx-int8-dynamic", "onnx-fp32")
        }
        for number, (name, lever) in enumerate(LEVERS.items()):
            models[name] = Path(scratch) / f"{number}.onnx"
            with lever():
                quantize_rowwise(source, models[name])
        for block in (32, 128):
            models[f"`MatMulNBits`, 8 bits, blocks of {block}"] = Path(scratch) / f"blocks{block}.onnx"
            quantize_by_block(source, Path(scratch) / f"blocks{block}.onnx", block)
        contestants = {name: open_model(path) for name, path in models.items()}
        found = race(encoder, corpus, contestants, first="onnx-int8", blocks=arguments.blocks)
    (Path(__file__).parent / "levers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print_table(found)


if __name__ == "__main__":
    main()
