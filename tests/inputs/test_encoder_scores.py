"""Which encoders give a score: regressions, and rerankers as sentence-transformers saves them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.errors import EncoderError, OptionError
from driftgate.inputs.encoder import ProblemType, load_encoder
from driftgate.inputs.thresholds import read_thresholds

MakeEncoder = Callable[..., Path]

IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"


@pytest.fixture(scope="module")
def one_output(tmp_path_factory: pytest.TempPathFactory, make_tiny_encoder: MakeEncoder) -> Path:
    return make_tiny_encoder(tmp_path_factory.mktemp("scores") / "one", "bert", labels=("LABEL_0",), problem_type=None)


def change(folder: Path, copy: Path, **entries: object) -> Path:
    """A copy of the encoder with other entries in its config.json."""
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, **entries}), encoding="utf-8")
    return copy


def write_own_config(folder: Path, activation: str) -> Path:
    """As sentence-transformers 5.4 and later write it."""
    content = {"model_type": "CrossEncoder", "activation_fn": activation, "prompts": {}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_regression_gives_a_score(one_output: Path, tmp_path: Path) -> None:
    encoder = load_encoder(change(one_output, tmp_path / "e", problem_type="regression"))
    assert (encoder.gives_score, encoder.problem_type_inferred) == (True, False)


@pytest.mark.parametrize(
    ("activation", "expected"), [(IDENTITY, ProblemType.REGRESSION), (SIGMOID, ProblemType.MULTI_LABEL)]
)
@pytest.mark.parametrize("version", ["before-4", "4", "5.4"])
def test_a_cross_encoder_is_taken_by_its_activation(
    version: str, activation: str, expected: ProblemType, one_output: Path, tmp_path: Path
) -> None:
    entries: dict[str, object] = {
        "before-4": {"sbert_ce_default_activation_function": activation},
        "4": {"sentence_transformers": {"activation_fn": activation, "version": "4.0.1"}},
        "5.4": {},
    }[version]
    folder = change(one_output, tmp_path / "e", **entries)
    if version == "5.4":
        write_own_config(folder, activation)
    assert load_encoder(folder).problem_type is expected


def test_the_file_of_its_own_goes_before_config_json(one_output: Path, tmp_path: Path) -> None:
    folder = change(one_output, tmp_path / "e", sbert_ce_default_activation_function=SIGMOID)
    before = load_encoder(folder)
    after = load_encoder(write_own_config(folder, IDENTITY))
    assert (before.gives_score, after.gives_score) == (False, True)
    assert before.sha256 != after.sha256


def test_the_configuration_of_an_embedding_model_says_nothing(one_output: Path, tmp_path: Path) -> None:
    folder = change(one_output, tmp_path / "e")
    content = {"model_type": "SentenceTransformer", "activation_fn": IDENTITY}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(content), encoding="utf-8")
    assert not load_encoder(folder).gives_score


@pytest.mark.parametrize("named", ["torch.nn.modules.activation.Tanh", "evil.module.Identity", "Identity", 3])
def test_another_activation_is_refused_and_never_imported(named: object, one_output: Path, tmp_path: Path) -> None:
    folder = change(one_output, tmp_path / "e", sbert_ce_default_activation_function=named)
    with pytest.raises(EncoderError, match=r"config\.json: the activation .*expected torch's Identity or Sigmoid"):
        load_encoder(folder)


def test_an_activation_of_several_labels_changes_nothing(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = change(tiny_encoder, tmp_path / "e", sbert_ce_default_activation_function=IDENTITY)
    assert load_encoder(folder).problem_type is ProblemType.MULTI_LABEL


def test_a_regression_of_several_outputs_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = change(tiny_encoder, tmp_path / "e", problem_type="regression")
    with pytest.raises(EncoderError, match="'regression' with 4 outputs; expected one output"):
        load_encoder(folder)


def test_a_score_takes_no_thresholds(one_output: Path, tmp_path: Path) -> None:
    encoder = load_encoder(change(one_output, tmp_path / "e", problem_type="regression"))
    with pytest.raises(OptionError, match="gives a score, which takes no threshold"):
        read_thresholds("0.5", encoder)
