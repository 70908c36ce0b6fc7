"""What a built ONNX graph is: facts that a reviewer can read, compare and lock. Nothing here is timed or run."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftgate.errors import EncoderError
from driftgate.inputs.encoder import Encoder
from driftgate.onnx_graph.functions import DOMAIN
from driftgate.onnx_graph.graph import real_inputs
from driftgate.onnx_graph.graph_attention import AttentionFacts, read_attention
from driftgate.onnx_graph.graph_constants import (
    count_bytes,
    count_duplicate_bytes,
    find_float64,
    find_requantized,
    type_name,
)
from driftgate.onnx_graph.graph_precision import block_format
from driftgate.onnx_graph.graph_walk import Site, inline_functions, list_constants, walk, weight_shape
from driftgate.onnx_graph.onnx_file import read_model

# One softmax attention in each layer, as wide as the hidden size. Others (Longformer, MobileBERT, ...) count otherwise.
_USUAL_ATTENTION = frozenset(
    {
        "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert",
        "modernbert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What an encoder's configuration and weights say its graph should be; None where they do not say.

    Args:
        layers: attention layers. `heads` of each. `hidden_size`: their width.
        parameter_bytes: of all weights, in float32.
    """

    layers: int | None
    heads: int | None
    hidden_size: int | None
    parameter_bytes: int | None


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """Products with a constant weight (MatMul, Gemm and their integer and fused forms).

    A product's work is the multiply-adds for one row of its input: the elements of its weight, as often as a node reads
    it. Rows are not counted, so that a head that sees one token of a text weighs as much as a layer that sees all;
    nor is the work between activations, in attention.
    """

    nodes: int
    integer_nodes: int
    multiply_adds: int
    integer_multiply_adds: int
    integer_share: float


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """One graph, its subgraphs included. Plain values: `asdict` of it is JSON.

    Args:
        opset: version by operator domain, of the domains that nodes are of ("" is "ai.onnx").
        inputs, outputs: type and axes by name, as in "int64[batch_size, sequence_length]".
        fixed_axes: axes of batch and sequence that take one length only, as in "input_ids axis 1 is 128".
        operators: how many nodes of each, by domain and operator.
        attention: what is in the file; what a session fuses when it loads it is not counted.
        encoder: what the configuration says.
        products: how much of the matrix work is of integers.
        requantized_weights: constant matrices that are quantized when the graph runs, not when it was built.
        constant_bytes: of initializers and Constant nodes, by type.
        bytes_to_parameters: all of them relative to the encoder's parameters in float32; None where those are unknown.
        duplicate_bytes: those that a constant of the same type, shape and bytes has before.
        float64: constants and Cast nodes of that type, by name.
        unmatched_excludes: names given as excluded from quantization that no float node of the graph has.
        block_multiply_adds: those of `products` with weights quantized in blocks, by the format of the weights, such as "int4".
    """

    opset: Mapping[str, int]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    fixed_axes: tuple[str, ...]
    operators: Mapping[str, int]
    attention: AttentionFacts
    encoder: EncoderShape
    products: ProductFacts
    requantized_weights: tuple[str, ...]
    constant_bytes: Mapping[str, int]
    bytes_to_parameters: float | None
    duplicate_bytes: int
    float64: tuple[str, ...]
    unmatched_excludes: tuple[str, ...]
    block_multiply_adds: Mapping[str, int] = field(default_factory=dict)

    @property
    def block_share(self) -> float:
        """The part of the multiply-adds with constant weights whose weights are quantized in blocks."""
        every = self.products.multiply_adds
        return sum(self.block_multiply_adds.values()) / every if every else 0.0


def read_encoder_shape(encoder: Encoder) -> EncoderShape:
    """What `encoder` says about its graph; no weights are loaded. Layers and heads only of families known to fit.

    Raises:
        EncoderError: a configuration that transformers cannot read.
    """
    import transformers
    from safetensors import safe_open

    try:
        config = transformers.AutoConfig.from_pretrained(
            encoder.path, local_files_only=True, trust_remote_code=encoder.trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{encoder.path / 'config.json'}: transformers cannot read it ({error})") from error
    parameters = 0
    for path in encoder.path.glob("model*.safetensors"):  # none where only ONNX files were published
        with safe_open(path, framework="np") as tensors:
            parameters += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    usual = encoder.model_type in _USUAL_ATTENTION and not getattr(config, "pruned_heads", None)
    return EncoderShape(
        layers=config.num_hidden_layers * getattr(config, "inner_group_num", 1) if usual else None,
        heads=config.num_attention_heads if usual else None,
        hidden_size=config.hidden_size if usual else None,
        parameter_bytes=4 * parameters or None,
    )


def read_graph_facts(model: Path, encoder: EncoderShape, exclude: Sequence[str] = ()) -> GraphFacts:
    """The facts of the ONNX file `model`. External data is read only where two constants could be equal.

    Args:
        encoder: what the graph should be, from `read_encoder_shape`.
        exclude: names of nodes that were to be kept from quantization.

    Raises:
        ArtifactError: not an ONNX file, or external data that is missing.
    """
    loaded = inline_functions(read_model(model), keep=DOMAIN)
    graph, sites = loaded.graph, list(walk(loaded.graph))
    constants = list_constants(graph)
    sizes = count_bytes(constants)
    domains = {site.node.domain for site in sites}
    values = {value.name: value for value in real_inputs(graph)}
    kept = {site.node.name for site in sites if not site.is_integer(site.node)}
    total = sum(sizes.values())
    return GraphFacts(
        opset={entry.domain or "ai.onnx": entry.version for entry in loaded.opset_import if entry.domain in domains},
        inputs={name: _describe(value) for name, value in values.items()},
        outputs={value.name: _describe(value) for value in graph.output},
        fixed_axes=(
            *(text for value in values.values() for text in _fixed_axes(value, (0, 1))),
            *(text for value in graph.output for text in _fixed_axes(value, (0,))),
        ),
        operators=dict(sorted(Counter(_operator(site.node) for site in sites).items())),
        attention=read_attention(sites, model.parent),
        encoder=encoder,
        products=_count_products(sites),
        requantized_weights=find_requantized(sites),
        constant_bytes=sizes,
        bytes_to_parameters=round(total / encoder.parameter_bytes, 4) if encoder.parameter_bytes else None,
        duplicate_bytes=count_duplicate_bytes(constants, model.parent),
        float64=find_float64(sites, constants),
        unmatched_excludes=tuple(name for name in exclude if name not in kept),
        block_multiply_adds=_count_block_work(sites),
    )


def _operator(node: Any) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)


def _describe(value: Any) -> str:
    tensor = value.type.tensor_type
    axes = (axis.dim_param or (str(axis.dim_value) if axis.HasField("dim_value") else "?") for axis in tensor.shape.dim)
    return f"{type_name(tensor.elem_type)}[{', '.join(axes)}]"


def _fixed_axes(value: Any, axes: Sequence[int]) -> list[str]:
    shape = value.type.tensor_type.shape.dim
    return [
        f"{value.name} axis {axis} is {shape[axis].dim_value}"
        for axis in axes
        if axis < len(shape) and shape[axis].HasField("dim_value")
    ]


def _count_products(sites: Sequence[Site]) -> ProductFacts:
    work = [
        (math.prod(weight_shape(site.node, weight)), site.is_integer(site.node))
        for site in sites
        if (weight := site.weight(site.node)) is not None
    ]
    every, integer = sum(size for size, _ in work), sum(size for size, is_integer in work if is_integer)
    nodes = sum(is_integer for _, is_integer in work)
    return ProductFacts(len(work), nodes, every, integer, round(integer / every, 4) if every else 0.0)


def _count_block_work(sites: Sequence[Site]) -> dict[str, int]:
    work: Counter[str] = Counter()
    for site in sites:
        weight = site.weight(site.node)
        if weight is not None and (stored_as := block_format(site.node, weight)):
            work[stored_as] += math.prod(weight_shape(site.node, weight))
    return dict(sorted(work.items()))
