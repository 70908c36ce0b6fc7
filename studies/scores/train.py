"""Train a small reranker and a small regression, so that encoders of one score can be judged on weights that mean something.

    python studies/scores/train.py DATA OUT reranker|valence [--threads 2]

DATA is laid out as `studies/scores/rows.py` says. OUT gets a folder of the name with the encoder, and `NAME.jsonl` with rows
that nothing was trained on. Neither texts nor weights are part of this repository.

- `reranker`: how well does a comment answer a query such as "joy or anger"? A BERT from scratch, saved as the cross-encoders of
  sentence-transformers are. Keys: query, passage, group, label.
- `valence`: how pleasant is a comment, from -3 to 3? A DistilBERT from scratch, a regression. Keys: text, label.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from measures import correlate, ranking
from rows import BASIC, Comments, Scored, group, load_comments, rank, rate
from tokenizers import BertWordPieceTokenizer

IDENTITY = "torch.nn.modules.linear.Identity"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY, LIMIT, TRAINED_TOKENS = 6_000, 160, 64
UNSEEN_GROUPS = 250
LAST_BATCHES, REPORTED = 50, 200


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long an encoder is trained, and on what.

    Args:
        groups: of ten rows, drawn for a reranker; the regression learns every comment.
    """

    groups: int
    epochs: int
    batch: int
    peak_rate: float


RECIPES = {
    "reranker": Recipe(groups=3_000, epochs=1, batch=48, peak_rate=6e-4),
    "valence": Recipe(groups=0, epochs=2, batch=48, peak_rate=6e-4),
}

WARM_UP = Recipe(groups=0, epochs=1, batch=48, peak_rate=8e-4)
"""Of the reranker's body, which first learns what the comments express: from nothing, the query's part is not learned."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    recipe = RECIPES[given.name]
    emotions, train, unseen = load_comments(given.data)
    if given.name == "valence":
        learned, held_out = rate(train, emotions), rate(unseen, emotions)
    else:
        train, unseen = group(train, emotions), group(unseen, emotions)
        learned, held_out = rank(train, recipe.groups, seed=1), rank(unseen, UNSEEN_GROUPS, seed=2)
    folder = given.out / given.name
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(given.out / f"{given.name}.jsonl", held_out)
    started = time.monotonic()
    tokenizer = make_words([*train.texts, *emotions])
    if given.name == "valence":
        model, warmed = make_valence(len(tokenizer)), 0.0
    else:
        body = make_bert(len(tokenizer), train.has.shape[1])
        warmed = fit(body, tokenizer, ask_for_emotions(train), WARM_UP)
        model = make_reranker(body)
    loss = fit(model, tokenizer, learned, recipe)
    seconds = round(time.monotonic() - started)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    log = {
        "rows": len(learned.texts),
        "epochs": recipe.epochs,
        "seconds": seconds,
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "last_loss": round(loss, 4),
        "last_loss of the warm-up": round(warmed, 4),
        **measure(model, tokenizer, held_out),
    }
    folder.joinpath("training.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(log, indent=1))


def write_rows(path: Path, rows: Scored) -> None:
    """One row a line; labels are numbers."""
    lines = []
    for row, (text, truth) in enumerate(zip(rows.texts, rows.truth.tolist(), strict=True)):
        keys = {"text": text} if rows.groups is None else {"query": text[0], "passage": text[1]}
        group = {} if rows.groups is None else {"group": f"q{rows.groups[row]}"}
        lines.append(json.dumps({**keys, **group, "label": round(truth, 4)}) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def make_words(texts: Sequence[str]) -> Any:
    """BERT's word pieces: pairs are [CLS] A [SEP] B [SEP], in segments 0 and 1."""
    words = BertWordPieceTokenizer()
    words.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False)
    return transformers.BertTokenizerFast(tokenizer_object=words._tokenizer, model_max_length=LIMIT)  # noqa: SLF001


def ask_for_emotions(comments: Comments) -> Scored:
    """The comments under every query, and which basic emotions they have, whatever the query: to begin with."""
    queries = np.random.default_rng(0).permutation(len(comments.texts)) % len(BASIC)
    pairs = [(BASIC[query], text) for query, text in zip(queries.tolist(), comments.texts, strict=True)]
    return Scored(pairs, comments.has.astype(np.float32), queries)


def make_bert(vocabulary: int, outputs: int) -> Any:
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512,
        max_position_embeddings=LIMIT, type_vocab_size=2, pad_token_id=0, num_labels=outputs,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def make_reranker(body: Any) -> Any:
    """The configuration says what that of a cross-encoder says that sentence-transformers 4 or 5 saved."""
    model = make_bert(body.config.vocab_size, 1)
    model.bert.load_state_dict(body.bert.state_dict())
    model.config.sentence_transformers = {"activation_fn": IDENTITY, "version": "5.0.0"}
    return model


def make_valence(vocabulary: int) -> Any:
    config = transformers.DistilBertConfig(
        vocab_size=vocabulary, dim=128, n_layers=3, n_heads=4, hidden_dim=512, max_position_embeddings=LIMIT,
        pad_token_id=0, problem_type="regression",
        id2label={0: "valence"}, label2id={"valence": 0},
    )  # fmt: skip
    return transformers.DistilBertForSequenceClassification(config)


def fit(model: Any, tokenizer: Any, rows: Scored, recipe: Recipe) -> float:
    """Train in place, by cross-entropy of relevance or by the squared error; the mean loss of the last batches."""
    encoded = tokenizer(list(rows.texts), truncation=True, max_length=TRAINED_TOKENS)
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    truth = torch.from_numpy(rows.truth.reshape(len(lengths), -1))
    loss_of = torch.nn.MSELoss() if rows.groups is None else torch.nn.BCEWithLogitsLoss()
    generator = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=0.01)
    steps = recipe.epochs * -(-len(lengths) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.peak_rate, total_steps=steps, pct_start=0.1)
    losses: list[float] = []
    model.train()
    for _ in range(recipe.epochs):
        order = np.lexsort([generator.random(len(lengths)), lengths])
        batches = [order[start : start + recipe.batch] for start in range(0, len(order), recipe.batch)]
        for place in generator.permutation(len(batches)):
            chosen = batches[place]
            feed = tokenizer.pad(
                {name: [part[row] for row in chosen] for name, part in encoded.items()}, return_tensors="pt"
            )
            loss = loss_of(model(**feed).logits, truth[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            if len(losses) % REPORTED == 0:
                print(f"{len(losses):,} of {steps:,} batches, loss {np.mean(losses[-LAST_BATCHES:]):.4f}", flush=True)
    return float(np.mean(losses[-LAST_BATCHES:]))


def measure(model: Any, tokenizer: Any, rows: Scored) -> dict[str, float]:
    """How good its scores are on rows that it has not learned, and what is left of that without the query."""
    found = score(model, tokenizer, rows.texts)
    if rows.groups is None:
        return correlate(found, rows.truth)
    generator = np.random.default_rng(0)
    flat = ranking(generator.random(len(found)), rows.truth, rows.groups)
    exchanged = score(model, tokenizer, [(second, first) for first, second in rows.texts])
    alone = score(model, tokenizer, [second for _, second in rows.texts])
    return {
        **ranking(found, rows.truth, rows.groups),
        **{f"{name} of a random order": value for name, value in flat.items()},
        **{
            f"{name} with the texts exchanged": value
            for name, value in ranking(exchanged, rows.truth, rows.groups).items()
        },
        **{f"{name} of the passage alone": value for name, value in ranking(alone, rows.truth, rows.groups).items()},
    }


def score(model: Any, tokenizer: Any, texts: Sequence[Any], batch: int = 64) -> np.ndarray:
    """Scores, float32, (rows,)."""
    model.eval()
    found = np.empty(len(texts), np.float32)
    order = sorted(range(len(texts)), key=lambda row: sum(map(len, texts[row])))
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            feed = tokenizer([texts[row] for row in rows], truncation=True, padding=True, return_tensors="pt")
            found[rows] = model(**feed).logits[:, 0].numpy()
    return found


if __name__ == "__main__":
    main()
