"""Compare the scores of `driftgate predict` with those of sentence-transformers, which loads the same folder.

    pip install sentence-transformers
    python studies/scores/client.py OUT/reranker OUT/reranker.jsonl scores.csv

`scores.csv` is what `driftgate predict OUT/reranker --input OUT/reranker.jsonl --text-column query --pair-column passage --output
scores.csv` wrote. Prints the largest difference, and the ranking that each gives.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from measures import ranking


def main() -> None:
    from sentence_transformers import CrossEncoder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("scores", type=Path)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.rows.read_text(encoding="utf-8").splitlines()]
    truth = np.array([row["label"] for row in rows])
    groups = np.array([int(row["group"][1:]) for row in rows])
    with given.scores.open(encoding="utf-8", newline="") as file:
        ours = np.array([float(row["score"]) for row in csv.DictReader(file)])
    encoder = CrossEncoder(str(given.encoder), device="cpu")
    theirs = encoder.predict([(row["query"], row["passage"]) for row in rows], show_progress_bar=False)
    print(f"activation: {encoder.activation_fn}; largest score: {np.abs(theirs).max():.3f}")
    print(f"largest difference of {len(rows):,} scores: {np.abs(ours - theirs).max():.1e}")
    print("sentence-transformers:", ranking(theirs, truth, groups))
    print("driftgate:", ranking(ours, truth, groups))


if __name__ == "__main__":
    main()
