"""Load the encoder's weights as a torch module."""

import warnings
from typing import Any

from driftgate.errors import EncoderError, quote_lines
from driftgate.inputs.encoder import Encoder


def load_module(encoder: Encoder, *, attention: str | None) -> Any:
    """The torch module, float32 on the CPU, in evaluation mode.

    Args:
        encoder: whose weights.
        attention: transformers' attention implementation ("eager"), or None for the library's own choice.

    Raises:
        EncoderError: weights missing from the file, NaN or infinite, or of shapes that do not fit the configuration.
    """
    import torch
    import transformers

    chosen = {} if attention is None else {"attn_implementation": attention}
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()  # what it would warn about is an error below
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # DeBERTa's module is compiled with torch.jit.script when it is imported (transformers 4.57), which torch 2.13
            # deprecates; users who turn warnings into errors cannot fix that.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
            module, loading = transformers.AutoModelForSequenceClassification.from_pretrained(
                encoder.path,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=None if encoder.allow_pickle else True,
                trust_remote_code=encoder.trust_remote_code,
                output_loading_info=True,
                **chosen,
            )
    except (RuntimeError, OSError, ValueError) as error:
        raise EncoderError(f"{encoder.path}: its weights do not load:", *quote_lines(str(error))) from error
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"])[:5])
        raise EncoderError(
            f"{encoder.path}: the weights lack {missing}: they would be random; use a fine-tuned classifier"
        )
    broken = [name for name, weight in module.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        raise EncoderError(
            f"{encoder.path}: NaN or infinity in {len(broken)} weights: {', '.join(broken[:5])}; every answer would be NaN, "
            "or would depend on a number that training did not produce; use an earlier checkpoint"
        )
    return module.eval()
