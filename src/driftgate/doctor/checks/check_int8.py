"""Checks of quantized graphs: against the processor, and for what was left out."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from driftgate.doctor.facts import Facts, Processor
from driftgate.doctor.findings import Finding, Subject, megabytes
from driftgate.doctor.model_facts import Graph, GraphContent

# A position table or a small head is not worth a finding.
_WORTH_QUANTIZING, _WORTH_QUANTIZING_BYTES = 0.05, 100_000
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LeftInFloat:
    """Matrices in float32: their bytes, and the largest of them by name in a sentence."""

    size_bytes: int
    description: str


def find_left_in_float(content: GraphContent, *, table: bool, but_not: Collection[str] = ()) -> LeftInFloat | None:
    """The embedding tables, or else the weights of products, that are float32; None where they are not worth a finding.

    Args:
        but_not: names that another finding is about.
    """
    left = [matrix for matrix in content.float_matrices if matrix.table is table and matrix.name not in but_not]
    size, every = sum(matrix.size_bytes for matrix in left), sum(content.facts.constant_bytes.values())
    if size <= max(_WORTH_QUANTIZING * every, _WORTH_QUANTIZING_BYTES):
        return None
    names = ", ".join(f"{matrix.name} ({megabytes(matrix.size_bytes)})" for matrix in left[:_SHOWN])
    return LeftInFloat(
        size,
        f"{len(left)} {'embedding tables' if table else 'weights of products'} in float32, {megabytes(size)} of "
        f"{megabytes(every)}: {names}{', ...' if len(left) > _SHOWN else ''}",
    )


_INTEGER_OPERATORS = (
    "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QAttention", "QGemm", "QLinearMatMul"
)  # fmt: skip
_SAVED = 0.75


def check_int8(subject: Subject, graph: Graph, content: GraphContent, facts: Facts) -> Iterator[Finding]:
    """Everything about a graph of an INT8 class; nothing for others."""
    if content.precision is None or not content.precision.startswith("int8"):
        return
    yield from _check_coverage(subject, graph, content)
    if facts.asked.on_cuda:
        yield subject.warning(
            "int8-on-cuda",
            f"{content.precision} asked for on {facts.asked.device}",
            "ONNX Runtime's CUDA provider has no kernels for products of unsigned activations: they run on the CPU, with copies "
            "there and back, or in float",
            "on a GPU take onnx-fp16",
        )
    elif facts.processor is not None and facts.processor.architecture == "x86":
        yield from _check_sign(subject, content, facts.processor)
        yield from _check_saturation(subject, content, facts.processor)


def _check_sign(subject: Subject, content: GraphContent, processor: Processor) -> Iterator[Finding]:
    unsigned = content.integers.unsigned
    if unsigned and processor.has_vnni and not processor.has_unsigned_vnni:
        yield subject.warning(
            "int8-unsigned-weights",
            f"{unsigned} of {unsigned + content.integers.signed} quantized weights are unsigned, on a processor with VNNI",
            "ONNX Runtime uses VNNI and AMX for signed weights only: the same model with signed ones ran 1.9 times as fast",
            "quantize again with signed weights (QInt8): driftgate build ENCODER --backends onnx-int8; Optimum's avx2 preset "
            "makes unsigned ones, its avx512_vnni preset signed ones",
        )


def _check_saturation(subject: Subject, content: GraphContent, processor: Processor) -> Iterator[Finding]:
    pairs, overflowing = content.integers.pairs, content.integers.overflowing_pairs
    if not overflowing or "avx2" not in processor.flags:
        return
    found = f"{overflowing:,} of {pairs:,} pairs of neighbouring signed weights ({overflowing / pairs:.2%}) can leave 16 bits"
    if processor.has_vnni:
        yield subject.note(
            "int8-not-portable",
            found,
            "here VNNI sums in 32 bits; on x86 processors without it sums of two products are cut off at 16 bits, and answers "
            "can differ from those measured here",
            f"judge it on the processors it will run on (pytest accuracy); for those without VNNI {_UNSATURATED}",
        )
    else:
        yield subject.warning(
            "int8-saturates",
            f"{found}, on a processor without VNNI",
            "AVX2 and AVX-512 sum products of two neighbours in 16 bits and cut off what does not fit: answers can be wrong, "
            "and are not those that a processor with VNNI gives",
            f"judge it on this processor (pytest accuracy); if it fails, {_UNSATURATED}",
        )


_UNSATURATED = (
    "take onnx-int8, whose weights are small enough, or unsigned weights (onnx-int8-optimum-avx2), quantize with "
    'reduce_range=True, or run it with the session option session.x64quantprecision="1"; unsigned weights and the option '
    "are slower"
)
"""What keeps sums within 16 bits, or sums elsewhere."""


def _check_coverage(subject: Subject, graph: Graph, content: GraphContent) -> Iterator[Finding]:
    products = content.facts.products
    if not products.integer_nodes:
        yield subject.problem(
            "int8-no-integer-products",
            f"quantized weights, and none of {products.nodes} products is of integers",
            "weights are made float32 again before each product: smaller on disk, and no faster than float32",
            "quantize activations too: driftgate build ENCODER --backends onnx-int8",
        )
    run = sum(graph.run_operators.get(name, 0) for name in _INTEGER_OPERATORS)
    if graph.run_operators and run < products.integer_nodes:
        yield subject.warning(
            "int8-not-fused",
            f"{products.integer_nodes} products are meant to be of integers, {run} are when ONNX Runtime runs it",
            "pairs of QuantizeLinear and DequantizeLinear that no kernel takes are computed one by one, in float32",
            "quantize products with constant weights only (MatMul, Gemm), per channel: driftgate build does",
        )
    in_every_call = content.facts.requantized_weights  # which the lint names
    for table in (True, False):
        left = find_left_in_float(content, table=table, but_not=in_every_call)
        if left is None:
            continue
        yield subject.warning(
            "int8-float-tables" if table else "int8-float-products",
            left.description,
            f"as integers they would save {megabytes(_SAVED * left.size_bytes)}"
            + ("" if table else f"; {products.integer_share:.0%} of the multiply-adds are of integers"),
            "quantize Gather too: driftgate's INT8 backends do"
            if table
            else "unless they were left out on purpose, optimize the graph (O1) before quantizing it",
        )
