"""Which source models are accepted, and how each unusable one is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from driftgate.errors import EncoderError, UnsafeFileError
from driftgate.inputs.encoder import Encoder, ProblemType, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.inputs.weights import load_module

CopyEncoder = Callable[..., Path]
MakeEncoder = Callable[..., Path]

LABELS = ("joy", "anger", "surprise", "neutral")


def put_pickled_weights(folder: Path) -> None:
    """Replace the safetensors file by a pytorch_model.bin of the same tensors."""
    import torch

    torch.save(
        {name: torch.from_numpy(tensor) for name, tensor in load_file(folder / "model.safetensors").items()},
        folder / "pytorch_model.bin",
    )
    (folder / "model.safetensors").unlink()


def change_json(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


def put_thresholds(folder: Path, content: object) -> Path:
    (folder / "thresholds.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


# What is read


def test_labels_come_in_id_order(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder(id2label={"2": "c", "0": "z", "3": "d", "1": "a"})
    assert load_encoder(folder).labels == ("z", "a", "c", "d")


def test_more_than_ten_labels_come_in_numeric_order(tmp_path: Path, make_tiny_encoder: MakeEncoder) -> None:
    labels = tuple(f"label {number}" for number in range(12))
    assert load_encoder(make_tiny_encoder(tmp_path / "e", labels=labels)).labels == labels


def test_labels_without_names_are_numbered(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder(id2label=None, label2id=None, num_labels=4)
    assert load_encoder(folder).labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")


def test_a_local_encoder_is_named_after_its_folder(encoder: Encoder, tiny_encoder: Path) -> None:
    assert (encoder.name, encoder.path) == ("tiny-roberta", tiny_encoder)


def test_a_path_may_be_text(encoder: Encoder, tiny_encoder: Path) -> None:
    assert load_encoder(str(tiny_encoder)) == encoder


def test_roberta_positions_start_behind_the_padding_id(copy_encoder: CopyEncoder) -> None:
    assert load_encoder(copy_encoder(max_position_embeddings=40, pad_token_id=1)).max_tokens == 40 - 1 - 1


def test_bert_positions_start_at_zero(copy_encoder: CopyEncoder) -> None:
    assert load_encoder(copy_encoder(model_type="bert", max_position_embeddings=40)).max_tokens == 40


def test_the_tokenizer_may_lower_the_limit(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    change_json(folder / "tokenizer_config.json", model_max_length=16)
    assert load_encoder(folder).max_tokens == 16


def test_a_tokenizer_without_a_limit_leaves_it_to_the_model(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder(max_position_embeddings=40)
    change_json(folder / "tokenizer_config.json", model_max_length=int(1e30))
    assert load_encoder(folder).max_tokens == 38


def test_an_input_at_the_limit_runs(copy_encoder: CopyEncoder) -> None:
    import torch

    folder = copy_encoder()
    change_json(folder / "tokenizer_config.json", model_max_length=int(1e30))
    encoder = load_encoder(folder)
    module = load_module(encoder, attention="eager")
    with torch.inference_mode():
        ids = torch.full((1, encoder.max_tokens), 7)
        assert torch.isfinite(module(ids).logits).all()
        with pytest.raises((IndexError, RuntimeError)):
            module(torch.full((1, encoder.max_tokens + 1), 7))


def test_vocab_size_is_the_rows_of_the_embedding_table(encoder: Encoder, tiny_encoder: Path) -> None:
    table = load_file(tiny_encoder / "model.safetensors")["roberta.embeddings.word_embeddings.weight"]
    assert encoder.vocab_size == len(table)


# Problem type


@pytest.mark.parametrize("stated", [ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL])
def test_a_stated_problem_type_is_taken_as_it_is(copy_encoder: CopyEncoder, stated: ProblemType) -> None:
    encoder = load_encoder(copy_encoder(problem_type=stated))
    assert (encoder.problem_type, encoder.problem_type_inferred) == (stated, False)


def test_a_given_problem_type_overrides_the_stated_one(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder, problem_type="single_label_classification")
    assert (encoder.problem_type, encoder.problem_type_inferred) == (ProblemType.SINGLE_LABEL, False)


def test_a_missing_problem_type_is_inferred_as_single_label_and_flagged(copy_encoder: CopyEncoder) -> None:
    encoder = load_encoder(copy_encoder(problem_type=None))
    assert (encoder.problem_type, encoder.problem_type_inferred) == (ProblemType.SINGLE_LABEL, True)


def test_one_label_without_a_problem_type_is_inferred_as_multi_label(
    tmp_path: Path, make_tiny_encoder: MakeEncoder
) -> None:
    encoder = load_encoder(make_tiny_encoder(tmp_path / "e", labels=("toxic",), problem_type=None))
    assert (encoder.problem_type, encoder.problem_type_inferred) == (ProblemType.MULTI_LABEL, True)


def test_an_unknown_given_problem_type_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(EncoderError, match="problem_type 'multi-label'"):
        load_encoder(tiny_encoder, problem_type="multi-label")


# Thresholds


def test_an_encoder_without_a_thresholds_file_has_none(encoder: Encoder) -> None:
    assert encoder.thresholds is None


def test_thresholds_come_in_label_order(copy_encoder: CopyEncoder) -> None:
    given = {"neutral": 0.5, "anger": 0.2, "surprise": 0.3, "joy": 0.1}
    assert load_encoder(put_thresholds(copy_encoder(), {"thresholds": given})).thresholds == (0.1, 0.2, 0.3, 0.5)


@pytest.mark.parametrize(
    "content",
    [
        {"thresholds": {"joy": 0.5, "anger": 0.5, "surprise": 0.5}},
        {"thresholds": dict.fromkeys([*LABELS, "fear"], 0.5)},
        {"thresholds": [0.5, 0.5, 0.5, 0.5]},
        dict.fromkeys(LABELS, 0.5),
    ],
    ids=["one-missing", "one-too-many", "a-list", "no-thresholds-key"],
)
def test_thresholds_that_do_not_fit_the_labels_are_refused(copy_encoder: CopyEncoder, content: object) -> None:
    with pytest.raises(EncoderError, match=r"thresholds\.json: expected .*exactly the labels of config\.json"):
        load_encoder(put_thresholds(copy_encoder(), content))


@pytest.mark.parametrize(
    "value", [0, 1, -0.1, 1.5, float("nan"), float("inf"), "half", "0.5", None, True, [0.5]], ids=repr
)
def test_a_threshold_that_is_no_probability_between_0_and_1_is_refused(
    copy_encoder: CopyEncoder, value: object
) -> None:
    thresholds = dict.fromkeys(LABELS, 0.5) | {"surprise": value}
    with pytest.raises(EncoderError, match=r"thresholds\.json: .*surprise.*between 0 and 1"):
        load_encoder(put_thresholds(copy_encoder(), {"thresholds": thresholds}))


# Folders and configurations that are no text classifier


def test_a_folder_that_is_no_encoder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("hello", encoding="utf-8")
    with pytest.raises(EncoderError, match=r"expected an encoder .*config\.json.*found notes\.md.*save_pretrained"):
        load_encoder(tmp_path)


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="found an empty folder"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        (b'{"model_type": "roberta",', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'["roberta"]', "expected a JSON object, found list"),
        (b"{}", "expected model_type and vocab_size"),
    ],
    ids=["truncated", "empty", "not-utf-8", "a-list", "no-keys"],
)
def test_a_malformed_configuration_is_refused(copy_encoder: CopyEncoder, content: bytes, telling: str) -> None:
    folder = copy_encoder()
    (folder / "config.json").write_bytes(content)
    with pytest.raises(EncoderError, match=rf"config\.json: {telling}"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("architectures", "found"),
    [(["RobertaForMaskedLM"], "RobertaForMaskedLM"), ([], "no architectures"), (None, "no architectures")],
    ids=["language-model", "empty", "missing"],
)
def test_a_model_without_a_classification_head_is_refused(
    copy_encoder: CopyEncoder, architectures: list[str] | None, found: str
) -> None:
    with pytest.raises(
        EncoderError, match=f"expected an architecture ending in ForSequenceClassification, found {found}"
    ):
        load_encoder(copy_encoder(architectures=architectures))


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("a", "b", "c", "d", "e")], ids=["too-few", "too-many"])
def test_labels_that_do_not_fit_the_head_are_refused(copy_encoder: CopyEncoder, labels: tuple[str, ...]) -> None:
    folder = copy_encoder(id2label={str(index): label for index, label in enumerate(labels)})
    with pytest.raises(EncoderError, match=f"id2label has {len(labels)} labels, the classification head has 4 outputs"):
        load_encoder(folder)


def test_a_label_named_twice_is_refused(copy_encoder: CopyEncoder) -> None:
    with pytest.raises(EncoderError, match="names a label twice: 'joy'"):
        load_encoder(copy_encoder(id2label={"0": "joy", "1": "anger", "2": "joy", "3": "neutral"}))


@pytest.mark.parametrize(
    "id2label",
    [{"0": "a", "1": "b", "2": "c", "4": "d"}, {"1": "a", "2": "b", "3": "c", "4": "d"}, {"joy": "0"}, ["a", "b"], 4],
    ids=["gap", "from-1", "swapped", "a-list", "a-number"],
)
def test_labels_that_are_not_numbered_from_0_are_refused(copy_encoder: CopyEncoder, id2label: object) -> None:
    with pytest.raises(EncoderError, match=r"config\.json: id2label should number its labels from 0"):
        load_encoder(copy_encoder(id2label=id2label))


def test_an_encoder_without_a_tokenizer_is_refused(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink()
    with pytest.raises(EncoderError, match=r"expected tokenizer files \(tokenizer\.json\), found none"):
        load_encoder(folder)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"version": "1.0"', "[]"], ids=["empty", "no-keys", "truncated", "a-list"]
)
def test_a_damaged_tokenizer_is_refused_when_it_is_used(copy_encoder: CopyEncoder, content: str) -> None:
    folder = copy_encoder()
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    encoder = load_encoder(folder)
    with pytest.raises(EncoderError, match="its tokenizer does not load"):
        tokenize(encoder, ["thank you"])


# Weights


def test_truncated_weights_are_refused(copy_encoder: CopyEncoder) -> None:
    path = copy_encoder() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EncoderError, match=r"model\.safetensors: not a complete safetensors file"):
        load_encoder(path.parent)


def test_missing_weights_are_refused(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"expected weights in model\.safetensors, found none"):
        load_encoder(folder)


def test_the_module_holds_the_weights_of_the_file(encoder: Encoder) -> None:
    module = load_module(encoder, attention="eager")
    stored = load_file(encoder.path / "model.safetensors")["classifier.out_proj.weight"]
    assert np.array_equal(module.classifier.out_proj.weight.detach().numpy(), stored)


def test_the_module_is_in_evaluation_mode_with_the_attention_asked_for(encoder: Encoder) -> None:
    module = load_module(encoder, attention="eager")
    assert (module.training, module.config._attn_implementation) == (False, "eager")


def test_half_precision_weights_load_as_float32(copy_encoder: CopyEncoder) -> None:
    path = copy_encoder(torch_dtype="float16") / "model.safetensors"
    halves = {name: tensor.astype(np.float16) for name, tensor in load_file(path).items()}
    save_file(halves, path, metadata={"format": "pt"})
    module = load_module(load_encoder(path.parent), attention="eager")
    assert {str(parameter.dtype) for parameter in module.parameters()} == {"torch.float32"}


def test_weights_that_lack_the_classifier_are_refused(copy_encoder: CopyEncoder) -> None:
    path = copy_encoder() / "model.safetensors"
    body = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("classifier.")}
    save_file(body, path, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"the weights lack classifier\.dense\.bias.*fine-tuned"):
        load_module(load_encoder(path.parent), attention="eager")


def test_weights_that_do_not_fit_the_configuration_are_refused(copy_encoder: CopyEncoder) -> None:
    encoder = load_encoder(copy_encoder(intermediate_size=48))
    with pytest.raises(EncoderError, match="its weights do not load"):
        load_module(encoder, attention="eager")


# Files that can run code


def test_pickled_weights_are_refused(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    put_pickled_weights(folder)
    with pytest.raises(UnsafeFileError, match=r"pytorch_model\.bin: expected model\.safetensors.*allow_pickle=True"):
        load_encoder(folder)


def test_allowed_pickled_weights_give_the_same_module(copy_encoder: CopyEncoder, encoder: Encoder) -> None:
    folder = copy_encoder()
    put_pickled_weights(folder)
    pickled = load_module(load_encoder(folder, allow_pickle=True), attention="eager").state_dict()
    safe = load_module(encoder, attention="eager").state_dict()
    assert all(bool((pickled[name] == safe[name]).all()) for name in safe)


def test_pickled_weights_beside_safetensors_are_left_alone(copy_encoder: CopyEncoder, encoder: Encoder) -> None:
    folder = copy_encoder()
    (folder / "pytorch_model.bin").write_bytes(b"not read")
    assert load_encoder(folder).sha256 == load_encoder(copy_of(folder, without="pytorch_model.bin")).sha256


def copy_of(folder: Path, *, without: str) -> Path:
    return Path(
        shutil.copytree(folder, folder.with_name(f"{folder.name}-copy"), ignore=shutil.ignore_patterns(without))
    )


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_that_comes_with_the_model_is_refused(copy_encoder: CopyEncoder, name: str) -> None:
    folder = copy_encoder()
    change_json(folder / name, auto_map={"AutoConfig": "configuration.Own"})
    with pytest.raises(UnsafeFileError, match=r"code of its own .*auto_map.*trust_remote_code=True"):
        load_encoder(folder)


def test_trusted_code_passes_and_the_encoder_says_so(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder(auto_map={"AutoConfig": "configuration.Own"})
    assert load_encoder(folder, trust_remote_code=True).trust_remote_code


# The hub


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network and an empty hub cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["someone/some-encoder", "some-encoder"])
def test_a_hub_id_without_a_network_is_refused_with_what_to_check(name: str) -> None:
    with pytest.raises(EncoderError, match=f"encoder '{name}': no such folder here.*HF_HUB_OFFLINE.*local folder"):
        load_encoder(name)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["not a name", "a/b--c", "owner/"], ids=["spaces", "dashes", "no-name"])
def test_a_malformed_hub_id_is_refused(name: str) -> None:
    with pytest.raises(EncoderError, match="no such folder here"):
        load_encoder(name)


@pytest.mark.parametrize("path", ["./encoder", "../encoder", "/encoder", "~/encoder", "models/mine/encoder"])
def test_a_missing_path_never_reaches_the_hub(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        pytest.fail("asked the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(EncoderError, match=r"no such folder here; expected a folder with config.json, or a hub id"):
        load_encoder(path)


def test_a_hub_error_without_words_is_still_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(EncoderError, match=r"could not be fetched from the hub .ConnectionError"):
        load_encoder("someone/some-encoder")


def test_a_hub_encoder_keeps_its_id_as_its_name(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_args, **_options: str(tiny_encoder))
    encoder = load_encoder("someone/some-encoder")
    assert (encoder.name, encoder.path) == ("someone/some-encoder", tiny_encoder)


@pytest.mark.parametrize("allow_pickle", [False, True], ids=["safe", "pickle-allowed"])
def test_pickled_weights_are_downloaded_only_where_allowed(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, allow_pickle: bool
) -> None:
    asked: list[str] = []

    def snapshot_download(_repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(tiny_encoder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    load_encoder("someone/some-encoder", allow_pickle=allow_pickle)
    assert any(pattern.endswith(".bin") for pattern in asked) == allow_pickle


# Digest


def test_a_copy_has_the_same_digest(copy_encoder: CopyEncoder, encoder: Encoder) -> None:
    folder = copy_encoder()
    shutil.copy(encoder.path / "config.json", folder)
    assert load_encoder(folder).sha256 == encoder.sha256


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_the_digest_changes_with_every_file_that_shapes_an_answer(copy_encoder: CopyEncoder, name: str) -> None:
    folder = copy_encoder()
    before = load_encoder(folder).sha256
    change_json(folder / name, remark="changed")
    assert load_encoder(folder).sha256 != before


@pytest.mark.parametrize("name", ["thresholds.json", "tokenizer.model", "bpe.codes", "model.safetensors.index.json"])
def test_the_digest_changes_with_a_file_that_is_there_for_some_encoders_only(
    copy_encoder: CopyEncoder, name: str
) -> None:
    folder = copy_encoder()
    labels = load_encoder(folder).labels
    digests = [load_encoder(folder).sha256]
    for value in (0.25, 0.5):
        content = {"thresholds": dict.fromkeys(labels, value)}
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        digests.append(load_encoder(folder).sha256)
    assert len(set(digests)) == 3


def test_the_digest_changes_with_one_bit_of_the_weights(copy_encoder: CopyEncoder) -> None:
    path = copy_encoder() / "model.safetensors"
    before = load_encoder(path.parent).sha256
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert load_encoder(path.parent).sha256 != before


def test_the_digest_changes_with_the_code_that_is_trusted(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder(auto_map={"AutoConfig": "configuration.Own"})
    code = folder / "configuration.py"
    code.write_text("a = 1", encoding="utf-8")
    before = load_encoder(folder, trust_remote_code=True).sha256
    code.write_text("a = 2", encoding="utf-8")
    assert load_encoder(folder, trust_remote_code=True).sha256 != before


def test_the_digest_ignores_the_model_card(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    before = load_encoder(folder).sha256
    (folder / "README.md").write_text("a model card", encoding="utf-8")
    assert load_encoder(folder).sha256 == before
