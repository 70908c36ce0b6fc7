"""Scores as bytes: a head, then rows that can be appended window by window, in every format."""

import csv
import gzip
import io
import json
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from driftgate.edges.escape import for_spreadsheet
from driftgate.predict.answerer import AnsweredWindow
from driftgate.predict.parquet_output import ParquetWriter
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.rows import Rejected
from driftgate.predict.score_layout import SCORE, Layout, Scores, text_id

_GZIP_LEVEL = 6


class Writer(Protocol):
    """How a format is written."""

    def head(self) -> bytes:
        """What stands before the first row."""
        return b""

    def rows(self, window: AnsweredWindow) -> bytes:
        """A window's rows."""
        ...

    def convert(self, partial: Path, target: Path) -> bool:  # noqa: ARG002
        """Turn what was appended into the final file at `target`; False where it is final as it is."""
        return False


class DelimitedWriter(Writer):
    """CSV or TSV with a header, quoted where needed, lines ending in a newline."""

    def __init__(self, layout: Layout, *, tabs: bool, safe: bool) -> None:
        self._layout = layout
        self._safe = safe
        self._delimiter = "\t" if tabs else ","

    def head(self) -> bytes:
        return self._encode([self._layout.columns()])

    def rows(self, window: AnsweredWindow) -> bytes:
        scores = self._layout.scores(window.numbers, window.ids, window.logits)
        return self._encode([self._fields(row) for row in scores])

    def _fields(self, row: Scores) -> list[Any]:
        ids = [text_id(row.id) or ""] if self._layout.has_ids else []
        if row.score is not None:
            return [row.row, *ids, row.score]
        values = chain(*row.ranked) if self._layout.top else (*row.probabilities, *(row.logits or ()))
        return [row.row, *ids, self._layout.separator.join(row.decided), *values]

    def _encode(self, records: list[list[Any]]) -> bytes:
        if self._safe:
            records = [
                [for_spreadsheet(value) if isinstance(value, str) else value for value in record] for record in records
            ]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerows(records)
        return text.getvalue().encode()


class JsonLinesWriter(Writer):
    """One object a row: row, id, labels, probabilities by label, logits by label."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def rows(self, window: AnsweredWindow) -> bytes:
        scores = self._layout.scores(window.numbers, window.ids, window.logits)
        return "".join(f"{json.dumps(self._record(row), ensure_ascii=False)}\n" for row in scores).encode()

    def _record(self, row: Scores) -> dict[str, Any]:
        record: dict[str, Any] = {"row": row.row}
        if self._layout.has_ids:
            record["id"] = row.id
        if row.score is not None:
            return {**record, SCORE: row.score}
        record["labels"] = row.decided
        record["probabilities"] = dict(zip(row.shown, row.probabilities, strict=True))
        if row.logits is not None:
            record["logits"] = dict(zip(row.shown, row.logits, strict=True))
        return record


class GzipWriter(Writer):
    """Another writer's bytes, a gzip member for each window: cutting the file behind any of them leaves a whole file."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner

    def head(self) -> bytes:
        return _compress(self._inner.head())

    def rows(self, window: AnsweredWindow) -> bytes:
        return _compress(self._inner.rows(window))


def _compress(content: bytes) -> bytes:
    return gzip.compress(content, _GZIP_LEVEL, mtime=0) if content else b""


def open_writer(form: Format, layout: Layout, *, gzipped: bool, id_type: Any, csv_safe: bool = False) -> Writer:
    """The writer of a format.

    Args:
        csv_safe: write ids and labels of CSV and TSV so that no spreadsheet takes them for formulas.
        id_type: Arrow's type of the ids, None for strings; only Parquet has types.
    """
    if form is Format.PARQUET:
        return ParquetWriter(layout, id_type)
    delimited = DelimitedWriter(layout, tabs=form is Format.TSV, safe=csv_safe)
    writer = JsonLinesWriter(layout) if form is Format.JSONL else delimited
    return GzipWriter(writer) if gzipped else writer


def encode_rejected(rejected: tuple[Rejected, ...]) -> bytes:
    """JSON lines, ASCII: row, line, reason, detail, and the text, or the texts of a pair, where they were kept."""
    lines = []
    for row in rejected:
        record = {
            "row": row.number,
            "line": row.line,
            "last_line": row.last_line if row.last_line != row.line else None,
            "reason": row.reason,
            "detail": row.detail or None,
            "text": row.text,
            "second": row.second,
        }
        lines.append(json.dumps({key: value for key, value in record.items() if value is not None}))
    return "".join(f"{line}\n" for line in lines).encode()
