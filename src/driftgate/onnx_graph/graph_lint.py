"""What is wrong with a graph, whatever it was made for. Facts in, findings out; nothing is run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from driftgate.backends import Precision
from driftgate.onnx_graph.graph_facts import GraphFacts

# Less than half of the work in integers is no INT8 model, by cost or by drift. One that is whole has 0.9 or more; what is left
# of ALBERT's where Identity nodes hid the shared weights has a third. The same holds for weights of 4 bits.
MIN_INTEGER_SHARE = MIN_BLOCK_SHARE = 0.5
# Equal biases, scales and zero points are 2% of a tiny encoder and 0.2% of a real one; an unshared ALBERT is 80%.
MAX_DUPLICATE_SHARE = 0.1
# Constants relative to the encoder's parameters in float32. Tables of relative positions add a tenth to a tiny encoder.
MAX_BYTES_TO_PARAMETERS = 1.5
MAX_BYTES_TO_PARAMETERS_CONVERTED = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a graph: which rule, what was expected and found, what to do."""

    rule: str
    found: str
    advice: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}; {self.advice}"


def lint_graph(facts: GraphFacts, precision: Precision) -> list[Finding]:
    """Everything wrong with the graph of a backend of class `precision`; empty where nothing is."""
    return [*_lint_shape(facts), *_lint_attention(facts), *_lint_weights(facts, precision)]


def _lint_shape(facts: GraphFacts) -> Iterator[Finding]:
    if facts.fixed_axes:
        yield Finding(
            "fixed axes",
            f"expected any batch size and length, found {_name(facts.fixed_axes)}",
            "export again with dynamic batch and sequence axes",
        )
    if facts.float64:
        yield Finding(
            "float64",
            f"expected float32 or less, found {_name(facts.float64)}",
            "convert them where they are made: float64 runs at half the speed, and not on every provider",
        )


def _lint_attention(facts: GraphFacts) -> Iterator[Finding]:
    attention, encoder = facts.attention, facts.encoder
    nodes = attention.fused + attention.unfused
    if encoder.layers is not None and nodes != encoder.layers:
        yield Finding(
            "attention",
            f"expected {encoder.layers} attention nodes, one a layer, found {attention.fused} fused and "
            f"{attention.unfused} unfused",
            "the graph was made from another model, or a rewrite lost a layer; build it again from this encoder",
        )
    wrong = [heads for heads in attention.heads if encoder.heads not in (None, heads)]
    if wrong:
        yield Finding(
            "heads",
            f"config.json has {encoder.heads} heads, the graph {_name(wrong)}",
            "a fusion was configured with the wrong number, or the graph was made from another model",
        )
    wrong = [width for width in attention.widths if encoder.hidden_size not in (None, width)]
    if wrong:
        yield Finding(
            "hidden size",
            f"config.json has {encoder.hidden_size}, the graph's queries are {_name(wrong)} wide",
            "a fusion was configured with the wrong size, or the graph was made from another model",
        )
    sizes = (attention.heads, attention.head_sizes, attention.widths)
    if all(len(found) == 1 for found in sizes):
        (heads,), (head_size,), (width,) = sizes
        if heads * head_size != width:
            yield Finding(
                "head size",
                f"{heads} heads of {head_size} are {heads * head_size}, the graph's queries are {width} wide",
                "heads are split at the wrong places: build the graph again",
            )


def _lint_weights(facts: GraphFacts, precision: Precision) -> Iterator[Finding]:
    converted = precision not in (Precision.FP32, Precision.CHECKPOINT)
    if precision.startswith("int8") and not facts.products.integer_share >= MIN_INTEGER_SHARE:
        yield Finding(
            "integer work",
            f"expected at least {MIN_INTEGER_SHARE:.0%} of the multiply-adds with weights in integers, found "
            f"{facts.products.integer_share:.0%} ({facts.products.integer_nodes} of {facts.products.nodes} products)",
            "optimize the graph (O1) before quantizing it: Identity nodes hide weights that layers share",
        )
    if precision.endswith("-blockwise") and not facts.block_share + facts.products.integer_share >= MIN_BLOCK_SHARE:
        yield Finding(
            "block-quantized work",
            f"expected at least {MIN_BLOCK_SHARE:.0%} of the multiply-adds with weights quantized in blocks, found "
            f"{facts.block_share:.0%}",
            "quantize every product with a constant weight: the others are as slow, as large and as exact as in a float file, "
            "and bounds for 4 bits say nothing about them",
        )
    if facts.requantized_weights:
        yield Finding(
            "weights quantized at run time",
            f"expected weights stored as integers, found quantizers that read {_name(facts.requantized_weights)}",
            "optimize the graph (O1) before quantizing it, and quantize weights when it is built",
        )
    every = sum(facts.constant_bytes.values())
    if not facts.duplicate_bytes <= MAX_DUPLICATE_SHARE * every:
        yield Finding(
            "duplicate constants",
            f"expected at most {MAX_DUPLICATE_SHARE:.0%} of {every} bytes twice in the file, found {facts.duplicate_bytes}",
            "merge constants of the same type, shape and bytes: layers that share weights were stored one by one",
        )
    limit = MAX_BYTES_TO_PARAMETERS_CONVERTED if converted else MAX_BYTES_TO_PARAMETERS
    if facts.bytes_to_parameters is not None and not facts.bytes_to_parameters <= limit:
        yield Finding(
            "size",
            f"expected constants of at most {limit} of the encoder's parameters in float32, found "
            f"{facts.bytes_to_parameters}",
            "weights are stored more than once, or were not converted; see constant_bytes for their types",
        )
    if facts.unmatched_excludes:
        yield Finding(
            "excluded names",
            f"expected a float node by each name, found none for {_name(facts.unmatched_excludes)}",
            "give names as the quantizer sees them: a Gemm called NAME is NAME_MatMul when it looks",
        )


def _name(items: Sequence[object], most: int = 5) -> str:
    return ", ".join(map(str, items[:most])) + (f" and {len(items) - most} more" if len(items) > most else "")
