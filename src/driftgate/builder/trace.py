"""What torch sees while it traces an encoder for export: attention and GELU are one call each, whatever the family."""

import sys
from typing import Any

from driftgate.errors import BuildError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.weights import load_module
from driftgate.onnx_graph.functions import ATTENTION, DOMAIN, GELU, GELU_TANH

_INTERFACE = "driftgate"
"""Our name in transformers' table of attention implementations."""


def load_for_export(encoder: Encoder) -> Any:
    """The encoder's module, its attention through torch's one function for it wherever the family can do that.

    Raises:
        EncoderError: see `load_module`.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    module = load_module(encoder, attention=None)
    if hasattr(sys.modules[type(module).__module__], "ALL_ATTENTION_FUNCTIONS"):
        AttentionInterface.register(_INTERFACE, _attend)
        AttentionMaskInterface.register(_INTERFACE, _make_mask)
        module.set_attn_implementation(_INTERFACE)
    elif module.config._attn_implementation not in {"sdpa", "eager"}:  # noqa: SLF001 - has no public name
        # ModernBERT's own choice is flash attention where that is installed.
        module = load_module(encoder, attention="sdpa")
    _name_tanh_gelu(module)
    return module


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    position_bias: Any = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """Attention of (batch, heads, sequence, head size), as transformers asks for it: (batch, sequence, heads, head size).

    transformers' own function for torch's attention reshapes in between, in some versions, which would hide from later steps
    how heads are joined.

    Raises:
        BuildError: scores are capped, which no backend's operator does.
    """
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import repeat_kv

    if softcap is not None:
        raise BuildError("its attention caps scores (softcap), which is not supported")
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1:
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    if position_bias is not None:
        attention_mask = attention_mask + position_bias
    mixed = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    return mixed.transpose(1, 2).contiguous(), None


def _make_mask(*, q_length: int, kv_length: int, mask_function: Any, attention_mask: Any, device: Any, **_: Any) -> Any:
    """What is added to scores: 0 where a token may look, the least float32 elsewhere.

    (batch, 1, 1, sequence) where all tokens see the same, (batch, 1, sequence, sequence) where attention is local. Never None:
    transformers leaves the mask out where the texts of the example have no padding.
    """
    import torch
    from transformers.masking_utils import bidirectional_mask_function

    seen = attention_mask[:, None, None, :].to(torch.bool)
    if mask_function is not bidirectional_mask_function:
        queries = torch.arange(q_length, device=device)[:, None]
        keys = torch.arange(kv_length, device=device)[None, :]
        seen = seen & mask_function(0, 0, queries, keys)[None, None]
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)


def _name_tanh_gelu(module: Any) -> None:
    """Modules that compute GELU's approximation step by step become torch's own of the same formula."""
    import torch
    from transformers import activations

    spelled = (activations.NewGELUActivation, activations.FastGELUActivation)
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, spelled):
                setattr(parent, name, torch.nn.GELU(approximate="tanh"))


def leave_whole() -> Any:
    """A context in which torch's attention and GELU are traced as calls of our functions.

    Raises:
        BuildError: an attention that the functions do not describe.
    """
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class LeaveWhole(TorchFunctionMode):  # type: ignore[misc] # torch is untyped here
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if func is functional.scaled_dot_product_attention:
                return _attention(*args, **given)
            if func is functional.gelu:
                return _gelu(*args, **given)
            return func(*args, **given)

    def _attention(
        query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        if attn_mask is None or is_causal or enable_gqa or dropout_p:
            raise BuildError(
                "its attention is causal or takes no mask; only bidirectional attention with a mask is supported"
            )
        if attn_mask.dtype is torch.bool:
            attn_mask = torch.where(attn_mask, 0.0, torch.finfo(query.dtype).min)
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{ATTENTION}",
            (query, key, value, attn_mask),
            {
                "num_heads": query.shape[1],
                "head_size": value.shape[-1],
                "scale": float(query.shape[-1] ** -0.5 if scale is None else scale),
            },
            dtype=query.dtype,
            shape=(*query.shape[:-1], value.shape[-1]),
            version=1,
        )

    def _gelu(input: Any, *, approximate: str = "none") -> Any:  # noqa: A002 - torch's name
        name = GELU_TANH if approximate == "tanh" else GELU
        return torch.onnx.ops.symbolic(f"{DOMAIN}::{name}", (input,), dtype=input.dtype, shape=input.shape, version=1)

    return LeaveWhole()
