"""The corpus: texts or pairs of texts, perhaps with labels, checked row by row."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import IntArray, LabelMatrix
from driftgate.edges.escape import for_terminal
from driftgate.edges.limits import DRAWN_ROWS
from driftgate.edges.spelling import option
from driftgate.errors import CorpusError, OptionError
from driftgate.inputs.corpus_files import Columns, RawRow, read_rows
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.hub.hub_corpus import is_hub_corpus, read_hub_rows
from driftgate.inputs.texts import Text, has_lone_surrogate, is_pair, name_rows, on_one_line, parts_of
from driftgate.inputs.thresholds import require_labels


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Texts in a fixed order, or pairs of texts.

    Args:
        name: what reports and benchmark groups call it, what cannot be seen in it escaped.
        texts: never empty, valid Unicode; all of them alone, or all of them pairs.
        row_ids: where each text stands in its source, such as "line 7"; reports show these instead of texts.
        labels: bool, (rows, labels) in the encoder's label order, or None where the corpus has none.
        private: the texts are a user's: reports show row ids unless asked for texts.
        pinned: of a hub corpus, what loads the same rows again, with commit, configuration and split.
        groups: which group each row is a candidate of, int64, (rows,), from 0; None where rows are no candidates.
        drawn_from: how many rows the corpus had that these were drawn from at random; None where it is whole.
    """

    name: str
    texts: tuple[Text, ...]
    row_ids: tuple[str, ...]
    labels: LabelMatrix | None
    private: bool = True
    pinned: str | None = None
    drawn_from: int | None = None
    groups: IntArray | None = None

    def __post_init__(self) -> None:
        if not self.texts:
            raise CorpusError(f"corpus {self.name}: it has no rows; a corpus needs at least one text")
        if len({is_pair(text) for text in self.texts}) > 1:
            raise CorpusError(
                f"corpus {self.name}: expected texts or pairs of texts, found both; make a corpus of each"
            )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def has_pairs(self) -> bool:
        """Whether its rows are pairs of texts."""
        return is_pair(self.texts[0])

    @property
    def shown_texts(self) -> tuple[str, ...]:
        """For people: on one line each, the texts of a pair with a bar between them."""
        return tuple(map(on_one_line, self.texts))

    @property
    def sha256(self) -> str:
        """Digest of texts and labels, in order."""
        digest = hashlib.sha256()
        for text in self.texts:
            encoded = [part.encode() for part in parts_of(text)]
            # The lengths first: no text can pass for two, nor a pair for two rows.
            digest.update(b"+".join(b"%d" % len(part) for part in encoded) + b":" + b"".join(encoded))
        if self.labels is not None:
            digest.update(repr(self.labels.shape).encode() + np.packbits(self.labels).tobytes())
        return digest.hexdigest()

    def sample(self, rows: int, seed: int = 0) -> "Corpus":
        """`rows` of it drawn without replacement, in corpus order; all of it where it has no more than that.

        Of a corpus of groups, whole groups are drawn, until there are as many rows or a few more.
        """
        DRAWN_ROWS.require(rows)
        if rows >= len(self):
            return self
        generator = np.random.default_rng(seed)
        if self.groups is None:
            chosen = np.sort(generator.choice(len(self), rows, replace=False)).tolist()
        else:
            drawn = generator.permutation(self.groups.max() + 1)
            needed = int(np.searchsorted(np.cumsum(np.bincount(self.groups)[drawn]), rows)) + 1
            chosen = np.flatnonzero(np.isin(self.groups, drawn[:needed])).tolist()
        return replace(
            self,
            texts=tuple(self.texts[row] for row in chosen),
            row_ids=tuple(self.row_ids[row] for row in chosen),
            labels=None if self.labels is None else LabelMatrix(self.labels[chosen]),
            drawn_from=self.drawn_from or len(self),
            groups=None if self.groups is None else _number(self.groups[chosen]),
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
        columns: where texts and labels are; with a column of second texts, rows are pairs.
        labelled: False where texts are all that is wanted: labels are not looked at, whosever they are.

    Raises:
        CorpusError: unreadable, empty, rows without text or without the second of a pair, lone surrogates,
            labels that the encoder does not have.
    """
    columns = columns or Columns()
    require_labels(encoder, "label_column", columns.label)
    if is_hub_corpus(path):
        rows, has_labels, reference = read_hub_rows(str(path), columns, encoder.labels)
        name, pinned = reference.corpus_name, str(reference)
    else:
        path, pinned = Path(path), None
        rows, has_labels = read_rows(path, columns)
        name = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    if not rows:
        raise CorpusError(f"corpus {path}: it has no rows; a corpus needs at least one text")
    _refuse_rows(path, rows, [_is_empty(row.text) for row in rows], "empty or missing text")
    if columns.pair:
        _refuse_empty_seconds(path, rows, columns)
    texts: list[Text] = [(row.text, row.second) if columns.pair else row.text for row in rows]
    _refuse_rows(
        path,
        rows,
        [any(map(has_lone_surrogate, parts_of(text))) for text in texts],
        "a lone surrogate, which no encoding can carry",
    )
    labels = (
        _label_matrix(path, rows, encoder, columns.label_separator)
        if labelled and has_labels and not encoder.gives_score
        else None
    )
    groups = _read_groups(path, rows, encoder, columns) if columns.group else None
    ids = tuple(row.where for row in rows)
    return Corpus(for_terminal(name), tuple(texts), ids, labels, private, pinned, groups=groups)


def _read_groups(path: str | Path, rows: Sequence[RawRow], encoder: Encoder, columns: Columns) -> IntArray:
    if not encoder.gives_score:
        raise OptionError(
            f"{option('group_column', columns.group, argument=f'Columns(group={columns.group!r})')}: expected an encoder that "
            f"gives a score, found {encoder.name}, which gives labels; leave it out"
        )
    _refuse_rows(
        path, rows, [row.group is None or not str(row.group).strip() for row in rows], "an empty or missing group"
    )
    found = _number(np.array([str(row.group) for row in rows]))
    if np.bincount(found).max() < 2:  # noqa: PLR2004 - said below
        raise CorpusError(
            f"corpus {path}: expected groups of candidates in the column {columns.group!r}, found another value in each of its "
            f"{len(rows)} rows; name the column that the candidates of one query share"
        )
    return found


def _number(groups: Any) -> IntArray:
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.int64)


def _is_empty(value: Any) -> bool:
    return not isinstance(value, str) or not value.strip()


def _refuse_empty_seconds(path: str | Path, rows: Sequence[RawRow], columns: Columns) -> None:
    empty = [_is_empty(row.second) for row in rows]
    if all(empty):
        spelled = option("pair_column", argument="Columns(pair=...)")
        raise CorpusError(
            f"corpus {path}: expected second texts in the column {columns.pair!r}, found none in any of its {len(rows)} rows; "
            f"name the right column with {spelled}, or leave it out where rows are single texts"
        )
    _refuse_rows(path, rows, empty, "an empty or missing second text")


def _refuse_rows(path: str | Path, rows: Sequence[RawRow], is_bad: Iterable[bool], what: str) -> None:
    bad = [row.where for row, refused in zip(rows, is_bad, strict=True) if refused]
    if bad:
        raise CorpusError(
            f"corpus {path}: {len(bad)} of {len(rows)} rows have {what}: {name_rows(bad)}; correct or remove them"
        )


def _label_matrix(path: str | Path, rows: Sequence[RawRow], encoder: Encoder, separator: str) -> LabelMatrix:
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
