"""Encoders of the published base sizes with seeded random weights, for what depends on size and not on training.

They read with the embedded encoder's tokenizer, whose ids fit into the published vocabularies.
"""

import json
import shutil
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
EMBEDDED = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")

_OUTLIER_CHANNELS = 6
_OUTLIER_GAIN = 8


def make_roberta_base(folder: Path) -> Path:
    """12 layers, width 768, 125 million weights, and a few channels that are far larger than the others.

    Pretrained encoders have such channels. With these, a token's largest value is 18 to 19 times its root mean square.
    """
    import transformers

    shape = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "initializer_range": 0.04}
    return _save(folder, transformers.RobertaForSequenceClassification, shape)


def make_modernbert_base(folder: Path) -> Path:
    """22 layers, width 768, 149 million weights: local attention with every third layer global, rotary positions, no biases."""
    import transformers

    shape = {
        "vocab_size": 50368,
        "max_position_embeddings": 8192,
        "initializer_range": 0.04,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "cls_token_id": 0,
        "eos_token_id": 2,
        "sep_token_id": 2,
    }
    _save(folder, transformers.ModernBertForSequenceClassification, shape)
    # The embedded encoder's tokenizer says 512, its own limit.
    config = folder / "tokenizer_config.json"
    settings = {**json.loads(config.read_text(encoding="utf-8")), "model_max_length": shape["max_position_embeddings"]}
    config.write_text(json.dumps(settings), encoding="utf-8")
    return folder


def make_over_2_gb(folder: Path) -> Path:
    """One layer, and a vocabulary whose embeddings alone are more than one ONNX file may hold."""
    import transformers

    shape = {"vocab_size": 720_000, "max_position_embeddings": 514, "type_vocab_size": 1, "num_hidden_layers": 1}
    return _save(folder, transformers.RobertaForSequenceClassification, {**shape, "initializer_range": 0.04})


def make_albert_base(folder: Path) -> Path:
    """12 layers that share one set of weights, width 768, 12 million weights."""
    import transformers

    shape = {
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "initializer_range": 0.04,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    return _save(folder, transformers.AlbertForSequenceClassification, shape)


def _save(folder: Path, model_class: Any, shape: dict[str, Any]) -> Path:
    import torch
    import transformers

    labels = transformers.AutoConfig.from_pretrained(EMBEDDED).id2label
    config = model_class.config_class(
        **shape,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
        problem_type="multi_label_classification",
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = model_class(config)
        outliers = torch.randperm(config.hidden_size)[:_OUTLIER_CHANNELS]
        for name, weight in model.named_parameters():
            if name.endswith(("word_embeddings.weight", "tok_embeddings.weight")):
                weight.mul_(5)
            elif name.endswith(("LayerNorm.weight", "norm.weight")) and len(weight) == config.hidden_size:
                weight[outliers] *= _OUTLIER_GAIN
            elif name.endswith("bias"):
                weight.normal_(std=0.02)
            elif name.endswith(("classifier.weight", "out_proj.weight")):
                weight.mul_(5)  # RoBERTa's logits then differ by about 1.5 between texts
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        if (EMBEDDED / name).is_file():
            shutil.copy(EMBEDDED / name, folder)
    return folder
