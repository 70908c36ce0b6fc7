"""Files that someone else published: an ONNX graph, looked into before its name is believed, or another checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.builder.artifact import Artifact, open_artifact
from driftgate.errors import ArtifactError
from driftgate.files import parse_json
from driftgate.inputs.backend_names import name_promises
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.model_folder import folder_of, is_own_file, own_files
from driftgate.inputs.tokens import tokenize_alike
from driftgate.onnx_graph.graph import makers, real_inputs
from driftgate.onnx_graph.graph_precision import infer_precision
from driftgate.onnx_graph.onnx_file import read_model

_KNOWN_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


def open_published(spec: BackendSpec, encoder: Encoder) -> tuple[BackendSpec, Artifact]:
    """The artifact behind `name[:class]=PATH`, with its class read from the graph.

    Raises:
        ArtifactError: no ONNX file there, or inputs, labels, vocabulary or precision that do not fit.
    """
    path = find_published_model(spec)
    model = read_model(path)
    graph, inferred = model.graph, _infer_precision(path, model)
    _check_precision(spec, path, inferred)
    _check_inputs(path, graph)
    _check_labels(path, graph, encoder)
    _check_output(path, graph)
    _check_vocabulary(path, graph, encoder)
    return replace(spec, precision=inferred, published=path), open_artifact(path, inferred)


def find_published_model(spec: BackendSpec) -> Path:
    """The model file that `name=PATH` names: the file itself, or the one in the folder.

    Raises:
        ArtifactError: none there, or several. UnsafeFileError: it leads out of its folder.
    """
    path = spec.published or Path()
    if path.is_file():
        return path
    models = own_files(path, "*.onnx") if path.is_dir() else []
    if len(models) != 1:
        found = ", ".join(model.name for model in models) or ("no .onnx file" if path.is_dir() else "nothing")
        raise ArtifactError(f"backend {spec.name}={path}: expected an ONNX file or a folder with one, found {found}")
    return models[0]


def _infer_precision(path: Path, model: Any) -> Precision:
    try:
        return infer_precision(model)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _check_precision(spec: BackendSpec, path: Path, inferred: Precision) -> None:
    if spec.precision not in (Precision.FROM_GRAPH, inferred):
        raise ArtifactError(
            f"backend {spec.name}: given as {spec.precision}, but the graph of {path.name} is {inferred}"
        )
    promised = name_promises(spec.name)
    if promised and not inferred.startswith(promised):
        raise ArtifactError(
            f"backend {spec.name}: the name says {promised}, but the graph of {path.name} is {inferred}; rename it"
        )


def _check_inputs(path: Path, graph: Any) -> None:
    inputs = {value.name for value in real_inputs(graph)}
    if "input_ids" not in inputs or not inputs <= _KNOWN_INPUTS:
        raise ArtifactError(
            f"{path}: expected inputs input_ids, attention_mask and perhaps token_type_ids, found {', '.join(sorted(inputs))}"
        )
    if "attention_mask" not in inputs:
        raise ArtifactError(
            f"{path}: the graph takes no attention_mask: padding would change its answers; export it again with one"
        )


def _check_labels(path: Path, graph: Any, encoder: Encoder) -> None:
    shape = graph.output[0].type.tensor_type.shape.dim
    outputs = shape[-1].dim_value if shape else 0
    if outputs and outputs != len(encoder.labels):
        raise ArtifactError(
            f"{path}: expected {len(encoder.labels)} outputs, one for each label of the encoder {encoder.name}, found {outputs}"
        )
    config = path.parent / "config.json"
    if is_own_file(config, folder_of(path)):
        try:
            id2label = parse_json(config.read_text(encoding="utf-8")).get("id2label") or {}
            labels = tuple(id2label[index] for index in sorted(id2label, key=int))
        except (ValueError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{config}: its labels cannot be read ({error}); correct or remove the file") from error
        if labels and labels != encoder.labels:
            raise ArtifactError(f"{config}: its labels, or their order, are not those of the encoder {encoder.name}")


def _check_output(path: Path, graph: Any) -> None:
    last = makers(graph).get(graph.output[0].name)
    if last is not None and last.op_type in ("Sigmoid", "Softmax"):
        raise ArtifactError(
            f"{path}: its output {graph.output[0].name!r} is computed by {last.op_type}, which gives probabilities; "
            "expected logits; export the model without its final activation"
        )


def _check_vocabulary(path: Path, graph: Any, encoder: Encoder) -> None:
    tables = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) == 2}  # noqa: PLR2004 - a matrix
    for node in graph.node:
        if node.op_type in ("Gather", "GatherBlockQuantized", "EmbedLayerNormalization") and "input_ids" in node.input:
            rows = next((tables[name] for name in node.input if name in tables), encoder.vocab_size)
            if rows != encoder.vocab_size:
                raise ArtifactError(
                    f"{path}: its embedding table has {rows} tokens, the encoder {encoder.name} has {encoder.vocab_size}; "
                    "it was made from another model"
                )


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a folder of torch weights, not of an ONNX file."""
    return (path / "config.json").is_file() and not any(path.glob("*.onnx"))


def open_checkpoint(spec: BackendSpec, encoder: Encoder) -> tuple[BackendSpec, Encoder]:
    """The encoder behind `name[:class]=FOLDER`; without a class it is `checkpoint`: other weights, same task.

    Raises:
        ArtifactError: other labels, another order, another problem type or another tokenizer than the encoder's.
        EncoderError: the folder is not a text classifier.
    """
    path = spec.published or Path()
    other = load_encoder(
        path,
        problem_type=encoder.problem_type,
        allow_pickle=encoder.allow_pickle,
        trust_remote_code=encoder.trust_remote_code,
    )
    if other.labels != encoder.labels:
        raise ArtifactError(f"{path}: its labels, or their order, are not those of the encoder {encoder.name}")
    if not tokenize_alike(encoder, other):
        raise ArtifactError(
            f"{path}: its tokenizer is not that of the encoder {encoder.name}, so the two cannot be given the same tokens; "
            "judge it as an encoder of its own"
        )
    other = replace(other, max_tokens=min(other.max_tokens, encoder.max_tokens), takes_pairs=encoder.takes_pairs)
    precision = Precision.CHECKPOINT if spec.precision is Precision.FROM_GRAPH else spec.precision
    return replace(spec, precision=precision, runtime=Runtime.TORCH, published=path), other
