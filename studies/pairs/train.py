"""Train two small classifiers of text pairs, so that pairs can be judged on weights that mean something.

    python studies/pairs/train.py DATA OUT bert|roberta [--threads 2] [--minutes 5]

Which of two comments sounds happier: the first, the second, or neither? Both texts decide, and so does their order. DATA is laid
out as `studies/zoo/tasks.py` says; OUT gets a folder of the name, and `unseen.jsonl` with the pairs that nothing was trained on
(keys first, second, label). Neither texts nor weights are part of this repository.

`bert` is trained from scratch, with word pieces of its own and segments that tell the texts apart. `roberta` starts from the
embedded encoder, whose tokenizer tells them apart by two closing tokens and gives no segments: from scratch, so small an encoder
does not learn from so few pairs which text a token is of.

With `--minutes`, training pauses after so long and exits with code 3; the same command continues it, to the same weights.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import BertWordPieceTokenizer

from driftgate.arrays import LabelMatrix

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "studies/zoo"))

from tasks import Rows, load_task  # noqa: E402 - of a neighbouring study

EMBEDDED = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
LABELS = ("first", "second", "neither")
MOODS = {"positive": 1, "negative": -1, "other": 0}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY, LIMIT, TRAINED_TOKENS, BATCH = 6_000, 192, 96, 48
UNSEEN_PAIRS = 2_000

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long a classifier is trained, and on what.

    Args:
        most_characters: of a text: of shorter ones, more fit into the same time.
    """

    pairs: int
    epochs: int
    batch: int
    peak_rate: float
    most_characters: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a training that has to stop is kept, and when it has to, by the monotonic clock in seconds."""

    path: Path
    stop_at: float


RECIPES = {"bert": Recipe(40_000, 2, 48, 8e-4, 10_000), "roberta": Recipe(7_500, 1, 16, 2e-4, 80)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    task = load_task("sentiment", given.data)
    recipe = RECIPES[given.name]
    trained, targets = draw_pairs(shorter(task.train, recipe.most_characters), task.labels, recipe.pairs, seed=1)
    unseen, truth = draw_pairs(task.unseen, task.labels, UNSEEN_PAIRS, seed=2)
    folder = given.out / given.name
    folder.mkdir(parents=True, exist_ok=True)
    write_pairs(given.out / "unseen.jsonl", unseen, truth)
    started = time.monotonic()
    tokenizer = make_words(task.train.texts) if given.name == "bert" else load_embedded()
    model = make_bert(len(tokenizer)) if given.name == "bert" else start_from_embedded()
    pause = Pause(folder / "paused.pt", started + 60 * given.minutes)
    loss, seconds = fit(model, tokenizer, trained, targets, recipe, pause)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    log = {
        "pairs": len(trained),
        "epochs": recipe.epochs,
        "seconds": round(seconds),
        "last_loss": round(loss, 4),
        "accuracy": score(model, tokenizer, unseen, truth),
        "accuracy of the most frequent label": round(float(np.bincount(truth).max() / len(truth)), 4),
        "accuracy with the texts exchanged": score(model, tokenizer, [(b, a) for a, b in unseen], truth),
        "accuracy with the first text alone": score(model, tokenizer, [a for a, _ in unseen], truth),
    }
    folder.joinpath("training.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(log, indent=1))


def shorter(rows: Rows, most_characters: int) -> Rows:
    kept = [row for row, text in enumerate(rows.texts) if len(text) <= most_characters]
    return Rows([rows.texts[row] for row in kept], LabelMatrix(rows.labels[kept]))


def draw_pairs(rows: Rows, moods: Sequence[str], count: int, seed: int) -> tuple[list[Pair], np.ndarray]:
    """Pairs of different comments, and what is right for each: 0 the first is happier, 1 the second, 2 neither."""
    generator = np.random.default_rng(seed)
    chosen = np.stack([generator.choice(len(rows.texts), 2, replace=False) for _ in range(count)])
    mood = np.array([MOODS[moods[label]] for label in rows.labels.argmax(axis=1)])
    difference = np.sign(mood[chosen[:, 0]] - mood[chosen[:, 1]])
    targets = np.select([difference > 0, difference < 0], [0, 1], 2)
    return [(rows.texts[first], rows.texts[second]) for first, second in chosen.tolist()], targets


def write_pairs(path: Path, pairs: Sequence[Pair], targets: np.ndarray) -> None:
    rows = (
        {"first": first, "second": second, "label": LABELS[target]}
        for (first, second), target in zip(pairs, targets, strict=True)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def make_words(texts: Sequence[str]) -> Any:
    """BERT's word pieces: pairs are [CLS] A [SEP] B [SEP], in segments 0 and 1."""
    words = BertWordPieceTokenizer()
    words.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False)
    return transformers.BertTokenizerFast(tokenizer_object=words._tokenizer, model_max_length=LIMIT)  # noqa: SLF001


def load_embedded() -> Any:
    """Byte pairs: pairs are <s> A </s></s> B </s>."""
    return transformers.AutoTokenizer.from_pretrained(EMBEDDED)


def make_bert(vocabulary: int) -> Any:
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512,
        max_position_embeddings=LIMIT, type_vocab_size=2, pad_token_id=0, **head(),
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def start_from_embedded() -> Any:
    return transformers.AutoModelForSequenceClassification.from_pretrained(
        EMBEDDED, ignore_mismatched_sizes=True, dtype=torch.float32, **head()
    )


def head() -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: index for index, label in enumerate(LABELS)},
        "problem_type": "single_label_classification",
    }


def fit(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], targets: np.ndarray, recipe: Recipe, pause: Pause
) -> tuple[float, float]:
    """Train in place; the mean loss of the last fifty batches, and the seconds it took in all."""
    started = time.monotonic()
    encoded = tokenizer(list(pairs), truncation=True, max_length=TRAINED_TOKENS)
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    truth = torch.from_numpy(targets.astype(np.int64))
    batches = plan_batches(lengths, recipe)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.peak_rate, total_steps=len(batches), pct_start=0.1
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    losses, before = resume(pause.path, parts)
    model.train()
    while len(losses) < len(batches):
        rows = batches[len(losses)]
        feed = tokenizer.pad({name: [part[row] for row in rows] for name, part in encoded.items()}, return_tensors="pt")
        loss = model(**feed, labels=truth[rows]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if time.monotonic() > pause.stop_at:
            keep(pause.path, parts, losses, before + time.monotonic() - started)
            print(f"paused after {len(losses):,} of {len(batches):,} batches, loss {np.mean(losses[-50:]):.4f}")
            raise SystemExit(3)
    pause.path.unlink(missing_ok=True)
    return float(np.mean(losses[-50:])), before + time.monotonic() - started


def plan_batches(lengths: np.ndarray, recipe: Recipe) -> list[np.ndarray]:
    """Rows of each batch, of similar length, in random order, epoch after epoch."""
    generator = np.random.default_rng(0)
    planned: list[np.ndarray] = []
    for _ in range(recipe.epochs):
        order = np.lexsort([generator.random(len(lengths)), lengths])
        batches = [order[start : start + recipe.batch] for start in range(0, len(order), recipe.batch)]
        planned += [batches[place] for place in generator.permutation(len(batches))]
    return planned


def keep(path: Path, parts: dict[str, Any], losses: list[float], seconds: float) -> None:
    """The state of a training that pauses, its dropout included."""
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**states, "losses": losses, "seconds": seconds, "dropout": torch.get_rng_state()}, path)


def resume(path: Path, parts: dict[str, Any]) -> tuple[list[float], float]:
    """Put back what was kept, if anything was: the losses so far, and the seconds they took."""
    if not path.is_file():
        return [], 0.0
    kept = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    torch.set_rng_state(kept["dropout"])
    return kept["losses"], kept["seconds"]


def score(model: Any, tokenizer: Any, texts: Sequence[Pair | str], truth: np.ndarray) -> float:
    """Accuracy of the most probable label."""
    model.eval()
    found = np.empty(len(texts), np.int64)
    order = sorted(range(len(texts)), key=lambda row: sum(map(len, texts[row])))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            feed = tokenizer([texts[row] for row in rows], truncation=True, padding=True, return_tensors="pt")
            found[rows] = model(**feed).logits.argmax(dim=1).numpy()
    return round(float((found == truth).mean()), 4)


if __name__ == "__main__":
    main()
