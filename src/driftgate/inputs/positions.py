"""How many tokens an encoder can take, by its files."""

from pathlib import Path
from typing import Any

from driftgate.inputs.model_folder import CONFIG
from driftgate.inputs.named_files import read_json

# Families whose position ids start behind the padding id: max_position_embeddings counts two rows nobody may use.
POSITIONS_AFTER_PADDING = frozenset(
    {
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
        "camembert",
        "mpnet",
        "longformer",
        "data2vec-text",
        "roberta-prelayernorm",
        "ibert",
        "xmod",
        "luke",
        "lilt",
        "markuplm",
        "esm",
    }
)


def read_max_tokens(folder: Path, config: dict[str, Any] | None = None) -> int:
    """The longest input that the encoder in `folder` takes, special tokens included.

    Args:
        config: of config.json, where it is read already.
    """
    config = config or read_json(folder / CONFIG)
    positions = int(config.get("max_position_embeddings", 512))
    if config["model_type"] in POSITIONS_AFTER_PADDING:
        positions -= int(config.get("pad_token_id", 1)) + 1
    tokenizer_config = folder / "tokenizer_config.json"
    stated = read_json(tokenizer_config).get("model_max_length") if tokenizer_config.is_file() else None
    return min(positions, int(stated)) if stated else positions
