"""INT8 as ONNX Runtime and Optimum make it, and products that a recipe keeps in float there."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.builder.calibration_texts import Calibration, FeedReader
from driftgate.builder.rowwise.products import module_path, quantize_tables, require_known
from driftgate.errors import BackendUnavailableError, BuildError
from driftgate.inputs.recipe import Form
from driftgate.onnx_graph.functions import load_inlined
from driftgate.onnx_graph.graph import GraphWriter, has_external_data, refuse_quantized, save_beside
from driftgate.onnx_graph.onnx_file import read_model
from driftgate.onnx_graph.product_sites import find_product_sites

_FLOATS = (Form.FLOAT32, Form.FLOAT16)


def keep_products(graph: Any, recipe: Mapping[str, Form]) -> dict[str, Form]:
    """The names of the nodes of a GraphProto that a recipe keeps in float, with their forms.

    Raises:
        BuildError: products that the graph has not, or other forms than float.
    """
    for path, form in recipe.items():
        if form not in _FLOATS:
            raise BuildError(
                f"recipe: {path} is {form}, and ONNX Runtime's dynamic INT8 can keep products in {', '.join(_FLOATS)}"
            )
    products = {node.output[0]: node for node in graph.node}
    nodes = [products[site.output] for site in find_product_sites(graph)]
    require_known(recipe, [module_path(node) for node in nodes])
    kept = {node.name: recipe[module_path(node)] for node in nodes if module_path(node) in recipe}
    # A Gemm becomes a MatMul of this name before the quantizer asks.
    return kept | {
        f"{node.name}_MatMul": kept[node.name] for node in nodes if node.op_type == "Gemm" and node.name in kept
    }


def store_halves(target: Path, names: Collection[str]) -> None:
    """Store the weights of these nodes in float16, in place; they become float32 again when the file is loaded."""
    import onnx

    model = onnx.load(target)
    graph = GraphWriter(model)
    for node in graph.take_nodes():
        if node.name in names:
            place = 0 if node.op_type == "Gather" else 1
            weight = graph.value(node.input[place])
            if weight is not None and weight.dtype == np.float32:
                half = graph.constant(weight.astype(np.float16), f"{node.input[place]}/float16")
                node.input[place] = graph.node_once("Cast", [half], f"{node.input[place]}/widened", to=graph.FLOAT)
        graph.append(node)
    graph.finish()
    save_beside(model, target, target)


def quantize_dynamic_per_channel(source: Path, target: Path, *, recipe: Mapping[str, Form] | None = None) -> None:
    """ONNX Runtime's dynamic INT8: signed weights, a scale for each output channel; embedding tables too,
    which ONNX Runtime stores unsigned.

    Signed weights run 1.9 times faster than unsigned ones where the processor has VNNI; scales per channel
    cost no speed. Activations get one scale for the whole batch: answers depend on the other texts of the batch
    (onnxruntime #10111).

    Args:
        recipe: products and tables that stay in float32 or float16, by the path of their module.

    Raises:
        BuildError: the recipe has products that the graph has not, or other forms.
    """
    _quantize_dynamic(source, target, recipe or {}, per_channel=True)


def quantize_dynamic_per_tensor(source: Path, target: Path, *, recipe: Mapping[str, Form] | None = None) -> None:
    """As above with one scale for each weight matrix: what most published INT8 models are."""
    _quantize_dynamic(source, target, recipe or {}, per_channel=False)


def _quantize_dynamic(source: Path, target: Path, recipe: Mapping[str, Form], *, per_channel: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = _refuse_quantized_file(source).graph
    kept = keep_products(graph, recipe)
    with _quiet():
        quantize_dynamic(
            source,
            target,
            per_channel=per_channel,
            weight_type=QuantType.QInt8,
            use_external_data_format=has_external_data(source),
            nodes_to_exclude=list(kept),
        )
    if Form.FLOAT16 in kept.values():
        store_halves(target, [name for name, form in kept.items() if form is Form.FLOAT16])


def quantize_static(source: Path, target: Path, calibration: Calibration) -> Mapping[str, Any]:
    """ONNX Runtime's static INT8: activation ranges fixed by calibration, in QuantizeLinear and DequantizeLinear pairs.

    Products with constant matrices only, signed weights with a scale for each output channel; embedding tables with one for
    each entry. Answers do not depend on the other texts of the batch, but texts unlike the calibration rows are cut off at
    the ranges seen there. Ranges that lose the least information (entropy) cost less drift
    than the greatest values, and than percentiles.

    Returns:
        the rows that were watched, and how ranges were taken from them.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    graph = _refuse_quantized_file(source).graph
    constants = {tensor.name for tensor in graph.initializer}
    of_activations = [node.name for node in graph.node if node.op_type == "MatMul" and not constants & set(node.input)]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, _quiet():
        products = Path(scratch) / target.name
        quantize_static(
            source,
            products,
            FeedReader(source, calibration.feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            use_external_data_format=has_external_data(source),
            calibrate_method=CalibrationMethod.Entropy,
            # One feed at a time: batches of different shapes cannot be stacked (as of onnxruntime 1.31).
            extra_options={"CalibStridedMinMax": 1},
            nodes_to_exclude=of_activations,
        )
        model = onnx.load(products)
        quantize_tables(model)
        save_beside(model, source, target)
    return {"ranges": "entropy", "calibration": calibration.describe()}


def quantize_with_optimum_vnni(source: Path, target: Path) -> None:
    """Optimum's `avx512_vnni` preset, by Optimum: products of two activations are quantized too."""
    _quantize_with_optimum(source, target, "avx512_vnni")


def quantize_with_optimum_avx2(source: Path, target: Path) -> None:
    """Optimum's `avx2` preset, by Optimum: unsigned weights, about half the speed where the processor has VNNI."""
    _quantize_with_optimum(source, target, "avx2")


def _quantize_with_optimum(source: Path, target: Path, preset: str) -> None:
    try:
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig
    except ImportError as error:
        raise BackendUnavailableError(
            f"the preset {preset} is part of Optimum, which cannot be imported here ({error}); "
            'install "driftgate[optimum]" in an environment with transformers 4.57'
        ) from error
    from transformers import PretrainedConfig

    _refuse_quantized_file(source)
    external = has_external_data(source)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, _quiet():
        plain = Path(scratch) / "plain" / source.name
        plain.parent.mkdir()
        save_beside(load_inlined(source), source, plain)
        quantizer = ORTQuantizer(plain, PretrainedConfig())
        quantizer.quantize(
            getattr(AutoQuantizationConfig, preset)(is_static=False),
            save_dir=scratch,
            file_suffix="",
            use_external_data_format=external,
        )
        for path in Path(scratch).glob("*.onnx*"):
            path.rename(target.parent / path.name.replace(source.name, target.name))


def _refuse_quantized_file(source: Path) -> Any:
    """The model, without its external data, unless it is quantized."""
    model = read_model(source)
    refuse_quantized(model, source)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizers advise a pre-processing step that optimize-basic has done, and print what they calibrate."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):  # noqa: PTH123
            yield
    finally:
        root.setLevel(level)
