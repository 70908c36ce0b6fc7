"""Train encoders of the zoo from scratch, so that the judge can be tried on weights that mean something.

    python studies/zoo/train.py DATA ZOO NAME... [--threads 1]

DATA is laid out as `tasks.py` says, ZOO is the folder that gets a folder for each NAME of `encoders.py`. Prints a line an epoch
and writes it to `training.json`, with accuracy on unseen rows (micro-F1 at 0.3 where a text may have several labels) beside that
of always giving the most frequent label. Weights are kept in float32: float16 builds of weights that are stored in float16 have
nothing to round.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from encoders import LIMIT, RECIPES, Recipe
from sklearn.metrics import accuracy_score, f1_score
from tasks import Rows, Task, load_task
from tokenizers import (
    BertWordPieceTokenizer,
    ByteLevelBPETokenizer,
    SentencePieceUnigramTokenizer,
    Tokenizer,
    processors,
)

from driftgate.arrays import FloatArray

SPECIAL = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
VOCABULARY = 8_000
TRAINED_TOKENS = 64
BATCH = 64
THRESHOLD = 0.3
"""GoEmotions has 1.2 labels a text, and rare ones: half is too much to ask for of a small encoder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("names", nargs="+", choices=RECIPES, metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.names:
        train_encoder(RECIPES[name], given.data, given.zoo / name)


def train_encoder(recipe: Recipe, data: Path, folder: Path) -> None:
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    task, first = load_task(recipe.task, data), load_task("emotions", data)
    tokenizer = make_tokenizer(recipe.pieces, first.train.texts, folder)
    body = None
    log: dict[str, Any] = {
        "always the most frequent label": score(
            np.tile(task.train.labels.mean(axis=0), (len(task.unseen.texts), 1)), task
        )
    }
    if recipe.before is not None:
        before = load_task(recipe.before, data)
        begun = make_model(recipe, len(tokenizer), before)
        fit(begun, tokenizer, before, 1, recipe)
        body = begun.base_model.state_dict()
    model = make_model(recipe, len(tokenizer), task)
    if body is not None:
        model.base_model.load_state_dict(body)
    log["epochs"] = fit(model, tokenizer, task, recipe.epochs, recipe)
    model.save_pretrained(folder)
    folder.joinpath("training.json").write_text(json.dumps(log, indent=1), encoding="utf-8")


def make_tokenizer(pieces: str, texts: Sequence[str], folder: Path) -> Any:
    """A fast tokenizer of its family's kind, trained on the texts and saved into the folder."""
    special = list(SPECIAL.values())
    if pieces == "words":
        words = BertWordPieceTokenizer(
            unk_token="<unk>", sep_token="</s>", cls_token="<s>", pad_token="<pad>", mask_token="<mask>"
        )
        words.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
        made: Tokenizer = words._tokenizer  # noqa: SLF001
    elif pieces == "bytes":
        pairs = ByteLevelBPETokenizer(add_prefix_space=True)
        pairs.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
        made = pairs._tokenizer  # noqa: SLF001
    else:
        unigram = SentencePieceUnigramTokenizer()
        unigram.train_from_iterator(
            texts, vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
        )
        made = unigram._tokenizer  # noqa: SLF001
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made.no_truncation()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=LIMIT, **SPECIAL)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(recipe: Recipe, vocabulary: int, task: Task) -> Any:
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
    config = getattr(transformers, f"{recipe.family}Config")(
        vocab_size=vocabulary, **ids, **recipe.shape,
        id2label=dict(enumerate(task.labels)), label2id={label: index for index, label in enumerate(task.labels)},
        problem_type="multi_label_classification" if task.multi_label else "single_label_classification",
    )  # fmt: skip
    return getattr(transformers, f"{recipe.family}ForSequenceClassification")(config)


def fit(model: Any, tokenizer: Any, task: Task, epochs: int, recipe: Recipe) -> list[dict[str, float]]:
    """Train in place; a line of measurements for each epoch."""
    ids = tokenizer(task.train.texts[: recipe.rows], truncation=True, max_length=TRAINED_TOKENS)["input_ids"]
    labels = task.train.labels[: recipe.rows]
    targets = torch.from_numpy(labels.astype(np.float32) if task.multi_label else labels.argmax(axis=1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.peak_rate, total_steps=epochs * -(-len(ids) // BATCH), pct_start=0.1
    )
    draw, log = np.random.default_rng(0), []
    for epoch in range(epochs):
        model.train()
        started, losses = time.perf_counter(), []
        for rows in batches_by_length(ids, draw):
            feed = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            loss = model(**feed, labels=targets[rows]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        found = score(predict(model, tokenizer, task.unseen), task)
        log.append({"loss": float(np.mean(losses)), "score": found, "seconds": round(time.perf_counter() - started)})
        print(f"{model.config.model_type} epoch {epoch}: {log[-1]}", flush=True)
    return log


def score(probabilities: FloatArray, task: Task) -> float:
    """Accuracy on unseen rows, or micro-F1 where a text may have several labels."""
    truth = task.unseen.labels
    if task.multi_label:
        return round(float(f1_score(truth, probabilities > THRESHOLD, average="micro", zero_division=0)), 4)
    return round(float(accuracy_score(truth.argmax(axis=1), probabilities.argmax(axis=1))), 4)


def batches_by_length(ids: Sequence[Sequence[int]], draw: np.random.Generator) -> Iterator[list[int]]:
    """Batches of texts of about one length, in random order."""
    order = sorted(range(len(ids)), key=lambda row: (len(ids[row]), draw.random()))
    starts = list(range(0, len(ids), BATCH))
    draw.shuffle(starts)
    return (order[start : start + BATCH] for start in starts)


def predict(model: Any, tokenizer: Any, rows: Rows) -> FloatArray:
    """Probabilities by sigmoid, float32, (rows, labels)."""
    model.eval()
    order = sorted(range(len(rows.texts)), key=lambda row: len(rows.texts[row]))
    found = np.zeros(rows.labels.shape, np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), 128):
            chosen = order[start : start + 128]
            feed = tokenizer([rows.texts[row] for row in chosen], truncation=True, padding=True, return_tensors="pt")
            logits = model(feed["input_ids"], attention_mask=feed["attention_mask"]).logits
            found[chosen] = torch.sigmoid(logits).numpy()
    return found


if __name__ == "__main__":
    main()
