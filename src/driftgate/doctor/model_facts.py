"""What a doctor looks at in a model: plain frozen records, whose `asdict` is JSON. Nothing here reads anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.backends import Precision
from driftgate.onnx_graph.graph_facts import GraphFacts
from driftgate.onnx_graph.graph_precision import BlockProducts


@dataclass(frozen=True, slots=True)
class FloatMatrix:
    """A float32 constant of two or more axes that a product or a look-up (then a `table`) reads."""

    name: str
    size_bytes: int
    table: bool


@dataclass(frozen=True, slots=True)
class IntegerWeights:
    """Constant sides of integer products, each counted once.

    Args:
        signed, unsigned: how many are of int8 and of uint8.
        pairs: of neighbouring signed weights, whose products with two unsigned activations are summed first.
        overflowing_pairs: those whose sum can leave 16 bits.
    """

    signed: int
    unsigned: int
    pairs: int
    overflowing_pairs: int


@dataclass(frozen=True, slots=True)
class Session:
    """What ONNX Runtime makes of a graph when it loads it.

    Args:
        provider: that was asked for.
        error: why it does not load.
        operators: how many nodes of each run; empty where that is not known.
    """

    provider: str
    error: str | None
    operators: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GraphContent:
    """What is in an ONNX file.

    Args:
        precision: the class that its operators and weights show; None where there is no such class.
        facts: those that graph locks hold too.
        float_matrices: largest first.
        hidden_constants: how many Identity nodes stand between a constant and its readers.
        casts: Cast nodes to float16 or float32.
        non_finite: constants with NaN or infinity.
        last_operator: the one that computes the first output.
        external: files that hold its weights.
        block_products: how products with weights quantized in blocks are computed; None where there are none.
    """

    ir_version: int
    precision: Precision | None
    facts: GraphFacts
    integers: IntegerWeights
    float_matrices: tuple[FloatMatrix, ...]
    hidden_constants: int
    casts: int
    non_finite: tuple[str, ...]
    last_operator: str
    external: tuple[str, ...]
    block_products: BlockProducts | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX file.

    Args:
        file: what reports call it.
        size_bytes: with its external data.
        error: why it has no content here: not an ONNX file, external data missing.
        session: None where it was not loaded.
        refused: why driftgate cannot use it with the configuration beside it; None where it can, or where there is none.
    """

    file: str
    size_bytes: int
    error: str | None = None
    content: GraphContent | None = None
    session: Session | None = None
    refused: str | None = None

    @property
    def run_operators(self) -> Mapping[str, int]:
        """Those of its session; empty where that is not known."""
        return self.session.operators if self.session else {}


@dataclass(frozen=True, slots=True)
class Source:
    """The files around a model: a folder in the Hugging Face layout, or part of one.

    Args:
        has_config: whether config.json is there. `config_error`: why it cannot be read.
        problem_type: as config.json says it. `labels`: in the order of `id2label`; None where config.json names none.
        tokenizer: its files.
        weights: bytes of the weights in safetensors, by type. `pickled`: weights that can run code when they are loaded.
        non_finite: weights with NaN or infinity.
        refused: why driftgate cannot use the encoder; None where it can, or where only ONNX files are asked about.
    """

    folder: str
    has_config: bool
    config_error: str | None
    problem_type: str | None
    labels: tuple[str, ...] | None
    tokenizer: tuple[str, ...]
    weights: Mapping[str, int]
    pickled: tuple[str, ...]
    non_finite: tuple[str, ...]
    refused: str | None
