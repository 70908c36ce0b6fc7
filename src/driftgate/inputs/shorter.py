"""An encoder that is used shorter than it could be."""

from dataclasses import replace

from driftgate.edges.limits import MAX_TOKENS
from driftgate.edges.spelling import option
from driftgate.errors import OptionError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.positions import read_max_tokens
from driftgate.inputs.tokens import load_tokenizer


def limit_tokens(encoder: Encoder, max_tokens: int | None) -> Encoder:
    """The encoder with texts cut at `max_tokens` tokens, special ones included; None leaves it at its own limit.

    Whatever is made of its texts is made at this limit: what it is judged and timed on, calibration, golden vectors, and the
    tokenizer that is published with it. Its graph is exported for its own limit, and is the same file.

    Raises:
        OptionError: more than the encoder takes, or no room for a token beside the special ones (of a pair, one of each text).
    """
    if max_tokens is None:
        return encoder
    MAX_TOKENS.require(max_tokens)
    own = read_max_tokens(encoder.path)
    least = least_tokens(encoder)
    if not least <= max_tokens <= own:
        texts = "a token of each text of a pair" if encoder.takes_pairs else "one token of a text"
        raise OptionError(
            f"{option('max_tokens')} {max_tokens}: expected {least} to {own}; {least} leave room for {texts} beside the special "
            f"tokens, {own} is the longest input of the encoder {encoder.name}"
        )
    return replace(encoder, max_tokens=max_tokens)


def least_tokens(encoder: Encoder) -> int:
    """Tokens of the shortest input of which something is left: the special ones, and one of each text."""
    special: int = load_tokenizer(encoder).num_special_tokens_to_add(pair=encoder.takes_pairs)
    return special + (2 if encoder.takes_pairs else 1)
