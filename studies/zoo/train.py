"""Train a small GoEmotions classifier of a family from scratch, so that a judge can be tried on weights that mean something.

    python studies/zoo/train.py modernbert --data GOEMOTIONS --out FOLDER [--epochs 6]

GOEMOTIONS is a folder with `train.tsv`, `dev.tsv` (text, comma-separated label numbers, id) and `labels.txt`. Prints
micro-F1 on dev after each epoch, beside that of always giving the most frequent label. Neither texts nor weights are part of
this repository.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sklearn.metrics import f1_score
from tokenizers import ByteLevelBPETokenizer, processors

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
VOCABULARY = 8_000
SEED = 0

FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "modernbert": (
        "ModernBert",
        {
            "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 192,
            "max_position_embeddings": 1024, "local_attention": 32, "global_attn_every_n_layers": 2,
            "cls_token_id": 0, "sep_token_id": 2,
        },
    ),
    "roberta": (
        "Roberta",
        {
            "hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6, "intermediate_size": 768,
            "max_position_embeddings": 258, "type_vocab_size": 1,
        },
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_args()
    torch.manual_seed(SEED)
    labels = given.data.joinpath("labels.txt").read_text(encoding="utf-8").split()
    train, dev = (read_rows(given.data / f"{name}.tsv", len(labels)) for name in ("train", "dev"))
    tokenizer = make_tokenizer(train[0], given.out)
    model = make_model(given.family, len(tokenizer), labels)
    base_rate = np.zeros_like(dev[1])
    base_rate[:, train[1].sum(axis=0).argmax()] = 1
    print(
        f"always the most frequent label: micro-F1 {f1_score(dev[1], base_rate, average='micro', zero_division=0):.4f}"
    )
    log = fit(model, tokenizer, train, dev, given.epochs)
    model.half().save_pretrained(given.out)
    given.out.joinpath("training.json").write_text(json.dumps(log, indent=1), encoding="utf-8")


def read_rows(path: Path, labels: int) -> tuple[list[str], Any]:
    """Texts, and their labels as an array of 0 and 1, float32, (rows, labels)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    targets = np.zeros((len(rows), labels), np.float32)
    for row, (_, numbers, _) in enumerate(rows):
        targets[row, [int(number) for number in numbers.split(",")]] = 1
    return [row[0] for row in rows], targets


def make_tokenizer(texts: Sequence[str], folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    pairs = ByteLevelBPETokenizer(add_prefix_space=True)
    pairs.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False)
    pairs.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    pairs.save(str(folder / "tokenizer.json"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), model_max_length=256, bos_token="<s>", eos_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", cls_token="<s>", sep_token="</s>",
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(family: str, vocabulary: int, labels: Sequence[str]) -> Any:
    name, shape = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(
        vocab_size=vocabulary, pad_token_id=1, bos_token_id=0, eos_token_id=2, **shape,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
        problem_type="multi_label_classification",
    )  # fmt: skip
    return getattr(transformers, f"{name}ForSequenceClassification")(config)


def fit(model: Any, tokenizer: Any, train: tuple[list[str], Any], dev: tuple[list[str], Any], epochs: int) -> list[Any]:
    """Train in place; a line of measurements for each epoch."""
    texts, targets = train
    steps = epochs * (len(texts) // 64 + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=7e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=7e-4, total_steps=steps, pct_start=0.1)
    ids = tokenizer(texts, truncation=True, max_length=64)["input_ids"]
    draw, log = np.random.default_rng(SEED), []
    for epoch in range(epochs):
        model.train()
        started, losses = time.perf_counter(), []
        for rows in batches_by_length(ids, draw):
            feed = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            loss = model(**feed, labels=torch.from_numpy(targets[rows])).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        found = predict(model, tokenizer, dev[0])
        # GoEmotions has 1.2 labels a text, and rare ones: half is too much to ask for of a small encoder.
        scores = {at: float(f1_score(dev[1], found > at, average="micro", zero_division=0)) for at in (0.3, 0.5)}
        seconds = time.perf_counter() - started
        log.append({"epoch": epoch, "loss": float(np.mean(losses)), "micro_f1": scores, "seconds": seconds})
        print(f"epoch {epoch}: loss {log[-1]['loss']:.4f}, micro-F1 by threshold {scores}", flush=True)
    return log


def batches_by_length(ids: Sequence[Sequence[int]], draw: Any, size: int = 64) -> Iterator[Any]:
    """Batches of texts of about one length, in random order."""
    order = sorted(range(len(ids)), key=lambda row: (len(ids[row]), draw.random()))
    starts = list(range(0, len(ids), size))
    draw.shuffle(starts)
    return (order[start : start + size] for start in starts)


def predict(model: Any, tokenizer: Any, texts: Sequence[str]) -> Any:
    model.eval()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    found = np.zeros((len(texts), model.config.num_labels), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), 128):
            rows = order[start : start + 128]
            feed = tokenizer(
                [texts[row] for row in rows], truncation=True, max_length=256, padding=True, return_tensors="pt"
            )
            found[rows] = torch.sigmoid(model(feed["input_ids"], attention_mask=feed["attention_mask"]).logits).numpy()
    return found


if __name__ == "__main__":
    main()
