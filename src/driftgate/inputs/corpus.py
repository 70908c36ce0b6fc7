"""The corpus: texts, perhaps with labels, checked row by row."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import LabelMatrix
from driftgate.errors import CorpusError
from driftgate.escape import for_terminal
from driftgate.inputs.corpus_files import Columns, RawRow, read_rows
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.hub_corpus import is_hub_corpus, read_hub_rows
from driftgate.inputs.unicode import has_lone_surrogate, name_rows
from driftgate.limits import DRAWN_ROWS


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Texts in a fixed order.

    Args:
        name: what reports and benchmark groups call it, what cannot be seen in it escaped.
        texts: never empty, valid Unicode.
        row_ids: where each text stands in its source, such as "line 7"; reports show these instead of texts.
        labels: bool, (rows, labels) in the encoder's label order, or None where the corpus has none.
        private: the texts are a user's: reports show row ids unless asked for texts.
        pinned: of a hub corpus, what loads the same rows again, with commit, configuration and split.
    """

    name: str
    texts: tuple[str, ...]
    row_ids: tuple[str, ...]
    labels: LabelMatrix | None
    private: bool = True
    pinned: str | None = None

    def __post_init__(self) -> None:
        if not self.texts:
            raise CorpusError(f"corpus {self.name}: it has no rows; a corpus needs at least one text")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def sha256(self) -> str:
        """Digest of texts and labels, in order."""
        digest = hashlib.sha256()
        for text in self.texts:
            encoded = text.encode()
            digest.update(b"%d:%b" % (len(encoded), encoded))  # the length first: no text can pass for two
        if self.labels is not None:
            digest.update(repr(self.labels.shape).encode() + np.packbits(self.labels).tobytes())
        return digest.hexdigest()

    def sample(self, rows: int, seed: int = 0) -> "Corpus":
        """`rows` of it drawn without replacement, in corpus order; all of it where it has no more than that."""
        DRAWN_ROWS.require(rows)
        if rows >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), rows, replace=False)).tolist()
        return replace(
            self,
            texts=tuple(self.texts[row] for row in chosen),
            row_ids=tuple(self.row_ids[row] for row in chosen),
            labels=None if self.labels is None else LabelMatrix(self.labels[chosen]),
        )


def load_corpus(
    path: str | Path,
    encoder: Encoder,
    columns: Columns | None = None,
    *,
    private: bool = True,
    labelled: bool = True,
) -> Corpus:
    """Read a CSV, TSV, JSONL or Parquet file, or a data set of the hub; labels are names or ids of the encoder's `id2label`.

    Args:
        path: a file, or `hub:NAME[@REVISION][:CONFIG][:SPLIT]`.
        labelled: False where texts are all that is wanted: labels are not looked at, whosever they are.

    Raises:
        CorpusError: unreadable, empty, rows without text, lone surrogates, labels that the encoder does not have.
    """
    columns = columns or Columns()
    if is_hub_corpus(path):
        rows, has_labels, reference = read_hub_rows(str(path), columns, encoder.labels)
        name, pinned = reference.corpus_name, str(reference)
    else:
        path, pinned = Path(path), None
        rows, has_labels = read_rows(path, columns)
        name = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    if not rows:
        raise CorpusError(f"corpus {path}: it has no rows; a corpus needs at least one text")
    without_text = [not isinstance(row.text, str) or not row.text.strip() for row in rows]
    _refuse_rows(path, rows, without_text, "empty or missing text")
    _refuse_rows(
        path, rows, [has_lone_surrogate(row.text) for row in rows], "a lone surrogate, which no encoding can carry"
    )
    labels = _label_matrix(path, rows, encoder, columns.label_separator) if labelled and has_labels else None
    return Corpus(
        for_terminal(name), tuple(row.text for row in rows), tuple(row.where for row in rows), labels, private, pinned
    )


def _refuse_rows(path: str | Path, rows: Sequence[RawRow], is_bad: Iterable[bool], what: str) -> None:
    bad = [row.where for row, refused in zip(rows, is_bad, strict=True) if refused]
    if bad:
        raise CorpusError(
            f"corpus {path}: {len(bad)} of {len(rows)} rows have {what}: {name_rows(bad)}; mend or remove them"
        )


def _label_matrix(path: str | Path, rows: Sequence[RawRow], encoder: Encoder, separator: str) -> LabelMatrix:
    index_of = {label: index for index, label in enumerate(encoder.labels)}
    index_of |= {str(index): index for index in range(len(encoder.labels)) if str(index) not in index_of}
    known = ", ".join(encoder.labels[:5]) + (", ..." if len(encoder.labels) > 5 else "")
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
        _refuse_rows(path, rows, matrix.sum(1) != 1, "no label or several, and the encoder gives exactly one")
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
