"""How good scores are: correlation with what is right, and the order within groups."""

import numpy as np
from scipy import stats


def correlate(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Pearson's and Spearman's correlation, and the mean absolute error beside that of always saying the median."""
    return {
        "pearson": round(float(stats.pearsonr(scores, truth).statistic), 4),
        "spearman": round(float(stats.spearmanr(scores, truth).statistic), 4),
        "mean absolute error": round(float(np.abs(scores - truth).mean()), 4),
        "mean absolute error of the median": round(float(np.abs(np.median(truth) - truth).mean()), 4),
    }


def ranking(scores: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean average precision, reciprocal rank of the first that is relevant, and NDCG at 10, over groups of equal size.

    Average precision: Manning, Raghavan and Schütze 2008, section 8.4; NDCG: Järvelin and Kekäläinen 2002.
    """
    size = int((groups == groups[0]).sum())
    order = np.argsort(-scores.reshape(-1, size), axis=1, kind="stable")
    relevant = np.take_along_axis(truth.reshape(-1, size), order, axis=1)
    place = np.arange(1, size + 1)
    precision = (np.cumsum(relevant, axis=1) / place * relevant).sum(axis=1) / relevant.sum(axis=1)
    gain = 1 / np.log2(place + 1)
    best = (np.sort(relevant, axis=1)[:, ::-1] * gain).sum(axis=1)
    return {
        "mean average precision": round(float(precision.mean()), 4),
        "mean reciprocal rank": round(float((1 / (relevant.argmax(axis=1) + 1)).mean()), 4),
        "NDCG@10": round(float(((relevant * gain).sum(axis=1) / best).mean()), 4),
    }
