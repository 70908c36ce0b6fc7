"""Tiny encoders of every family, with seeded random weights: real files, right shapes, no meaning, made in a moment.

The same arguments write the same bytes, so that what was built of an encoder is found in the cache by the next run.
"""

import json
import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

TRANSFORMERS_5 = int(version("transformers").partition(".")[0]) >= 5

SENTENCES = (
    "thank you so much, this made my day",
    "I am not sure that I like where this is going",
    "what a game! nobody saw that coming",
    "the bus was late again and it rained",
    "Sorry, I should have told you earlier.",
)
LABELS = ("joy", "anger", "surprise", "neutral")

MULTI_LABEL, SINGLE_LABEL = "multi_label_classification", "single_label_classification"


@dataclass(frozen=True, slots=True)
class Family:
    """How a family's tiny encoder is made, and what is known about the family.

    Args:
        model_class: transformers' class name.
        tokenizer: the key in `TOKENIZERS`.
        max_tokens: the longest input of the tiny encoder, worked out by hand from `config`.
        head: the tensor of the last linear layer.
        head_scale: what it is multiplied by to spread logits by about 1 over texts.
        takes_token_types: whether the model has segments.
        config: arguments of the configuration besides those of `SHAPE`.
    """

    model_class: str
    tokenizer: str
    max_tokens: int
    head: str
    head_scale: float
    takes_token_types: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)


# The usual initializer range of 0.02 gives logits so near zero that no tolerance means anything.
SHAPE: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.25,
}
_DISTILBERT_SHAPE = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "initializer_range": 0.25}
_AFTER_PADDING = {"max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1}  # 66 - 1 - 1 tokens
# As the published version 3 is: relative positions in logarithmic buckets, none added to the embeddings, no segments.
_DEBERTA_V3 = {
    "max_position_embeddings": 48,
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pad_token_id": 0,
}
_BERT = {"max_position_embeddings": 48, "pad_token_id": 0}

FAMILIES: dict[str, Family] = {
    "roberta": Family(
        "RobertaForSequenceClassification", "roberta", 64, "classifier.out_proj.weight", 2.0, config=_AFTER_PADDING
    ),
    "bert": Family(
        "BertForSequenceClassification", "bert", 48, "classifier.weight", 1.75, takes_token_types=True, config=_BERT
    ),
    "albert": Family(
        "AlbertForSequenceClassification",
        "albert",
        48,
        "classifier.weight",
        3.0,
        takes_token_types=True,
        config={**_BERT, "embedding_size": 16, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "distilbert": Family(
        "DistilBertForSequenceClassification", "distilbert", 48, "classifier.weight", 1.0, config=_BERT
    ),
    "xlm-roberta": Family(
        "XLMRobertaForSequenceClassification",
        "xlm-roberta",
        64,
        "classifier.out_proj.weight",
        2.0,
        config=_AFTER_PADDING,
    ),
    "camembert": Family(
        "CamembertForSequenceClassification",
        "camembert",
        64,
        "classifier.out_proj.weight",
        4.0,
        config={**_AFTER_PADDING, "bos_token_id": 5, "eos_token_id": 6},
    ),
    "deberta-v2": Family(
        "DebertaV2ForSequenceClassification", "deberta-v2", 48, "classifier.weight", 1.25, config=_DEBERTA_V3
    ),
    "electra": Family(
        "ElectraForSequenceClassification",
        "electra",
        48,
        "classifier.out_proj.weight",
        4.0,
        takes_token_types=True,
        config={**_BERT, "embedding_size": 16},
    ),
    "mpnet": Family(
        "MPNetForSequenceClassification",
        "mpnet",
        64,
        "classifier.out_proj.weight",
        2.0,
        config={"max_position_embeddings": 66, "pad_token_id": 1},
    ),
    "modernbert": Family(
        "ModernBertForSequenceClassification",
        "modernbert",
        48,
        "classifier.weight",
        2.0,
        config={  # the first layer sees all tokens, the second four on either side
            **_BERT,
            "global_attn_every_n_layers": 2,
            "local_attention": 8,
            "initializer_cutoff_factor": 10.0,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "cls_token_id": 2,
            "sep_token_id": 3,
        },
    ),
}
if TRANSFORMERS_5:
    FAMILIES["eurobert"] = Family(
        "EuroBertForSequenceClassification", "modernbert", 48, "classifier.weight", 2.0,
        config={**_BERT, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3, "mask_token_id": 4},
    )  # fmt: skip


def make_encoder(
    folder: Path,
    family: str = "roberta",
    *,
    labels: Sequence[str] = LABELS,
    problem_type: str | None = MULTI_LABEL,
    seed: int = 0,
    tokenizer: str | None = None,
    **config_changes: object,
) -> Path:
    """Save a two-layer classifier of `family` and its tokenizer into `folder`.

    Args:
        problem_type: None to leave it unsaid.
        seed: of the weights.
        tokenizer: another family's, as some encoders on the hub have.
        config_changes: other arguments of the configuration than the family's.
    """
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    chosen = FAMILIES[family]
    with warnings.catch_warnings():
        # Importing DeBERTa-v2 or ModernBERT compiles functions in ways that torch deprecates.
        warnings.filterwarnings("ignore", message="`torch.jit.script", category=DeprecationWarning)
        model_class = getattr(transformers, chosen.model_class)
    config = model_class.config_class(
        vocab_size=TOKENIZERS[tokenizer or chosen.tokenizer](folder),
        **(_DISTILBERT_SHAPE if family == "distilbert" else SHAPE),
        **{**chosen.config, **config_changes},
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type=problem_type,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = model_class(config)
        model.get_parameter(chosen.head).mul_(chosen.head_scale)
    model.save_pretrained(folder)
    return folder


# Tokenizers: each saves one into a folder and says how many tokens it knows. All are made by the tokenizers library, since
# transformers 4 and 5 read a vocabulary file under different names.


def _save(tokenizer: Any, class_name: str, folder: Path, **options: Any) -> int:
    import transformers

    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    saved = getattr(transformers, class_name)(tokenizer_file=str(path), **options)
    saved.save_pretrained(folder)
    # transformers 5 writes it no more; what has been published has it.
    (folder / "special_tokens_map.json").write_text(json.dumps(saved.special_tokens_map), encoding="utf-8")
    return len(saved)


def _save_byte_pairs(folder: Path) -> int:
    from tokenizers import ByteLevelBPETokenizer, processors

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(SENTENCES, vocab_size=320, min_frequency=1, special_tokens=special, show_progress=False)
    bpe.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    bpe.save_model(str(folder))  # likewise
    return _save(bpe, "RobertaTokenizerFast", folder)


def _save_plain_byte_pairs(folder: Path) -> int:
    """As ModernBERT's and EuroBERT's are: a tokenizer.json, and no class of the family's own."""
    from tokenizers import ByteLevelBPETokenizer, processors

    bpe = ByteLevelBPETokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bpe.train_from_iterator(SENTENCES, vocab_size=320, min_frequency=1, special_tokens=special, show_progress=False)
    bpe.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{token.strip('[]').lower()}_token": token for token in special}
    inputs = ["input_ids", "attention_mask"]
    return _save(bpe, "PreTrainedTokenizerFast", folder, model_input_names=inputs, **names)


def _word_pieces(
    class_name: str,
    special: Sequence[str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    cls: str = "[CLS]",
    sep: str = "[SEP]",
) -> Callable[[Path], int]:
    def save(folder: Path) -> int:
        from tokenizers import BertWordPieceTokenizer

        text = " ".join(SENTENCES).lower()
        characters = sorted(set(text) - {" "})
        words = sorted({word.strip(",.!") for word in text.split()} - set(characters))
        pieces = [*special, *characters, *(f"##{character}" for character in characters), *words]
        vocabulary = {piece: position for position, piece in enumerate(pieces)}
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")  # likewise
        return _save(BertWordPieceTokenizer(vocabulary, cls_token=cls, sep_token=sep), class_name, folder)

    return save


def _unigrams(class_name: str, special: Sequence[str], cls: str, sep: str, unknown: str) -> Callable[[Path], int]:
    """What SentencePiece's unigram models become in a fast tokenizer. SentencePiece itself is not needed."""

    def save(folder: Path) -> int:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

        pieces = [(entry, 0.0) for entry in special] + train_unigrams(special)
        order = [piece for piece, _ in pieces]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=order.index(unknown), byte_fallback=False))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0",
            pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
            special_tokens=[(token, order.index(token)) for token in (cls, sep)],
        )
        return _save(tokenizer, class_name, folder)

    return save


def train_unigrams(special: Sequence[str]) -> list[tuple[str, float]]:
    """Pieces and their log probabilities, most probable first.

    The trainer finds the same pieces every time, but its scores differ in the third decimal from run to run: each piece
    is scored by how often it occurs instead.
    """
    from tokenizers import SentencePieceUnigramTokenizer

    words = sorted({word.strip(",.!") for sentence in SENTENCES for word in sentence.split()})
    forms = [word + ending for word in words for ending in ("", "s", "ed")]  # what several words share becomes a piece
    draw = random.Random(0)  # noqa: S311
    sentences = [*SENTENCES, *(" ".join(draw.choices(forms, k=draw.randint(3, 9))) for _ in range(200))]
    trainer = SentencePieceUnigramTokenizer()
    trainer.train_from_iterator(
        sentences,
        vocab_size=150,
        special_tokens=["<unk>"],
        unk_token="<unk>",  # noqa: S106
        show_progress=False,
    )
    text = "".join("▁" + sentence.replace(" ", "▁") for sentence in sentences)
    counts = {piece: text.count(piece) for piece in sorted(trainer.get_vocab()) if piece not in {"<unk>", *special}}
    total = sum(counts.values())
    scores = {piece: round(math.log(max(count, 0.5) / total), 3) for piece, count in counts.items()}
    return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))


_SENTENCEPIECE = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")

TOKENIZERS: Mapping[str, Callable[[Path], int]] = {
    "roberta": _save_byte_pairs,
    "modernbert": _save_plain_byte_pairs,
    "bert": _word_pieces("BertTokenizerFast"),
    "distilbert": _word_pieces("DistilBertTokenizerFast"),
    "electra": _word_pieces("ElectraTokenizerFast"),
    "mpnet": _word_pieces("MPNetTokenizerFast", ("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"), "<s>", "</s>"),
    "albert": _unigrams(
        "AlbertTokenizerFast", ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"), "[CLS]", "[SEP]", "<unk>"
    ),
    "xlm-roberta": _unigrams("XLMRobertaTokenizerFast", _SENTENCEPIECE, "<s>", "</s>", "<unk>"),
    "camembert": _unigrams(
        "CamembertTokenizerFast",
        ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>", "<mask>"),
        "<s>", "</s>", "<unk>",
    ),
    "deberta-v2": _unigrams(
        "DebertaV2TokenizerFast", ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"), "[CLS]", "[SEP]", "[UNK]"
    ),
}  # fmt: skip
