"""Checks of an ONNX file, whatever its precision."""

from collections.abc import Iterator

from driftgate.backends import Precision
from driftgate.doctor.checks.check_blocks import check_blocks
from driftgate.doctor.checks.check_int8 import check_int8
from driftgate.doctor.facts import Facts
from driftgate.doctor.findings import Finding, Subject, megabytes
from driftgate.doctor.model_facts import Graph, GraphContent
from driftgate.onnx_graph.graph_lint import MAX_DUPLICATE_SHARE, lint_graph

# What the lint finds that makes a graph bigger or slower, not wrong.
_COSTLY_RULES = frozenset({"float64", "weights quantized at run time", "duplicate constants", "size"})
_WORTH_MERGING = 100_000
_OLD_OPSET = 13
_MORE_THAN_EDGES = 8  # casts at the inputs, the outputs and the mask of a float16 graph


def check_graphs(facts: Facts) -> Iterator[Finding]:
    """Everything about each graph."""
    for graph in facts.graphs:
        subject = Subject(graph.file)
        if graph.content is None:
            yield subject.problem(
                "graph-unreadable",
                graph.error or "it could not be read",
                "nothing can load it",
                "fetch or build it again",
            )
            continue
        if graph.refused is not None:
            yield subject.problem(
                "refused",
                graph.refused,
                "driftgate does not run it: its answers would be those of another model, or not comparable",
                "fix the reported error",
            )
        yield from _check_session(subject, graph)
        yield from _check_interface(subject, graph, graph.content)
        yield from _check_lint(subject, graph.content)
        yield from _check_constants(subject, graph.content)
        yield from _check_float16(subject, graph, graph.content, on_cuda=facts.asked.on_cuda)
        yield from check_int8(subject, graph, graph.content, facts)
        yield from check_blocks(subject, graph, graph.content, facts)


def _check_session(subject: Subject, graph: Graph) -> Iterator[Finding]:
    if graph.session is not None and graph.session.error is not None:
        yield subject.problem(
            "session-fails",
            f"ONNX Runtime does not load it: {graph.session.error}",
            "nothing can be run",
            "an unsupported opset or IR version needs a newer onnxruntime, or another export; for anything else build it again",
        )
    copies = sum(count for name, count in graph.run_operators.items() if name.startswith("Memcpy"))
    if copies:
        yield subject.warning(
            "memory-copies",
            f"{copies} copies between GPU and CPU in every call",
            "operators without a CUDA kernel run on the CPU, and the GPU waits",
            "build onnx-fp16 for the GPU: driftgate build ENCODER --backends onnx-fp16 --device cuda",
        )


def _check_interface(subject: Subject, graph: Graph, content: GraphContent) -> Iterator[Finding]:
    inputs = content.facts.inputs
    if graph.refused is None and "input_ids" in inputs and "attention_mask" not in inputs:
        yield subject.problem(
            "no-attention-mask",
            f"inputs: {', '.join(inputs)}",
            "padding changes the answers of the shorter texts of a batch",
            "export it again with attention_mask",
        )
    if graph.refused is None and content.last_operator in ("Sigmoid", "Softmax"):
        yield subject.warning(
            "probabilities",
            f"its first output is computed by {content.last_operator}",
            "these are probabilities: programs that expect logits apply the activation again, so that all results are near 0.5",
            "export the model without its final activation",
        )
    opset = content.facts.opset.get("ai.onnx")
    if opset is not None and opset < _OLD_OPSET:
        yield subject.note(
            "old-opset",
            f"opset {opset}",
            f"quantizing with a scale for each channel needs {_OLD_OPSET}, LayerNormalization as one operator 17",
            "export it again: driftgate build",
        )
    if content.external:
        yield subject.note(
            "external-data",
            f"its weights are in {', '.join(content.external)}",
            "the model cannot be loaded without them, and they are found by these names only",
            "copy and rename them together, by saving the model again",
        )


def _check_lint(subject: Subject, content: GraphContent) -> Iterator[Finding]:
    for found in lint_graph(content.facts, content.precision or Precision.FROM_GRAPH):
        if found.rule == "integer work" and not content.facts.products.integer_nodes:
            continue  # said in full by the checks of INT8
        if found.rule in _COSTLY_RULES:
            say, matters = subject.warning, "the graph is slower or bigger than its encoder needs"
        else:
            say, matters = subject.problem, "the graph does not match its encoder or its precision class"
        yield say(f"graph-{found.rule.replace(' ', '-')}", found.found, matters, found.advice)


def _check_constants(subject: Subject, content: GraphContent) -> Iterator[Finding]:
    if content.precision is None:
        yield subject.note(
            "precision-unknown",
            "weights quantized in blocks, of another number of bits than 4 (MatMulNBits)",
            "driftgate has precision classes, hence bounds, for block-quantized weights of 4 bits only",
            "take a file with 4-bit weights (q4, q4f16, bnb4), or one with INT8 products",
        )
    if content.non_finite:
        yield subject.problem(
            "weights-not-finite",
            f"NaN or infinity in {len(content.non_finite)} constants: {', '.join(content.non_finite[:5])}",
            "answers are NaN, or depend on a number that training did not produce; float16 cannot hold values beyond 65504",
            "build it again from a checkpoint without them",
        )
    if content.hidden_constants:
        yield subject.warning(
            "hidden-weights",
            f"{content.hidden_constants} Identity nodes stand between a weight and the nodes that read it",
            "quantizers do not see through them: shared weights stay float32, or are quantized again in every call",
            "optimize the graph (O1) before quantizing it",
        )
    twice, every = content.facts.duplicate_bytes, sum(content.facts.constant_bytes.values())
    if _WORTH_MERGING < twice <= MAX_DUPLICATE_SHARE * every:  # beyond that the lint says it
        yield subject.note(
            "duplicates",
            f"{megabytes(twice)} of {megabytes(every)} are stored twice",
            "they could be saved without changing any answer",
            "merge equal constants: driftgate build does",
        )


def _check_float16(subject: Subject, graph: Graph, content: GraphContent, *, on_cuda: bool) -> Iterator[Finding]:
    if content.precision is not Precision.FP16:
        return
    if not on_cuda:
        casts, run = content.facts.operators.get("Cast", 0), graph.run_operators.get("Cast")
        yield subject.warning(
            "float16-on-cpu",
            f"float16 weights{'' if run is None else f'; {casts} casts in the file, {run} when it runs'}",
            "ONNX Runtime's CPU provider has no float16 kernels for most operators: it converts, and computes in float32. The "
            "file is half as big, memory and time are not",
            "on a CPU take onnx-int8 for speed or onnx-fp32 for fidelity; keep float16 for GPUs",
        )
    if content.casts > _MORE_THAN_EDGES:
        yield subject.note(
            "float16-islands",
            f"{content.casts} casts between float16 and float32",
            "parts of the graph were kept in float32, and everything that enters or leaves them is converted",
            "the notes of the manifest say why they were kept; fewer casts are faster",
        )
