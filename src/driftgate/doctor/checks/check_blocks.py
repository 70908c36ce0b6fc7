"""Checks of graphs whose weights are quantized in blocks (MatMulNBits, MatMulBnb4): what this machine makes of them."""

from collections.abc import Iterator

from driftgate.backends import Precision
from driftgate.doctor.checks.check_int8 import find_left_in_float
from driftgate.doctor.facts import Facts
from driftgate.doctor.findings import Finding, Subject, megabytes
from driftgate.doctor.model_facts import Graph, GraphContent
from driftgate.onnx_graph.graph_walk import BLOCK_PRODUCTS

_SAVED = 0.84
"""Of a float32 table: 4 bits for each value, and a float32 scale for every 32 of them, are left."""


def check_blocks(subject: Subject, graph: Graph, content: GraphContent, facts: Facts) -> Iterator[Finding]:
    """Everything about a graph with such weights, of a class that driftgate knows; nothing for others."""
    if content.block_products is None or content.precision is None:
        return
    left = find_left_in_float(content, table=True)
    if left is not None:
        yield subject.note(
            "blocks-float-tables",
            left.description,
            f"quantized in blocks of 4 bits they would save {megabytes(_SAVED * left.size_bytes)}, in float16 half; quantizers "
            "leave them as they are unless configured otherwise",
            "quantize Gather too (GatherBlockQuantized), and judge what it costs: pytest accuracy",
        )
    if facts.asked.on_cuda:
        return
    if graph.run_operators and not BLOCK_PRODUCTS & graph.run_operators.keys():
        yield subject.warning(
            "blocks-not-fused",
            f"{content.facts.block_share:.0%} of the work is with 4-bit weights in the file, and no product is when it runs",
            "every call expands all of these weights to float32 first",
            "quantize into MatMulNBits nodes (QuantFormat.QOperator) instead of DequantizeLinear nodes",
        )
    else:
        yield _say_how_products_are_computed(subject, content)
    if content.block_products.in_float16:
        casts = graph.run_operators.get("Cast")
        yield subject.note(
            "blocks-float16-on-cpu",
            f"activations in float16{'' if casts is None else f'; {casts} casts when it runs'}",
            "ONNX Runtime's CPU provider has no float16 kernels for most operators on x86: it converts back and forth",
            "on a CPU take the file with float32 activations (q4 instead of q4f16)",
        )


def _say_how_products_are_computed(subject: Subject, content: GraphContent) -> Finding:
    if content.precision is Precision.FLOAT4_BLOCKWISE:
        return subject.warning(
            "blocks-expanded-on-cpu",
            "weights in 4-bit floats (MatMulBnb4)",
            "ONNX Runtime's CPU provider expands all weights to float32 in every call: a batch of one short text took more than "
            "twice as long as in float32",
            "on a CPU take onnx-int8 for speed, or 4-bit integers (q4); keep 4-bit floats for GPUs",
        )
    if content.block_products is not None and content.block_products.in_integers:
        return subject.note(
            "blocks-in-integers",
            "products may round activations to int8, block by block (accuracy_level 4, or DequantizeLinear nodes that become so)",
            "on a processor without kernels for that they are computed in float32: answers differ a little between machines",
            "judge it on the processors it will run on: pytest accuracy",
        )
    return subject.note(
        "blocks-in-float",
        "4-bit weights multiplied in float32 (no accuracy_level)",
        "such weights make the file smaller, but not faster on a CPU",
        "for speed on a CPU take onnx-int8, or quantize with accuracy_level=4, which multiplies in integers",
    )
