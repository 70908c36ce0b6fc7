"""Another torch checkpoint of the same task, judged like a backend: a fine-tune against its parent."""

from dataclasses import replace
from pathlib import Path

from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.errors import ArtifactError
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize_alike


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
