"""Token ids in a file, for processes that answer them: texts are tokenized once, by the parent."""

from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import IntArray
from driftgate.inputs.tokens import TokenizedTexts


def write_tokens(path: Path, tokens: TokenizedTexts) -> None:
    """Write `tokens` as an `.npz` file."""
    arrays: dict[str, Any] = {
        "lengths": tokens.lengths,
        "input_ids": np.concatenate(tokens.input_ids),
        "truncated": np.array(tokens.truncated),
        "padding": np.array([tokens.pad_token_id, tokens.pad_token_type_id, tokens.padding_side == "left"], np.int64),
    }
    if tokens.token_type_ids is not None:
        arrays["token_type_ids"] = np.concatenate(tokens.token_type_ids)
    with path.open("wb") as file:  # np.savez would add a suffix to a name without one
        np.savez(file, **arrays)


def read_tokens(path: Path) -> TokenizedTexts:
    """What `write_tokens` wrote."""
    with np.load(path, allow_pickle=False) as content:
        ends = np.cumsum(content["lengths"])[:-1]

        def rows(name: str) -> tuple[IntArray, ...]:
            return tuple(np.split(content[name], ends))

        pad_token_id, pad_token_type_id, left = content["padding"].tolist()
        return TokenizedTexts(
            rows("input_ids"),
            rows("token_type_ids") if "token_type_ids" in content.files else None,
            tuple(content["truncated"].tolist()),
            pad_token_id,
            pad_token_type_id,
            "left" if left else "right",
        )
