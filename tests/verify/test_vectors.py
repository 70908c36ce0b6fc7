"""Golden vectors as they are written."""

from pathlib import Path

import numpy as np
import pytest
from verified_models import (
    FEED,
    IDS,
    WIDTH,
    save_encoder,
)

from driftgate.builder.vectors import embedded_feeds, vectors_folder, write_vectors
from driftgate.errors import BuildError
from driftgate.inputs.encoder import load_encoder
from driftgate.verify.vector_sets import find_sets, read_set


def test_golden_vectors_are_named_and_numbered_as_the_graph_has_them(model: Path) -> None:
    vectors = read_set(model.parent / "test_data_set_0")
    assert [(tensor.number, tensor.name) for tensor in vectors.inputs] == [(0, "input_ids"), (1, "attention_mask")]
    assert [tensor.name for tensor in vectors.outputs] == ["last_hidden_state", "pooler_output"]
    assert vectors.inputs[0].values.dtype == np.int64
    assert vectors.outputs[0].values.shape == (*IDS.shape, WIDTH)


def test_the_same_model_writes_the_same_bytes(model: Path, tmp_path: Path) -> None:
    (again,) = write_vectors(tmp_path, model, [FEED])
    for path in again.iterdir():
        assert path.read_bytes() == (model.parent / "test_data_set_0" / path.name).read_bytes()


def test_golden_vectors_are_not_written_over(model: Path) -> None:
    with pytest.raises(BuildError, match="found test_data_set_0; nothing was written"):
        write_vectors(model.parent, model, [FEED])


def test_a_feed_that_lacks_an_input_leaves_no_vectors(tmp_path: Path) -> None:
    path = save_encoder(tmp_path / "model.onnx")
    with pytest.raises(BuildError, match="takes attention_mask, which the feed does not have"):
        write_vectors(tmp_path, path, [FEED, {"input_ids": IDS}])
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


def test_models_that_share_a_folder_have_vectors_of_their_own(tmp_path: Path) -> None:
    one, other = save_encoder(tmp_path / "onnx/model.onnx"), save_encoder(tmp_path / "onnx/model_b.onnx", shift=1)
    for path in (one, other):
        vectors_folder(path).mkdir()
        write_vectors(vectors_folder(path), path, [FEED])
    assert [find_sets(path)[0].parent.name for path in (one, other)] == ["model", "model_b"]


def test_embedded_feeds_are_a_short_text_a_padded_batch_and_a_truncated_text(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    short, padded, truncated = embedded_feeds(encoder)
    assert short["input_ids"].shape[0] == 1
    assert short["attention_mask"].all()
    assert padded["input_ids"].shape[0] > 1
    assert not padded["attention_mask"].all()
    assert truncated["input_ids"].shape[1] == encoder.max_tokens
    assert truncated["attention_mask"][0].all()
    assert all(array.dtype == np.int64 for feed in (short, padded, truncated) for array in feed.values())
