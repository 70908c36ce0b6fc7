"""Tiny encoders with seeded random weights, made in a second: right shape, real files, no meaning."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SENTENCES = (
    "thank you so much, this made my day",
    "I am not sure that I like where this is going",
    "what a game! nobody saw that coming",
    "the bus was late again and it rained",
    "Sorry, I should have told you earlier.",
)
LABELS = ("joy", "anger", "surprise", "neutral")

MakeEncoder = Callable[..., Path]


def make_encoder(
    folder: Path,
    *,
    labels: tuple[str, ...] = LABELS,
    problem_type: str | None = "multi_label_classification",
    seed: int = 0,
) -> Path:
    """Save a two-layer RoBERTa classifier and its tokenizer into `folder`."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(SENTENCES, vocab_size=320, min_frequency=1, special_tokens=special, show_progress=False)
    bpe.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(
        vocab_file=str(folder / "vocab.json"), merges_file=str(folder / "merges.txt"), model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        initializer_range=0.25,  # the usual 0.02 gives logits so near zero that no tolerance means anything
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type=problem_type,
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multi-label encoder of four labels. Shared: copy it (`copy_encoder`) before changing anything."""
    return make_encoder(tmp_path_factory.mktemp("encoders") / "tiny-roberta")


@pytest.fixture
def copy_encoder(tiny_encoder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`copy_encoder(problem_type=None, ...)`: a copy whose config.json has these keys changed; None removes one."""
    import shutil

    def copy(**changes: object) -> Path:
        folder = tmp_path / "encoder"
        shutil.copytree(tiny_encoder, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for key, value in changes.items():
            config.pop(key, None)
            if value is not None:
                config[key] = value
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    return copy


@pytest.fixture(scope="session")
def make_tiny_encoder() -> MakeEncoder:
    """`make_tiny_encoder(folder, labels=..., problem_type=..., seed=...)`: save a new one."""
    return make_encoder


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for every test that only needs artifacts to be there."""
    return tmp_path_factory.mktemp("shared-cache")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DRIFTGATE_CACHE", str(folder))
    return folder


@pytest.fixture
def warm_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared cache, in force."""
    monkeypatch.setenv("DRIFTGATE_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real GoEmotions and Reddit files, where this machine has them."""
    candidates = [os.environ.get("DRIFTGATE_DATA", ""), Path(__file__).parents[2] / "shared/data"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "goemotions/dev.tsv").is_file():
            return Path(candidate)
    pytest.skip("no GoEmotions files here; DRIFTGATE_DATA names the folder that has them")
