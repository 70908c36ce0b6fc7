"""The corpus: texts or pairs of texts, perhaps with labels, checked row by row."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import FloatArray, IntArray, LabelMatrix
from driftgate.edges.escape import for_terminal
from driftgate.edges.limits import DRAWN_ROWS
from driftgate.edges.spelling import option
from driftgate.errors import CorpusError, OptionError
from driftgate.inputs.corpus_files import Columns, RawRow, read_rows
from driftgate.inputs.corpus_labels import read_label_matrix, read_targets, refuse_rows
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.hub.hub_corpus import is_hub_corpus, read_hub_rows
from driftgate.inputs.texts import Text, has_lone_surrogate, is_pair, on_one_line, parts_of


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Texts in a fixed order, or pairs of texts.

    Args:
        name: what reports and benchmark groups call it, what cannot be seen in it escaped.
        texts: never empty, valid Unicode; all of them alone, or all of them pairs.
        row_ids: where each text stands in its source, such as "line 7"; reports show these instead of texts.
        labels: bool, (rows, labels) in the encoder's label order, or None where the corpus has none.
        targets: scores that people gave, float64, (rows,), of an encoder that gives scores; None where the corpus has none.
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
    targets: FloatArray | None = None
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
        """Digest of texts, labels and scores, in order."""
        digest = hashlib.sha256()
        for text in self.texts:
            encoded = [part.encode() for part in parts_of(text)]
            # The lengths first: no text can pass for two, nor a pair for two rows.
            digest.update(b"+".join(b"%d" % len(part) for part in encoded) + b":" + b"".join(encoded))
        if self.labels is not None:
            digest.update(repr(self.labels.shape).encode() + np.packbits(self.labels).tobytes())
        if self.targets is not None:
            digest.update(b"scores" + self.targets.astype("<f8").tobytes())
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
        return replace(self.take(chosen), drawn_from=self.drawn_from or len(self))

    def take(self, rows: Sequence[int]) -> "Corpus":
        """These rows, in the order given, with whatever belongs to them."""
        chosen = list(rows)
        return replace(
            self,
            texts=tuple(self.texts[row] for row in chosen),
            row_ids=tuple(self.row_ids[row] for row in chosen),
            labels=None if self.labels is None else LabelMatrix(self.labels[chosen]),
            targets=None if self.targets is None else self.targets[chosen],
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
    """Read a CSV, TSV, JSONL or Parquet file, or a data set of the hub.

    Labels are names or ids of the encoder's `id2label`, or numbers where the encoder gives a score.

    Args:
        path: a file, or `hub:NAME[@REVISION][:CONFIG][:SPLIT]`.
        columns: where texts and labels are; with a column of second texts, rows are pairs.
        labelled: False where texts are all that is wanted: labels are not looked at, whosever they are.

    Raises:
        CorpusError: unreadable, empty, rows without text or without the second of a pair, lone surrogates,
            labels that the encoder does not have, scores that are no finite numbers.
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
    refuse_rows(path, rows, [_is_empty(row.text) for row in rows], "empty or missing text")
    if columns.pair:
        _refuse_empty_seconds(path, rows, columns)
    texts: list[Text] = [(row.text, row.second) if columns.pair else row.text for row in rows]
    refuse_rows(
        path,
        rows,
        [any(map(has_lone_surrogate, parts_of(text))) for text in texts],
        "a lone surrogate, which no encoding can carry",
    )
    labels = targets = None
    if labelled and has_labels:
        if encoder.gives_score:
            targets = read_targets(path, rows)
        else:
            labels = read_label_matrix(path, rows, encoder, columns.label_separator)
    groups = _read_groups(path, rows, encoder, columns) if columns.group else None
    ids = tuple(row.where for row in rows)
    return Corpus(for_terminal(name), tuple(texts), ids, labels, private, pinned, targets=targets, groups=groups)


def _read_groups(path: str | Path, rows: Sequence[RawRow], encoder: Encoder, columns: Columns) -> IntArray:
    if not encoder.gives_score:
        raise OptionError(
            f"{option('group_column', columns.group, argument=f'Columns(group={columns.group!r})')}: expected an encoder that "
            f"gives a score, found {encoder.name}, which gives labels; leave it out"
        )
    refuse_rows(
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
    refuse_rows(path, rows, empty, "an empty or missing second text")
