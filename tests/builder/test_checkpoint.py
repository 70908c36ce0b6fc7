"""Another torch checkpoint as a backend."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from driftgate.backends import Precision, Runtime
from driftgate.errors import ArtifactError, EncoderError
from driftgate.inputs.backend_names import parse_backends
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.tokens import tokenize, tokenize_alike
from driftgate.pipeline import Built, open_built, prepare_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

LABELS = ("joy", "anger", "surprise", "neutral")
TEXTS = ("thank you so much", "the bus was late again")
SETTINGS = RunSettings(1)


def prepare(encoder: Path, name: str, path: Path) -> Built:
    (spec,) = parse_backends(f"{name}={path}")
    return prepare_backend(load_encoder(encoder), spec)


def test_a_folder_of_torch_weights_is_a_checkpoint(tiny_encoder: Path, copy_encoder: Callable[..., Path]) -> None:
    built = prepare(tiny_encoder, "parent", copy_encoder())
    assert (built.spec.precision, built.spec.runtime) == (Precision.CHECKPOINT, Runtime.TORCH)
    assert built.artifact is None


def test_a_checkpoint_answers_with_its_own_weights(
    tiny_encoder: Path, make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_tiny_encoder(tmp_path / "other", seed=1)
    encoder = load_encoder(tiny_encoder)
    tokens = tokenize(encoder, TEXTS)
    answers = {
        name: predict(open_built(prepare(tiny_encoder, name, path), SETTINGS), tokens, BudgetPlan())
        for name, path in (("same", tiny_encoder), ("other", other))
    }
    own = predict(
        open_built(prepare_backend(load_encoder(other), parse_backends("torch")[0]), SETTINGS), tokens, BudgetPlan()
    )
    assert np.array_equal(answers["other"], own)
    assert not np.allclose(answers["same"], answers["other"])


def test_a_class_that_is_given_holds_the_checkpoint_to_its_bounds(tiny_encoder: Path) -> None:
    assert prepare(tiny_encoder, "again:fp32", tiny_encoder).spec.precision is Precision.FP32


def test_other_labels_are_refused(tiny_encoder: Path, make_tiny_encoder: Callable[..., Path], tmp_path: Path) -> None:
    other = make_tiny_encoder(tmp_path / "other", labels=LABELS[::-1])
    with pytest.raises(ArtifactError, match="its labels, or their order, are not those of the encoder"):
        prepare(tiny_encoder, "parent", other)


def test_another_tokenizer_is_refused(tiny_encoder: Path, copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder()
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ArtifactError, match="its tokenizer is not that of the encoder"):
        prepare(tiny_encoder, "parent", folder)


def test_a_truncation_that_a_tokenizer_was_left_with_is_no_difference(
    tiny_encoder: Path, copy_encoder: Callable[..., Path]
) -> None:
    folder = copy_encoder()
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert tokenize_alike(load_encoder(tiny_encoder), load_encoder(folder))


def test_a_folder_that_is_no_classifier_is_refused(tiny_encoder: Path, copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder(architectures=["RobertaModel"])
    with pytest.raises(EncoderError, match="ForSequenceClassification"):
        prepare(tiny_encoder, "parent", folder)
