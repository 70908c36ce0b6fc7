"""Compare outputs of `driftgate predict` with that of torch, and each with what is right, from the files alone.

    python studies/scores/compare.py OUT/reranker.jsonl torch.csv onnx-fp32.csv onnx-int8.csv

The rows are those that `train.py` wrote. Nothing of driftgate is used here, so that its own figures can be checked against these.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from measures import correlate, ranking
from scipy import stats

TOP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.rows.read_text(encoding="utf-8").splitlines()]
    truth = np.array([row["label"] for row in rows])
    groups = np.array([int(row["group"][1:]) for row in rows]) if "group" in rows[0] else None
    reference = read(given.reference)
    print(f"{given.reference.name}: spread {reference.std():.4f}; {quality(reference, truth, groups)}")
    for path in given.others:
        found = read(path)
        print(f"{path.name}: {drift(found, reference, groups)}; {quality(found, truth, groups)}")


def read(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8", newline="") as file:
        return np.array([float(row["score"]) for row in csv.DictReader(file)])


def drift(found: np.ndarray, reference: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    """In the spread (standard deviation) of the reference's scores; order over all rows, or within groups."""
    errors = np.abs(found - reference) / reference.std()
    told = {"mean drift": float(f"{errors.mean():.3g}"), "largest drift": float(f"{errors.max():.3g}")}
    if groups is None:
        return told | {
            "spearman": round(float(stats.spearmanr(found, reference).statistic), 6),
            "kendall": round(float(stats.kendalltau(found, reference).statistic), 6),
        }
    taus, overlaps, same_best = [], [], []
    for group in np.unique(groups):
        here = groups == group
        taus.append(stats.kendalltau(found[here], reference[here]).statistic)
        best, expected = (np.argsort(-scores[here], kind="stable")[:TOP] for scores in (found, reference))
        overlaps.append(len(np.intersect1d(best, expected)) / TOP)
        same_best.append(best[0] == expected[0])
    return told | {
        "kendall within groups": round(float(np.mean(taus)), 5),
        f"overlap of the best {TOP}": round(float(np.mean(overlaps)), 5),
        "same best": round(float(np.mean(same_best)), 5),
    }


def quality(scores: np.ndarray, truth: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    return correlate(scores, truth) if groups is None else ranking(scores, truth, groups)


if __name__ == "__main__":
    main()
