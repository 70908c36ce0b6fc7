"""What the doctor says of hand-made facts: nothing of a healthy machine and model, and each finding where it belongs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from driftgate.backends import Precision
from driftgate.doctor.collect import examine
from driftgate.doctor.facts import (
    Asked,
    Broken,
    Cache,
    Cores,
    Facts,
    Folder,
    Hub,
    Noise,
    Processor,
    Runtime,
    Software,
    Storage,
    Unread,
)
from driftgate.doctor.findings import Severity, megabytes
from driftgate.doctor.model_facts import FloatMatrix, Graph, GraphContent, IntegerWeights, Session, Source
from driftgate.onnx_graph.graph_attention import AttentionFacts
from driftgate.onnx_graph.graph_facts import EncoderShape, GraphFacts, ProductFacts
from driftgate.onnx_graph.graph_precision import BlockProducts

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PROBLEM, WARNING, NOTE = Severity.PROBLEM, Severity.WARNING, Severity.NOTE
Change = Callable[[Facts], Facts]

GRAPH = GraphFacts(
    opset={"ai.onnx": 18},
    inputs={"input_ids": "int64[batch_size, sequence_length]", "attention_mask": "int64[batch_size, sequence_length]"},
    outputs={"logits": "float32[batch_size, 4]"},
    fixed_axes=(),
    operators={"MatMulInteger": 12},
    attention=AttentionFacts(fused=0, unfused=2, heads=(4,), head_sizes=(8,), widths=(32,)),
    encoder=EncoderShape(layers=2, heads=4, hidden_size=32, parameter_bytes=4_000_000),
    products=ProductFacts(nodes=14, integer_nodes=12, multiply_adds=100, integer_multiply_adds=99, integer_share=0.99),
    requantized_weights=(),
    constant_bytes={"int8": 1_000_000, "float32": 10_000},
    bytes_to_parameters=0.25,
    duplicate_bytes=0,
    float64=(),
    unmatched_excludes=(),
)
FLOAT_PRODUCTS = replace(GRAPH.products, integer_nodes=0, integer_multiply_adds=0, integer_share=0.0)
CONTENT = GraphContent(
    ir_version=8,
    precision=Precision.INT8_DYNAMIC,
    facts=GRAPH,
    integers=IntegerWeights(signed=12, unsigned=0, pairs=1000, overflowing_pairs=0),
    float_matrices=(FloatMatrix("classifier", 1000, table=False),),
    hidden_constants=0,
    casts=2,
    non_finite=(),
    last_operator="Gemm",
    external=(),
)
HEALTHY = Facts(
    Asked("model"),
    processor=Processor("a processor", "x86", ("avx2", "avx512_vnni", "avx512f")),
    cores=Cores(logical=8, affinity=8, quota=None, counted=8),
    noise=Noise(load=0.1, steal_share=0.001, throttled_share=0.0, governor="performance", boost=False),
    software=Software({"torch": "2.13.0+cpu", "onnx": "1.23"}, {"onnxruntime": "1.31"}, {}, (), "g++"),
    runtime=Runtime(
        "1.31", (CPU,), None, "", gpu_driver=False, written_opset=26, written_ir=13, read_opset=26, read_ir=13
    ),
    storage=Storage(
        (
            Folder("cache", "/cache", "DRIFTGATE_CACHE", None, 100_000_000_000),
            Folder("temporary files", "/tmp", "TMPDIR", None, 100_000_000_000),  # noqa: S108
            Folder("hub cache", "/hub", "HF_HOME", None, 100_000_000_000),
        ),
        Cache(entries=9, size_bytes=1000, leftovers=(), leftover_bytes=0, held=()),
        memory_bytes=64_000_000_000,
    ),
    hub=Hub(offline=False, has_token=True),
    sources=(
        Source(
            folder="/models/encoder",
            has_config=True,
            config_error=None,
            problem_type="multi_label_classification",
            labels=("joy", "anger"),
            tokenizer=("tokenizer.json", "vocab.json"),
            weights={"F32": 4_000_000},
            pickled=(),
            non_finite=(),
            refused=None,
        ),
    ),
    graphs=(Graph("model.onnx", 1_010_000, content=CONTENT, session=Session(CPU, None, {"MatMulIntegerToFloat": 12})),),
)


def changed(part: str, **changes: Any) -> Change:
    """`changed("cores", quota=2.0)`: the facts with another quota."""
    return lambda facts: replace(facts, **{part: replace(getattr(facts, part), **changes)})


def source(**changes: Any) -> Change:
    return lambda facts: replace(facts, sources=tuple(replace(found, **changes) for found in facts.sources))


def graph(**changes: Any) -> Change:
    return lambda facts: replace(facts, graphs=tuple(replace(found, **changes) for found in facts.graphs))


def content(**changes: Any) -> Change:
    return graph(content=replace(CONTENT, **changes))


def lint(**changes: Any) -> Change:
    return content(facts=replace(GRAPH, **changes))


def content_of(**changes: Any) -> Change:
    """`content` of a graph that was changed already."""

    def apply(facts: Facts) -> Facts:
        (found,) = facts.graphs
        assert found.content is not None
        return graph(content=replace(found.content, **changes))(facts)

    return apply


def blocks(*, in_integers: bool = False, in_float16: bool = False) -> Change:
    """A graph of MatMulNBits products instead of integer ones."""
    facts = replace(GRAPH, products=FLOAT_PRODUCTS, block_multiply_adds={"int4": 99})
    products = BlockProducts(in_integers=in_integers, in_float16=in_float16)
    return both(
        content(precision=Precision.INT4_BLOCKWISE, facts=facts, block_products=products),
        graph(session=Session(CPU, None, {"MatMulNBits": 12})),
    )


def both(*changes: Change) -> Change:
    def apply(facts: Facts) -> Facts:
        for change in changes:
            facts = change(facts)
        return facts

    return apply


def folder(place: int, **changes: Any) -> Change:
    def apply(facts: Facts) -> Facts:
        assert facts.storage is not None
        folders = list(facts.storage.folders)
        folders[place] = replace(folders[place], **changes)
        return changed("storage", folders=tuple(folders))(facts)

    return apply


def cache(**changes: Any) -> Change:
    assert HEALTHY.storage is not None
    assert HEALTHY.storage.cache is not None
    return changed("storage", cache=replace(HEALTHY.storage.cache, **changes))


def variables(**values: str) -> Change:
    return changed("cores", variables=values)


AVX2 = changed("processor", flags=("avx2",))
ON_CUDA = changed("asked", device="cuda")
GIVEN_CUDA = both(
    ON_CUDA, changed("runtime", offered=(CUDA, CPU), given=CUDA), changed("software", versions={"torch": "2.13"})
)
SATURATING = IntegerWeights(signed=12, unsigned=0, pairs=1000, overflowing_pairs=7)
UNSIGNED = IntegerWeights(signed=0, unsigned=12, pairs=0, overflowing_pairs=0)
FLOAT16 = content(precision=Precision.FP16)
MATRIX = FloatMatrix("encoder/dense", 200_000, table=False)
TABLE = FloatMatrix("embeddings", 200_000, table=True)

# What is changed in a healthy machine or model, and all that is to be said then.
FINDINGS: dict[str, tuple[Change, dict[str, Severity]]] = {
    # The processor
    "no flags": (changed("processor", flags=()), {"instruction-sets-unknown": WARNING}),
    "SSE only": (changed("processor", flags=("sse4_2",)), {"no-avx2": WARNING}),
    "AVX2 only": (AVX2, {"no-vnni": NOTE}),
    "AVX-512 without VNNI": (changed("processor", flags=("avx2", "avx512f")), {"no-vnni": NOTE}),
    "old ARM": (changed("processor", architecture="arm", flags=("asimd",)), {"no-dot-product": NOTE}),
    # Threads
    "quota": (changed("cores", quota=2.0, counted=2), {"cores-limited": WARNING}),
    "affinity": (changed("cores", affinity=2, counted=2), {"cores-limited": WARNING}),
    "quota in a slice": (changed("cores", quota=1.5), {"cores-limited": WARNING, "quota-overlooked": WARNING}),
    "one of eight": (changed("cores", affinity=1, counted=1), {"cores-limited": WARNING, "one-core": NOTE}),
    "one core": (changed("cores", logical=1, affinity=1, counted=1), {"one-core": NOTE}),
    "too many asked for": (changed("asked", threads=9), {"threads-above-cores": WARNING}),
    "OMP_NUM_THREADS high": (variables(OMP_NUM_THREADS="64"), {"threads-above-cores": WARNING}),
    "OMP_NUM_THREADS by level": (variables(OMP_NUM_THREADS="64,2"), {"threads-above-cores": WARNING}),
    "MKL_NUM_THREADS high": (variables(MKL_NUM_THREADS="9"), {"threads-above-cores": WARNING}),
    "OMP_NUM_THREADS low": (variables(OMP_NUM_THREADS="1"), {"threads-below-cores": NOTE}),
    "OMP_NUM_THREADS wrong": (variables(OMP_NUM_THREADS="all"), {"threads-not-a-number": WARNING}),
    "active waiting": (variables(OMP_WAIT_POLICY="ACTIVE"), {"spinning": WARNING}),
    "endless block time": (variables(KMP_BLOCKTIME="infinite"), {"spinning": WARNING}),
    "serial tokenizers": (variables(TOKENIZERS_PARALLELISM="false"), {"tokenizers-serial": NOTE}),
    "xdist by option": (variables(PYTEST_ADDOPTS="-q -n 4"), {"parallel-tests": WARNING}),
    "xdist unreadable": (variables(PYTEST_ADDOPTS="-k 'x -n4"), {"parallel-tests": WARNING}),
    "xdist worker": (variables(PYTEST_XDIST_WORKER_COUNT="2"), {"parallel-tests": WARNING}),
    # Clocks
    "some load": (changed("noise", load=5.0), {"busy": NOTE}),
    "more load than cores": (changed("noise", load=9.0), {"busy": WARNING}),
    "some steal": (changed("noise", steal_share=0.02), {"steal": NOTE}),
    "much steal": (changed("noise", steal_share=0.2), {"steal": WARNING}),
    "throttled": (changed("noise", throttled_share=0.5), {"throttled": WARNING}),
    "powersave": (changed("noise", governor="powersave"), {"governor": NOTE}),
    "boost": (changed("noise", boost=True), {"boost": NOTE}),
    # Packages
    "no runtime": (changed("software", runtimes={}), {"no-runtime": PROBLEM}),
    "two runtimes": (
        changed("software", runtimes={"onnxruntime": "1", "onnxruntime-gpu": "1"}),
        {"two-runtimes": PROBLEM},
    ),
    "two versions": (changed("software", twice={"torch": ("2.13", "2.12")}), {"installed-twice": WARNING}),
    "unmet": (changed("software", broken=(Broken("a", "b<2", "3"),)), {"unmet-requirement": PROBLEM}),
    "missing": (changed("software", broken=(Broken("a", "b<2", None),)), {"unmet-requirement": PROBLEM}),
    "no compiler": (changed("software", compiler=None), {"no-compiler": NOTE}),
    "no compiler for torch-compile": (
        both(changed("software", compiler=None), changed("asked", backend="torch-compile")),
        {"no-compiler": PROBLEM},
    ),
    "runtime does not import": (
        lambda facts: replace(facts, runtime=None, unread=(Unread("ONNX Runtime", "ImportError: no"),)),
        {"runtime-fails": PROBLEM},
    ),
    "runtime is not there": (
        both(
            lambda facts: replace(facts, runtime=None, unread=(Unread("ONNX Runtime", "ImportError: no"),)),
            changed("software", runtimes={}),
        ),
        {"no-runtime": PROBLEM},
    ),
    "something unread": (
        lambda facts: replace(facts, noise=None, unread=(Unread("noise", "ValueError: what"),)),
        {"undetermined": WARNING},
    ),
    # Providers
    "CUDA asked, CPU wheel": (
        both(ON_CUDA, changed("runtime", given=CPU)),
        {"cuda-not-given": PROBLEM, "torch-without-cuda": PROBLEM, "int8-on-cuda": WARNING},
    ),
    "CUDA wheel without a driver": (
        changed("runtime", offered=(CUDA, CPU), given=CPU, not_given_because="libcudnn.so.9: not found"),
        {"cuda-not-given": WARNING},
    ),
    "INT8 on CUDA": (GIVEN_CUDA, {"int8-on-cuda": WARNING}),
    "a GPU and a CPU wheel": (changed("runtime", gpu_driver=True), {"gpu-unused": NOTE}),
    "new opset": (changed("runtime", written_opset=27), {"onnx-too-new": NOTE}),
    "new IR": (changed("runtime", written_ir=14), {"onnx-too-new": NOTE}),
    # Storage and hub
    "cache not writable": (folder(0, error="Read-only file system"), {"cache-not-writable": PROBLEM}),
    "no temporary files": (folder(1, error="Not a directory"), {"temporary-files-not-writable": PROBLEM}),
    "hub cache not writable": (folder(2, error="Permission denied"), {"hub-cache-not-writable": WARNING}),
    "little disk": (folder(0, free_bytes=2_000_000_000), {"disk-low": WARNING}),
    "no disk": (folder(1, free_bytes=1_000_000), {"disk-low": PROBLEM}),
    "killed builds": (cache(leftovers=("x.partial-1",), leftover_bytes=5), {"cache-leftovers": NOTE}),
    "a build runs": (cache(held=("x",)), {"cache-building": NOTE}),
    "little memory": (changed("storage", memory_bytes=1_000_000_000), {"memory-low": WARNING}),
    "a model too big": (
        both(changed("storage", memory_bytes=4_000_000_000), graph(size_bytes=2_000_000_000)),
        {"memory-low": WARNING},
    ),
    "offline": (changed("hub", offline=True, has_token=False), {"hub-offline": NOTE}),
    "no token": (changed("hub", has_token=False), {"hub-no-token": NOTE}),
    # The files of a model
    "no config": (source(has_config=False, labels=None, tokenizer=()), {"no-config": NOTE}),
    "broken config": (source(config_error="Expecting value"), {"config-unreadable": PROBLEM}),
    "no problem type": (source(problem_type=None), {"problem-type-unsaid": WARNING}),
    "no labels": (source(labels=None), {"labels-unnamed": NOTE}),
    "numbered labels": (source(labels=("LABEL_0", "LABEL_1")), {"labels-unnamed": NOTE}),
    "slow tokenizer": (source(tokenizer=("vocab.txt",)), {"slow-tokenizer": WARNING}),
    "no tokenizer": (source(tokenizer=()), {"no-tokenizer": PROBLEM}),
    "pickled": (source(weights={}, pickled=("pytorch_model.bin",)), {"pickled-weights": WARNING}),
    "NaN in weights": (source(non_finite=("classifier.bias",)), {"weights-not-finite": PROBLEM}),
    "half weights": (source(weights={"BF16": 1000}), {"half-precision-weights": NOTE}),
    "refused encoder": (source(refused="no classification head"), {"refused": PROBLEM}),
    # Any graph
    "not ONNX": (graph(content=None, session=None, error="not an ONNX file"), {"graph-unreadable": PROBLEM}),
    "refused graph": (graph(refused="files differ from its manifest"), {"refused": PROBLEM}),
    "does not load": (graph(session=Session(CPU, "Unsupported IR version", {})), {"session-fails": PROBLEM}),
    "copies": (
        both(GIVEN_CUDA, FLOAT16, graph(session=Session(CUDA, None, {"MemcpyToHost": 3}))),
        {"memory-copies": WARNING},
    ),
    "no mask": (lint(inputs={"input_ids": "int64[b, s]"}), {"no-attention-mask": PROBLEM}),
    "probabilities": (content(last_operator="Sigmoid"), {"probabilities": WARNING}),
    "old opset": (lint(opset={"ai.onnx": 11}), {"old-opset": NOTE}),
    "external": (content(external=("model.onnx_data",)), {"external-data": NOTE}),
    "fixed axes": (lint(fixed_axes=("input_ids axis 1 is 128",)), {"graph-fixed-axes": PROBLEM}),
    "float64": (lint(float64=("scale",)), {"graph-float64": WARNING}),
    "another model": (lint(encoder=replace(GRAPH.encoder, layers=6)), {"graph-attention": PROBLEM}),
    "duplicates": (lint(duplicate_bytes=900_000), {"graph-duplicate-constants": WARNING}),
    "some duplicates": (
        lint(duplicate_bytes=200_000, constant_bytes={"int8": 4_000_000}),
        {"duplicates": NOTE},
    ),
    "too big": (lint(bytes_to_parameters=1.4), {"graph-size": WARNING}),
    "four bits": (content(precision=None), {"precision-unknown": NOTE}),
    "NaN": (content(non_finite=("bias",)), {"weights-not-finite": PROBLEM}),
    "hidden weights": (content(hidden_constants=18), {"hidden-weights": WARNING}),
    "float16 on a CPU": (FLOAT16, {"float16-on-cpu": WARNING}),
    "islands": (content(precision=Precision.FP16, casts=40), {"float16-on-cpu": WARNING, "float16-islands": NOTE}),
    # INT8
    "unsigned on VNNI": (content(integers=UNSIGNED), {"int8-unsigned-weights": WARNING}),
    "saturation": (both(AVX2, content(integers=SATURATING)), {"no-vnni": NOTE, "int8-saturates": WARNING}),
    "saturation elsewhere": (content(integers=SATURATING), {"int8-not-portable": NOTE}),
    "half in integers": (
        lint(products=replace(GRAPH.products, integer_share=0.3)),
        {"graph-integer-work": PROBLEM},
    ),
    "weights only": (
        both(
            lint(products=ProductFacts(12, 0, 100, 0, 0.0)),
            graph(session=Session(CPU, None, {"MatMul": 12})),
        ),
        {"int8-no-integer-products": PROBLEM},
    ),
    "weights quantized in every call": (
        lint(requantized_weights=("shared",)),
        {"graph-weights-quantized-at-run-time": WARNING},
    ),
    "not fused": (graph(session=Session(CPU, None, {"MatMul": 12})), {"int8-not-fused": WARNING}),
    "float tables": (content(float_matrices=(TABLE,)), {"int8-float-tables": WARNING}),
    "float products": (content(float_matrices=(MATRIX,)), {"int8-float-products": WARNING}),
    # Weights quantized in blocks
    "4-bit integers": (blocks(), {"blocks-in-float": NOTE}),
    "4-bit integers in integer products": (blocks(in_integers=True), {"blocks-in-integers": NOTE}),
    "4-bit integers in float16": (blocks(in_float16=True), {"blocks-in-float": NOTE, "blocks-float16-on-cpu": NOTE}),
    "4-bit floats": (
        both(blocks(), content_of(precision=Precision.FLOAT4_BLOCKWISE)),
        {"blocks-expanded-on-cpu": WARNING},
    ),
    "4-bit weights that are expanded": (
        both(blocks(in_integers=True), graph(session=Session(CPU, None, {"DequantizeLinear": 12, "MatMul": 12}))),
        {"blocks-not-fused": WARNING},
    ),
    "4-bit weights and float tables": (
        both(blocks(), content_of(float_matrices=(TABLE,))),
        {"blocks-in-float": NOTE, "blocks-float-tables": NOTE},
    ),
    "2-bit weights": (both(blocks(), content_of(precision=None)), {"precision-unknown": NOTE}),
    "few 4-bit weights": (
        both(blocks(), content_of(facts=replace(GRAPH, products=FLOAT_PRODUCTS, block_multiply_adds={"int4": 30}))),
        {"blocks-in-float": NOTE, "graph-block-quantized-work": PROBLEM},
    ),
}

# Near misses, of which nothing is to be said.
SILENT: dict[str, Change] = {
    "modern ARM": changed("processor", architecture="arm", flags=("asimd", "asimddp")),
    "AVX-VNNI": changed("processor", flags=("avx2", "avx_vnni")),
    "AMX": changed("processor", flags=("amx_int8", "avx2")),
    "unsigned where VNNI takes it": both(
        changed("processor", flags=("avx2", "avx_vnni", "avx_vnni_int8")), content(integers=UNSIGNED)
    ),
    "unsigned on ARM": both(
        changed("processor", architecture="arm", flags=("asimd", "asimddp")), content(integers=UNSIGNED)
    ),
    "a quota above the cores": changed("cores", quota=9.0),
    "threads set to the quota": changed(
        "cores", quota=2.0, counted=2, variables={"OMP_NUM_THREADS": "2", "ORT_INTRA_OP_NUM_THREADS": "2"}
    ),
    "as many threads as cores": both(changed("asked", threads=8), variables(OMP_NUM_THREADS="8")),
    "ONNX Runtime's own choice": variables(ORT_INTRA_OP_NUM_THREADS="0"),
    "passive waiting": variables(OMP_WAIT_POLICY="PASSIVE", KMP_BLOCKTIME="0"),
    "parallel tokenizers": variables(TOKENIZERS_PARALLELISM="true"),
    "tests one by one": variables(PYTEST_ADDOPTS="-q -n0"),
    "nothing known about clocks": changed(
        "noise", load=None, steal_share=None, throttled_share=None, governor=None, boost=None
    ),
    "fp16 on CUDA": both(GIVEN_CUDA, FLOAT16),
    "4-bit floats on CUDA": both(GIVEN_CUDA, blocks(), content_of(precision=Precision.FLOAT4_BLOCKWISE)),
    "FP32": both(
        content(precision=Precision.FP32, float_matrices=(MATRIX, TABLE)), graph(session=Session(CPU, None, {}))
    ),
    "pickled beside safetensors": source(pickled=("pytorch_model.bin",)),
    "no free space known": folder(0, free_bytes=None),
    "an empty cache": changed("storage", cache=None),
    "a session whose operators are not known": graph(session=Session(CPU, None, {})),
    "no session": graph(session=None),
    "a small float head": content(float_matrices=(FloatMatrix("classifier", 40_000, table=False),)),
    "a big model in a bigger memory": graph(size_bytes=20_000_000_000),
    "nothing asked about a model": lambda facts: replace(facts, sources=(), graphs=()),
}


def said(facts: Facts) -> dict[str, Severity]:
    return {finding.id: finding.severity for finding in examine(facts)}


def test_nothing_is_said_of_a_healthy_machine_and_model() -> None:
    assert examine(HEALTHY) == []


@pytest.mark.parametrize(("change", "expected"), FINDINGS.values(), ids=FINDINGS)
def test_each_fault_is_found_and_nothing_else(change: Change, expected: dict[str, Severity]) -> None:
    assert said(change(HEALTHY)) == expected


@pytest.mark.parametrize("change", SILENT.values(), ids=SILENT)
def test_nothing_is_said_of_a_near_miss(change: Change) -> None:
    assert said(change(HEALTHY)) == {}


def test_facts_that_could_not_be_read_stop_no_check() -> None:
    blind = Facts(Asked(), unread=(Unread("processor", "OSError: no"), Unread("cores", "OSError: no")))
    findings = examine(blind)
    assert [finding.id for finding in findings] == ["undetermined", "undetermined"]
    assert "OSError: no" in findings[0].found


def test_every_finding_says_what_was_found_why_it_matters_and_what_to_do() -> None:
    for change, _ in FINDINGS.values():
        for finding in examine(change(HEALTHY)):
            assert finding.found, finding
            assert finding.matters, finding
            assert finding.advice, finding
            assert finding.id == finding.id.lower().replace(" ", "-")


def test_the_worst_comes_first() -> None:
    change = both(changed("hub", has_token=False), changed("noise", load=9.0), changed("software", runtimes={}))
    assert [finding.severity for finding in examine(change(HEALTHY))] == [PROBLEM, WARNING, NOTE]


def test_findings_name_the_values_they_are_about() -> None:
    (quota,) = examine(changed("cores", logical=64, affinity=64, quota=2.0, counted=2)(HEALTHY))
    assert "usable processors: 2 of 64" in quota.found
    assert "intra_op_num_threads=2" in quota.advice
    (unsigned,) = examine(content(integers=UNSIGNED)(HEALTHY))
    assert "12 of 12" in unsigned.found
    (table,) = examine(content(float_matrices=(TABLE,))(HEALTHY))
    assert "embeddings (0.2 MB)" in table.found


def test_two_folders_on_one_full_disk_are_one_finding() -> None:
    change = both(folder(0, free_bytes=1_000_000_000), folder(1, free_bytes=1_000_000_000))
    (finding,) = examine(change(HEALTHY))
    assert "/cache" in finding.found
    assert "/tmp" in finding.found  # noqa: S108


def test_a_weight_that_is_quantized_in_every_call_is_said_once() -> None:
    facts = replace(GRAPH, requantized_weights=(MATRIX.name,))
    change = content(facts=facts, float_matrices=(MATRIX,))
    assert set(said(change(HEALTHY))) == {"graph-weights-quantized-at-run-time"}


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(8_200, "8.2 kB"), (228_100_000, "228.1 MB"), (1_500_000_000, "1.5 GB"), (200_000, "0.2 MB")],
)
def test_sizes_are_told_in_a_fitting_unit(size_bytes: int, text: str) -> None:
    assert megabytes(size_bytes) == text
