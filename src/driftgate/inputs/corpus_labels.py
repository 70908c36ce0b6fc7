"""What people said of the rows of a corpus: labels of classifiers, and scores of encoders that give scores."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import FloatArray, LabelMatrix
from driftgate.errors import CorpusError
from driftgate.inputs.corpus_files import RawRow
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.texts import name_rows


def refuse_rows(path: str | Path, rows: Sequence[RawRow], is_bad: Iterable[bool], what: str) -> None:
    """Refuse a corpus of which some rows, bool, (rows,), are bad, naming them.

    Raises:
        CorpusError: any row is.
    """
    bad = [row.where for row, refused in zip(rows, is_bad, strict=True) if refused]
    if bad:
        raise CorpusError(
            f"corpus {path}: {len(bad)} of {len(rows)} rows have {what}: {name_rows(bad)}; correct or remove them"
        )


def read_label_matrix(path: str | Path, rows: Sequence[RawRow], encoder: Encoder, separator: str) -> LabelMatrix:
    """Labels as bool, (rows, labels), in the order of the encoder's.

    Raises:
        CorpusError: a label that the encoder does not have; none or several where it gives one.
    """
    index_of = {label: index for index, label in enumerate(encoder.labels)}
    index_of |= {str(index): index for index in range(len(encoder.labels)) if str(index) not in index_of}
    known = ", ".join(encoder.labels[:5]) + (", ..." if len(encoder.labels) > 5 else "")  # noqa: PLR2004 - as many as are named
    matrix = np.zeros((len(rows), len(encoder.labels)), dtype=np.bool_)
    for number, row in enumerate(rows):
        for value in _split(row.labels, separator):
            if value not in index_of:
                raise CorpusError(
                    f"corpus {path}, {row.where}: label {value[:40]!r} is not one of the encoder's "
                    f"{len(encoder.labels)} labels ({known}) nor an id from 0 to {len(encoder.labels) - 1}; "
                    f"check the label column and the separator ({separator!r})"
                )
            matrix[number, index_of[value]] = True
    if encoder.problem_type is ProblemType.SINGLE_LABEL:
        refuse_rows(path, rows, matrix.sum(1) != 1, "no label or several, and the encoder gives exactly one")
    return LabelMatrix(matrix)


def _split(value: Any, separator: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [_name(item) for item in value]
    return [part.strip() for part in _name(value).split(separator) if part.strip()]


def _name(value: Any) -> str:
    """A label as text; ids come as floats from tools whose integer columns cannot hold gaps."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def read_targets(path: str | Path, rows: Sequence[RawRow]) -> FloatArray:
    """Scores as float64, (rows,).

    Raises:
        CorpusError: a row without a finite number.
    """
    targets = np.array([_read_number(row.labels) for row in rows])
    refuse_rows(path, rows, ~np.isfinite(targets), "no finite number in the label column, and the encoder gives scores")
    return targets


def _read_number(value: Any) -> float:
    """NaN where it is none; a list of one number is that number."""
    try:
        return float(value[0] if isinstance(value, list) and len(value) == 1 else value)
    except (TypeError, ValueError):
        return math.nan
