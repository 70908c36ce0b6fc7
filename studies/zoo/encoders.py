"""The encoders of the zoo: families, shapes, tokenizers, what they are trained for, and which half of the zoo they are in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LIMIT = 256
"""Tokens of the longest text that an encoder takes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one encoder is made.

    Args:
        family: prefix of the transformers classes. `shape`: keyword arguments of its configuration.
        pieces: kind of the tokenizer. `task`: of `tasks.py`.
        before: a task to train the body on first, for one epoch: many rare labels alone teach a small encoder little more than
            how frequent they are.
        rows: of an epoch; None for all.
        bounds_set: whether bounds were set on it; the others were looked at once, when bounds stood.
    """

    family: str
    pieces: Literal["words", "bytes", "sentences"]
    shape: Mapping[str, Any]
    task: str
    bounds_set: bool
    epochs: int = 3
    before: str | None = None
    rows: int | None = None
    peak_rate: float = 7e-4


def _bert(layers: int, width: int, heads: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 4 * width,
        "max_position_embeddings": LIMIT, **more,
    }  # fmt: skip


_FROM_TWO = {"max_position_embeddings": LIMIT + 2, "type_vocab_size": 1}
"""RoBERTa and its kin count positions from behind the padding id."""

RECIPES: Mapping[str, Recipe] = {
    "bert-sentiment": Recipe("Bert", "words", _bert(2, 128, 2), "sentiment", bounds_set=True),
    "roberta-emotions": Recipe(
        "Roberta", "bytes", _bert(2, 128, 4, **_FROM_TWO), "emotions", bounds_set=True, before="sentiment", epochs=6,
    ),
    "albert-ekman": Recipe("Albert", "sentences", _bert(4, 192, 4, embedding_size=96), "ekman", bounds_set=True, epochs=1),
    "xlm-roberta-neutral": Recipe("XLMRoberta", "sentences", _bert(3, 128, 4, **_FROM_TWO), "neutral", bounds_set=True, epochs=1),
    "mpnet-groups": Recipe(
        "MPNet", "words", _bert(4, 128, 4, max_position_embeddings=LIMIT + 2), "groups", bounds_set=True, before="sentiment",
        epochs=1,
    ),
    "bert-large-ekman": Recipe(
        "Bert", "words", _bert(6, 384, 6), "ekman", bounds_set=True, epochs=1, rows=12_000, peak_rate=4e-4,
    ),
    "distilbert-neutral": Recipe(
        "DistilBert", "words",
        {"dim": 128, "n_layers": 3, "n_heads": 4, "hidden_dim": 512, "max_position_embeddings": LIMIT},
        "neutral", bounds_set=False,
    ),
    "deberta-sentiment": Recipe(
        "DebertaV2", "sentences",
        _bert(3, 128, 4, relative_attention=True, position_buckets=32, pos_att_type=["p2c", "c2p"], share_att_key=True,
              norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0),
        "sentiment", bounds_set=False, epochs=1,
    ),
    "electra-subreddits": Recipe(
        "Electra", "words", _bert(3, 128, 4, embedding_size=128), "subreddits", bounds_set=False, before="sentiment",
        epochs=10, peak_rate=4e-4,
    ),
    "modernbert-emotions": Recipe(
        "ModernBert", "bytes",
        {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 192,
         "max_position_embeddings": 1024, "local_attention": 32, "global_attn_every_n_layers": 2},
        "emotions", bounds_set=False, epochs=2,
    ),
    "roberta-large-sentiment": Recipe(
        "Roberta", "bytes", _bert(6, 384, 6, **_FROM_TWO), "sentiment", bounds_set=False, epochs=1, rows=14_000, peak_rate=4e-4,
    ),
    "bert-ekman": Recipe("Bert", "words", _bert(4, 192, 6), "ekman", bounds_set=False, epochs=1),
}  # fmt: skip
