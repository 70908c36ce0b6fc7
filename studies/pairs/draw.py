"""Draw two more sets of pairs to judge the classifiers on, of comments that neither training nor `unseen.jsonl` has.

    python studies/pairs/draw.py DATA OUT

OUT is the folder that `train.py` wrote. `second.jsonl` has pairs of the dev comments that are in no pair of `unseen.jsonl`, with
labels. `reddit.jsonl` has pairs of comments from another sample of Reddit, of any subject and length, without labels.
"""

import argparse
import csv
import gzip
import json
from pathlib import Path

import numpy as np
from train import LABELS, UNSEEN_PAIRS, Rows, draw_pairs, load_task, write_pairs

from driftgate.arrays import LabelMatrix

SECOND_PAIRS = REDDIT_PAIRS = 1_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    task = load_task("sentiment", given.data)
    used = {text for pair in draw_pairs(task.unseen, task.labels, UNSEEN_PAIRS, seed=2)[0] for text in pair}
    used.update(task.train.texts)
    fresh = [row for row, text in enumerate(task.unseen.texts) if text not in used]
    rows = Rows([task.unseen.texts[row] for row in fresh], LabelMatrix(task.unseen.labels[fresh]))
    pairs, truth = draw_pairs(rows, task.labels, SECOND_PAIRS, seed=3)
    write_pairs(given.out / "second.jsonl", pairs, truth)
    with gzip.open(given.data / "reddit/random_sample_10k.csv.gz", "rt", encoding="utf-8", newline="") as file:
        bodies = [row["body"] for row in csv.DictReader(file) if row["body"].strip()]
    chosen = np.random.default_rng(4).permutation(len(bodies))[: 2 * REDDIT_PAIRS].reshape(-1, 2).tolist()
    lines = (json.dumps({"first": bodies[first], "second": bodies[second]}) + "\n" for first, second in chosen)
    given.out.joinpath("reddit.jsonl").write_text("".join(lines), encoding="utf-8")
    print(
        f"{len(rows.texts):,} fresh comments; {len(pairs):,} pairs: {dict(zip(LABELS, np.bincount(truth).tolist(), strict=True))}"
    )


if __name__ == "__main__":
    main()
